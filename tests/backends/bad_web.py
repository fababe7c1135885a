# SPDX-License-Identifier: Apache-2.0
"""A web server that misbehaves, each path in its own way: /HOW/anything."""

import contextlib
import http.server
import random
import re
import threading
import time


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.content`."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin  # the base class's name
        pass

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, body):
        how = self.path.split("/")[1].replace("-", "_")
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        self.server.count += 1
        try:
            getattr(self, how)(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def wanted(self):
        """The range that is asked for, or None."""
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        return (int(match[1]), min(int(match[2]) + 1, len(self.server.content))) if match else None

    def head(self, status, length=None, **headers):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def part(self, body, send=None, **headers):
        """The right answer; `send` may spoil the body."""
        content, wanted = self.server.content, self.wanted()
        if not wanted:
            self.head(200, len(content), Accept_Ranges="bytes", **headers)
            begin, end = 0, len(content)
        else:
            begin, end = wanted
            headers.setdefault("Content_Range", f"bytes {begin}-{end - 1}/{len(content)}")
            self.head(206, end - begin, Accept_Ranges="bytes", **headers)
        if body:
            (send or self.wfile.write)(content[begin:end])

    def good(self, body):
        self.part(body)

    def no_ranges(self, body):
        self.head(200, len(self.server.content))
        if body:
            self.wfile.write(self.server.content)

    def lying(self, body):
        """Offers ranges, and does not heed them."""
        self.head(200, len(self.server.content), Accept_Ranges="bytes")
        if body:
            self.wfile.write(self.server.content)

    def other_range(self, body):
        begin, end = self.wanted() or (0, 1)
        self.part(body, Content_Range=f"bytes {begin + 512}-{end + 511}/{len(self.server.content) + 4096}")

    def no_range_header(self, body):
        content, wanted = self.server.content, self.wanted()
        self.head(206 if wanted else 200, len(content), Accept_Ranges="bytes")
        if body:
            self.wfile.write(content)

    def cut(self, body):
        """Connections break at a random place, after some of the body at least."""
        def some(data):
            self.wfile.write(data[:random.randrange(1, len(data) + 1)] if len(data) > 1 else data)
            self.close_connection = True
        self.part(body, some)

    def always_cut(self, body):
        def nothing(_):
            self.close_connection = True
        self.part(body, nothing)

    def flaky(self, body):
        if self.server.count % 2:
            self.part(body)
        else:
            self.head(503, 0)

    def too_much(self, body):
        """An answer that does not end where it should."""
        def endless(data):
            self.wfile.write(data)
            while True:
                self.wfile.write(bytes(65536))
        wanted = self.wanted()
        if not body or not wanted:
            self.part(body)
            return
        self.head(206, Content_Range=f"bytes {wanted[0]}-{wanted[1] - 1}/{len(self.server.content)}", Accept_Ranges="bytes")
        endless(self.server.content[wanted[0]:wanted[1]])

    def endless(self, body):
        self.head(200)
        while body:
            self.wfile.write(bytes(65536))

    def slow(self, body):
        """Steadily: no timeout must end it."""
        def dribble(data):
            for at in range(0, len(data), len(data) // 8 + 1):
                self.wfile.write(data[at:at + len(data) // 8 + 1])
                time.sleep(0.2)
        self.part(body, dribble)

    def silent(self, body):
        """No more than the description."""
        if body:
            time.sleep(30)
        self.part(False)

    def stops(self, body):
        """Half of each answer, and then not a byte more."""
        def half(data):
            self.wfile.write(data[:(len(data) + 1) // 2])
            if len(data) > 1:
                time.sleep(30)
        self.part(body, half)

    def deaf(self, _):
        time.sleep(30)

    def no_head(self, body):
        if body:
            self.part(True)
        else:
            self.head(405, 0)

    def changing(self, body):
        self.part(body, ETag=f'"{self.server.count // 3}"')

    def expiring(self, body):
        """Leads to a place that is valid for three answers, whoever asks."""
        del body
        self.head(302, 0, Location=f"/place/{self.server.count}")

    def place(self, body):
        if self.server.count - int(self.path.split("/")[2]) > 3:
            self.head(403, 0)
        else:
            self.part(body)

    def to_file(self, _):
        self.head(302, 0, Location="file:///etc/passwd")

    def loop(self, _):
        self.head(302, 0, Location=self.path)

    def to_other_host(self, _):
        self.head(302, 0, Location=f"http://localhost:{self.server.server_port}/good/x")


class Server(http.server.ThreadingHTTPServer):
    """Keeps what it was asked."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.seen = []
        self.count = 0

    def handle_error(self, request, client_address):
        pass  # clients that hang up

    def url(self, how):
        return f"http://127.0.0.1:{self.server_port}/{how}/x"


@contextlib.contextmanager
def serving(content):
    server = Server(content)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
