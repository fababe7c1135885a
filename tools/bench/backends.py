# SPDX-License-Identifier: Apache-2.0
"""The servers that tools/bench/run --backends measures with: those of tests/backends, on loopback."""

import contextlib
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "tests"), str(Path(__file__).resolve().parents[2] / "tests/backends")]

# pylint: disable=wrong-import-position
import ceph
import nbd
import web
from relay import Relay
from servers import free_port, make_certificates, nbdkit, running

MIB = 1 << 20
DELAY = 0.02  # seconds
PART = 64 * MIB  # of the input where each request waits


class DelayedRelay(Relay):
    """What the server says comes so much later, in the order and at the speed in which it was said."""

    def pump(self, source, target, counted):
        waiting = queue.Queue(1000)
        threading.Thread(target=self.deliver, args=(waiting, target), daemon=True).start()
        try:
            while data := source.recv(65536):
                waiting.put((time.monotonic() + (DELAY if counted else 0), data))
        except OSError:
            pass
        waiting.put((0, None))

    @staticmethod
    def deliver(waiting, target):
        try:
            while True:
                due, data = waiting.get()
                if data is None:
                    return target.shutdown(2)
                time.sleep(max(0, due - time.monotonic()))
                target.sendall(data)
        except OSError:
            pass


class Backends:
    """Servers by name, each started when it is wanted first. close() ends all."""

    def __init__(self, folder, source, reference):
        self.folder = Path(folder)
        self.source = Path(source)
        self.reference = reference
        self.started = {}
        self.stack = contextlib.ExitStack()

    def places(self, name):
        """What stands in the arguments of a case for the server of that name."""
        if name not in self.started:
            folder = self.folder / name
            folder.mkdir(parents=True)
            self.started[name] = getattr(self, name)(folder)
        return self.started[name]

    def close(self):
        self.stack.close()

    def nbd(self, folder):
        for name in ("from", "to"):
            (folder / name).mkdir()
        target = folder / "to/disk"
        with open(target, "wb") as file:
            file.truncate(self.source.stat().st_size)
        for name, path in (("from", self.source), ("to", target)):
            self.stack.enter_context(running(nbdkit(folder / name, "file", path)))
        return {name: f"nbd+unix:///?socket={folder / name}/s" for name in ("from", "to")}

    def rbd(self, folder):
        conf = self.stack.enter_context(ceph.cluster(folder / "ceph")).conf
        os.environ["CEPH_CONF"] = str(conf)
        subprocess.run([self.reference, "convert", "-f", "raw", "-O", "raw", self.source, "rbd:rbd/from"], check=True)
        subprocess.run([self.reference, "create", "-q", "-f", "raw", "rbd:rbd/to", str(self.source.stat().st_size)], check=True)
        return {"from": "rbd:rbd/from", "to": "rbd:rbd/to"}

    def http(self, folder):
        www = folder / "www"
        www.mkdir()
        (www / "disk").symlink_to(self.source)
        make_certificates(folder / "pki")
        (folder / "passwords").touch()
        port = free_port()
        self.stack.enter_context(running(web.nginx(folder, port, free_port())))
        with open(self.source, "rb") as file:
            (www / "part").write_bytes(file.read(PART))
        relay = self.stack.enter_context(DelayedRelay(port))
        return {"from": f"http://127.0.0.1:{port}/disk", "slow": f"http://127.0.0.1:{relay.port}/part", "part": www / "part"}


def lacking(name):
    """Programs that a server needs and that are not installed."""
    return {"nbd": nbd.lacking, "rbd": lambda: web.missing(*ceph.NEEDS), "http": web.lacking}[name]()
