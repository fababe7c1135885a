# SPDX-License-Identifier: Apache-2.0
"""An NBD server that refuses whoever wants its export."""

import contextlib
import socket
import struct
import threading

GO, ABORT = 7, 2  # options of the handshake
ACK, UNSUPPORTED = 1, 0x80000001  # replies


def take(client, length):
    data = b""
    while len(data) < length:
        if not (part := client.recv(length - len(data))):
            raise EOFError
        data += part
    return data


def greet(client, reply, words):
    """The handshake, until the client leaves."""
    client.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))
    take(client, 4)
    while True:
        _, option, length = struct.unpack(">QII", take(client, 16))
        take(client, length)
        kind, payload = (reply, words) if option == GO else (ACK if option == ABORT else UNSUPPORTED, b"")
        client.sendall(struct.pack(">QIII", 0x3E889045565A9, option, kind, len(payload)) + payload)


@contextlib.contextmanager
def refusing(path, reply, words):
    """On the Unix socket `path`, with that kind of reply and its own words."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, contextlib.suppress(EOFError, OSError):
                client.settimeout(10)
                greet(client, reply, words)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()
        path.unlink()
