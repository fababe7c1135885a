# SPDX-License-Identifier: Apache-2.0
"""Protocol s3, against Ceph's gateway."""

import contextlib
import copy
import filecmp
import http.client
import http.server
import json
import pathlib
import random
import socket
import subprocess
import threading
import time

from harness.tool import differences
from ceph import GATEWAY_NEEDS, NEEDS, cluster
from content import make_content
from kit import LOUD, conformance, interrupted, shown
from relay import Relay, shut
from servers import missing

ACCESS, SECRET = "ACCESSKEY", "s3cr3t/with+more"
BIG = 23 << 20
S3CMD = """[default]
access_key = {access}
secret_key = {secret}
host_base = 127.0.0.1:{port}
host_bucket = 127.0.0.1:{port}
use_https = False
"""
# What is stored while it is made.
IN_PARTS = (("-O", "raw", "-o", "part-size=5M"), ("-O", "vmdk", "-o", "subformat=streamOptimized,part-size=5M"),
            ("-c", "-O", "qcow2", "-o", "part-size=5M"))
ODD_KEYS = ("a b", "ä/ü+&=%41", "q?x=1#y", "it's (100%) ~*!", "dots/../here", "x//y/")


class Moody(http.server.BaseHTTPRequestHandler):
    """Hands requests on, but each only when it comes for the second time."""

    protocol_version = "HTTP/1.1"
    port = None
    seen = set()
    lock = threading.Lock()

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.lock:
            known = (self.command, self.path) in self.seen
            self.seen.add((self.command, self.path))
        if not known:
            return self.answer(503, {}, b"<Error><Code>SlowDown</Code></Error>")
        server = http.client.HTTPConnection("127.0.0.1", self.port)
        server.request(self.command, self.path, body, dict(self.headers))
        reply = server.getresponse()
        kept = {name: value for name, value in reply.getheaders() if name.lower() not in ("content-length", "connection", "transfer-encoding")}
        return self.answer(reply.status, kept, reply.read(), reply.getheader("Content-Length"))

    def answer(self, status, headers, body, length=None):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", length or len(body))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any


@contextlib.contextmanager
def moody(port):
    Moody.port, Moody.seen = port, set()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Moody)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class CuttingRelay(Relay):
    """Cuts all connections in the midst of what the client sends; fewer times than that sends a request again."""

    MOST = 5
    EACH = 3 << 20  # bytes

    def __init__(self, server_port):
        super().__init__(server_port)
        self.sent = self.cuts = 0

    def pump(self, source, target, counted):
        try:
            while data := source.recv(65536):
                with self.lock:
                    self.sent += 0 if counted else len(data)
                    due = self.cuts < self.MOST and self.sent > (self.cuts + 1) * self.EACH
                    self.cuts += due
                if due:
                    self.cut()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            shut(source, target)


class NarrowRelay(CuttingRelay):
    """Lets no part of an object through, but what is shorter."""

    MOST = 1 << 30
    EACH = 1 << 20


