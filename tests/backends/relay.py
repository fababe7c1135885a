# SPDX-License-Identifier: Apache-2.0
"""A relay between a client and a server that can cut the connections, or fall silent, after so many bytes."""

import socket
import struct
import threading


def shut(*sockets):
    for one in sockets:
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Relay:
    """Listens on loopback. `allowed`: bytes from the server that come through, None: all. `silent`: what is more is kept
    back; else all connections are cut."""

    def __init__(self, server_port, allowed=None, silent=False):
        self.server_port = server_port
        self.allowed = allowed
        self.silent = silent
        self.connections = 0
        self.open = []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.server_port))
            with self.lock:
                self.connections += 1
                self.open += [client, server]
            for pair in ((client, server, False), (server, client, True)):
                threading.Thread(target=self.pump, args=pair, daemon=True).start()

    def cut(self):
        """By resets: a client that only sees the other side end may go on sending to nobody."""
        with self.lock:
            for one in self.open:
                try:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    one.shutdown(socket.SHUT_RD)  # wakes who reads
                except OSError:
                    pass
                one.close()
            self.open.clear()

    def pump(self, source, target, counted):
        try:
            while data := source.recv(65536):
                if counted and not self.passes(len(data)):
                    if self.silent:
                        return
                    self.cut()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            shut(source, target)  # neither side waits for one that is gone

    def passes(self, count):
        with self.lock:
            if self.allowed is None:
                return True
            self.allowed -= count
            return self.allowed >= 0