class S3:
    """The cases of one run, on one cluster."""

    def __init__(self, oracle, tool):
        self.oracle = oracle
        self.strict = tool
        self.tool = copy.copy(tool)
        self.tool.program = str(pathlib.Path(tool.program).with_name("instar"))
        self.folder = None
        self.port = None

    def environment(self, port=None, **more):
        variables = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}",
                     **more}
        return ("env", *(f"{name}={value}" for name, value in variables.items() if value is not None))

    def ours(self, *arguments, port=None, **more):
        return self.tool.run(*arguments, cwd=self.folder, prefix=self.environment(port, **more))

    def s3cmd(self, *arguments):
        command = ["s3cmd", "-c", "s3cfg", "--no-progress", *map(str, arguments)]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False)

    def everything(self, folder):
        self.folder = folder
        make_content(folder / "disk")
        (folder / "big").write_bytes(random.Random(2).randbytes(BIG))
        with cluster(folder / "ceph") as ceph:
            self.port = ceph.start_gateway(ACCESS, SECRET)
            (folder / "s3cfg").write_text(S3CMD.format(access=ACCESS, secret=SECRET, port=self.port))
            done = self.s3cmd("mb", "s3://bucket")
            if done.returncode != 0:
                raise RuntimeError(done.stderr)
            for method in (self.stored, self.made_first, self.read, self.odd_keys, self.refused, self.private_things, self.busy_server, self.cut_off, self.taken_back,
                           self.changing, self.as_qemu_img):
                for name, problems in method():
                    yield f"{method.__name__.replace('_', ' ')}: {name}".replace(str(self.port), "PORT"), problems

    def works(self, *command, **more):
        done = self.ours(*command, **more)
        return " ".join(command), [] if done.status == 0 else [str(done)]

    def fails(self, text, *command, **more):
        done = self.ours(*command, **more)
        return " ".join(command), [] if done.status == 1 and text in done.err else [str(done)]

    def fetched(self, key, name="fetched"):
        """Problems of an object that an independent client has to get."""
        (self.folder / name).unlink(missing_ok=True)
        done = self.s3cmd("get", "--force", f"s3://bucket/{key}", name)
        return [] if done.returncode == 0 else [done.stderr]

    def holds(self, key, wanted):
        problems = self.fetched(key)
        if not problems and not filecmp.cmp(self.folder / "fetched", self.folder / wanted, shallow=False):
            problems = ["differs"]
        return f"{key} is {wanted}", problems

    def nothing_left(self, key):
        """Neither an object nor parts of one."""
        listed = self.s3cmd("ls", f"s3://bucket/{key}").stdout
        parts = self.s3cmd("multipart", "s3://bucket").stdout
        return "nothing is left", [text for text in (listed, parts) if key in text]

    def stored(self):
        yield self.works("convert", "-f", "raw", "-O", "raw", "disk", "s3://bucket/raw")
        yield self.holds("raw", "disk")
        yield self.works("convert", "-f", "raw", "-O", "raw", "-o", "part-size=5M", "big", "s3://bucket/big")
        yield self.holds("big", "big")
        parts = self.s3cmd("info", "s3://bucket/big").stdout
        yield "in parts", [] if "-5\n" in parts.replace("'", "").replace('"', "") else [parts]
        yield self.works("convert", "-f", "raw", "-O", "raw", "big", "s3://bucket/raw")
        yield self.holds("raw", "big")
        (self.folder / "empty").touch()
        yield self.works("convert", "-f", "raw", "-O", "raw", "empty", "s3://bucket/empty")
        yield self.holds("empty", "empty")
        yield self.works("convert", "-f", "raw", "-O", "qcow2", "-o", "cluster_size=4k", "disk", "s3://bucket/qcow2")
        yield "qcow2", self.fetched("qcow2") or self.checked("fetched")
        yield from self.packed_on_the_way()

    def packed_on_the_way(self):
        """What is packed, and still written from its beginning to its end: nobody could make a file meanwhile."""
        for source in ("disk", "big"):
            yield self.works("convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized,part-size=5M", source, "s3://bucket/stream", TMPDIR="nowhere")
            yield self.works("compare", "-f", "vmdk", "-F", "raw", "s3://bucket/stream", source)
            yield "by the genuine tool", self.fetched("stream") or self.same_to_the_oracle("fetched", "vmdk", source)
            for options in ("part-size=5M", "cluster_size=4k", "compression_type=zstd,extended_l2=on,refcount_bits=1", "compat=0.10,cluster_size=512"):
                yield self.works("convert", "-c", "--hash", "md5", "-f", "raw", "-O", "qcow2", "-o", options, source, "s3://bucket/packed", TMPDIR="nowhere")
                yield "by the genuine tool", self.fetched("packed") or self.checked("fetched", source)

    def made_first(self):
        """Formats that can't be written from their beginning to their end are made in a file, which goes."""
        (self.folder / "tmp").mkdir()
        for options in (("-c", "--compression-level", "1", "-O", "qcow2"), ("-c", "--verify", "-O", "qcow2", "-o", "compression_type=zstd,part-size=5M"),
                        ("-O", "vmdk"), ("-O", "vdi")):
            yield self.works("convert", "-f", "raw", *options, "big", "s3://bucket/packed", TMPDIR="tmp")
            yield self.works("compare", "-F", "raw", "s3://bucket/packed", "big")
        yield "by the genuine tool", self.fetched("packed") or self.same_to_the_oracle("fetched", "vdi", "big")
        yield self.works("create", "-f", "qcow2", "s3://bucket/made", "1G", TMPDIR="tmp")
        yield self.works("check", "s3://bucket/made")
        yield self.fails("InvalidAccessKeyId", "convert", "-O", "vdi", "disk", "s3://bucket/new", TMPDIR="tmp", AWS_ACCESS_KEY_ID="nobody")
        yield "no file is left", [str(path) for path in (self.folder / "tmp").iterdir()]

    def same_to_the_oracle(self, name, form, source):
        done = self.oracle.run("compare", "-f", form, "-F", "raw", name, source, cwd=self.folder)
        return [] if done.status == 0 else [str(done)]

    def checked(self, name, source="disk"):
        done = self.oracle.run("check", "-f", "qcow2", name, cwd=self.folder)
        return [str(done)] if done.status != 0 else self.same_to_the_oracle(name, "qcow2", source)

    def read(self):
        for more in ((), ("-m", "1"), ("-m", "16")):
            yield self.works("convert", *more, "-f", "raw", "-O", "raw", "s3://bucket/big", "out")
            yield "is big", [] if filecmp.cmp(self.folder / "out", self.folder / "big", shallow=False) else ["differs"]
        yield self.works("compare", "s3://bucket/qcow2", "disk")
        yield self.works("create", "-f", "qcow2", "-b", "s3://bucket/qcow2", "-F", "qcow2", "overlay")
        yield self.works("compare", "overlay", "disk")
        yield self.works("convert", "-O", "qcow2", "s3://bucket/qcow2", "s3://bucket/copy")
        yield self.works("compare", "s3://bucket/copy", "disk")
        info = json.loads(self.ours("info", "--output=json", "s3://bucket/qcow2").out)
        child = info["children"][0]["info"]
        yield "info", [] if (info["filename"], child["format"]) == ("s3://bucket/qcow2", "s3") else [str(info)]
        yield from conformance(self.tool, self.folder, "s3://bucket/big", "curl", "--only", "s3", prefix=self.environment())

    def odd_keys(self):
        for key in ODD_KEYS:
            yield self.works("convert", "-f", "raw", "-O", "raw", "disk", f"s3://bucket/{key}")
            yield self.works("compare", "-f", "raw", "-F", "raw", f"s3://bucket/{key}", "disk")
        yield self.holds(ODD_KEYS[1], "disk")

    def refused(self):
        into = ("convert", "-f", "raw", "-O", "raw", "disk")
        yield self.fails("NoSuchKey (404)", "info", "s3://bucket/nope")
        yield self.fails("NoSuchBucket (404)", "info", "s3://nobucket/x")
        yield self.fails("NoSuchBucket (404)", *into, "s3://nobucket/x")
        yield self.fails("AccessDenied (403)", "info", "s3://bucket/big", AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
        yield self.fails("InvalidAccessKeyId (403)", *into, "s3://bucket/new", AWS_ACCESS_KEY_ID="nobody")
        yield self.fails("SignatureDoesNotMatch (403)", *into, "s3://bucket/new", AWS_SECRET_ACCESS_KEY="wrong")
        yield self.fails("of use together only", *into, "s3://bucket/new", AWS_SECRET_ACCESS_KEY=None)
        yield self.fails("connect", *into, "s3://bucket/new", port=1)
        yield self.fails("not written in place", "convert", "-n", "-f", "raw", "-O", "raw", "disk", "s3://bucket/big")
        yield self.fails("--no-clobber is not possible", *into[:-1], "--no-clobber", "disk", "s3://bucket/new")
        yield self.fails("does not support image creation", *into[:-3], "-O", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", "disk", "s3://bucket/new")
        yield self.fails("part-size", *into[:-1], "-o", "part-size=1M", "disk", "s3://bucket/new")
        yield self.nothing_left("new")

    def private_things(self):
        """Credentials of options; they show nowhere."""
        (self.folder / "secret").write_text(SECRET + "\n")
        secret = ("--object", "secret,id=s,file=secret")
        alone = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_ENDPOINT_URL": None}
        options = f"endpoint=http://127.0.0.1:{self.port},access-key={{}},key-secret=s"
        commands = [(0, "convert", *secret, "-f", "raw", "-O", "raw", "-o", options.format(ACCESS), "disk", "s3://bucket/by-options"),
                    (0, "info", *secret, "--image-opts", f"driver=s3,bucket=bucket,key=by-options,{options.format(ACCESS)}"),
                    (1, "convert", *secret, "-f", "raw", "-O", "raw", "-o", options.format("nobody"), "disk", "s3://bucket/new"),
                    (1, "info", *secret, "--image-opts", f"driver=s3,bucket=bucket,key=nope,{options.format(ACCESS)}")]
        for status, *command in commands:
            done = self.ours(*LOUD, *command, **alone)
            yield " ".join(command), ([] if done.status == status else [str(done)]) + shown(done, SECRET)
        yield self.holds("by-options", "disk")

    def busy_server(self):
        with moody(self.port) as port:
            yield self.works("convert", "-f", "raw", "-O", "raw", "-o", "part-size=5M", "big", "s3://bucket/busy", port=port)
            yield self.works("convert", "-f", "raw", "-O", "raw", "s3://bucket/busy", "out", port=port)
        yield "is big", [] if filecmp.cmp(self.folder / "out", self.folder / "big", shallow=False) else ["differs"]

    def cut_off(self):
        """Now and then while it is stored; then for good."""
        with CuttingRelay(self.port) as relay:
            yield self.works("convert", "-f", "raw", "-O", "raw", "-o", "part-size=5M,timeout=60", "big", "s3://bucket/cut", port=relay.port)
            yield "it was cut", [] if relay.cuts == relay.MOST else [f"{relay.cuts} times"]
        yield self.holds("cut", "big")
        for options in IN_PARTS:
            command = ("convert", "-f", "raw", *options[:-1], f"{options[-1]},timeout=1", "big")
            with Relay(self.port, allowed=700) as relay:
                yield self.fails("Could not store the object: ", *command, "s3://bucket/dead", port=relay.port)
            with Relay(self.port, allowed=700, silent=True) as relay:
                slow = [word.replace("timeout=1", "timeout=3") for word in command]
                begun = time.monotonic()
                yield self.fails("Could not store the object: ", *slow, "s3://bucket/dead", port=relay.port)
                took = time.monotonic() - begun  # curl's average of the speed goes on for 5 s
                yield "in time", [] if took < 3 + 5 + 2.8 else [f"{took:.1f} s"]
            listed = self.s3cmd("ls", "s3://bucket/dead").stdout
            yield "no object", [listed] if "dead" in listed else []
            # It can be taken back as long as the server is there.
            with NarrowRelay(self.port) as relay:
                yield self.fails("Could not store the object: ", *command, "s3://bucket/given-up", port=relay.port)
                yield "it was cut", [] if relay.cuts > 1 else [f"{relay.cuts} times"]
            yield self.nothing_left("given-up")

    def taken_back(self):
        """What fails on the way, or is not wanted any more, leaves nothing."""
        broken = json.dumps({"driver": "raw", "file": {"driver": "blkdebug", "image": {"driver": "file", "filename": "big"}, "inject-error": [
            {"event": "none", "iotype": "read", "sector": (BIG - 4096) // 512, "errno": 5}]}})
        for options in IN_PARTS:
            yield self.fails("Input/output error", "convert", *options, f"json:{broken}", "s3://bucket/broken")
            yield self.nothing_left("broken")
        command = ["convert", "--object", "throttle-group,id=t,x-bps-total=8388608", "--image-opts", "-O", "raw", "-o", "part-size=5M",
                   "driver=throttle,throttle-group=t,file.filename=big", "s3://bucket/unwanted"]
        yield "interrupted", interrupted(self.tool, self.folder, command, prefix=self.environment())
        yield self.nothing_left("unwanted")

    def changing(self):
        source = "driver=throttle,throttle-group=t,file.driver=s3,file.bucket=bucket,file.key=changing,file.timeout=30"
        (self.folder / "other").write_bytes(random.Random(3).randbytes(BIG))
        yield self.works("convert", "-f", "raw", "-O", "raw", "big", "s3://bucket/changing")
        timer = threading.Timer(0.7, self.s3cmd, ("put", "other", "s3://bucket/changing"))
        timer.start()
        yield self.fails("changed while it was read", "convert", "--object", "throttle-group,id=t,x-bps-total=8388608", "--image-opts", "-O", "raw",
                         source, "out")
        timer.join()

    def as_qemu_img(self):
        """There is no such protocol, unless somebody asks for the driver."""
        for command in (["info", "s3://bucket/qcow2"], ["convert", "disk", "s3://bucket/new"], ["create", "-f", "raw", "s3://bucket/new", "1M"]):
            wanted, got = (tool.run(*command, cwd=self.folder, prefix=self.environment()) for tool in (self.oracle, self.strict))
            yield " ".join(command), differences("", wanted, got)
        name = 'json:{"driver":"qcow2","file":{"driver":"s3","bucket":"bucket","key":"qcow2"}}'
        done = self.strict.run("compare", name, "disk", cwd=self.folder, prefix=self.environment())
        yield "by its driver", [] if done.status == 0 else [str(done)]


def cases(oracle, tool):
    yield "s3", S3(oracle, tool).everything


def lacking():
    return missing(*NEEDS, *GATEWAY_NEEDS, "s3cmd")
