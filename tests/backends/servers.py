# SPDX-License-Identifier: Apache-2.0
"""Servers on loopback: started for one case, ready when a case gets them, and always stopped."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time

READY = 20  # seconds


class NotReady(Exception):
    """A server did not come up."""


def missing(*programs):
    """Those that are not installed."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    return [program for program in programs if shutil.which(program, path=path) is None]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(address):
    """Whether somebody takes connections: a path, or a port on loopback."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as probe:
        try:
            probe.connect(address if isinstance(address, str) else ("127.0.0.1", address))
            return True
        except OSError:
            return False


class Server:
    """A process in the foreground. `ready` is the path of a Unix socket, as seen from the server's folder, or a port."""

    def __init__(self, command, folder, ready):
        self.command = list(map(str, command))
        self.folder = folder
        self.ready = ready
        self.process = None

    def start(self):
        log = open(self.folder / "server.log", "ab")  # pylint: disable=consider-using-with  # handed to the process
        environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
        # pylint: disable-next=consider-using-with  # ended by stop()
        self.process = subprocess.Popen(self.command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        env=environment, start_new_session=True)
        log.close()
        until = time.monotonic() + READY
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > until:
                self.stop()
                text = (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")
                raise NotReady(f"{' '.join(self.command)}: {text[-500:]}")
            time.sleep(0.02)

    def is_ready(self):
        """A socket's file is enough: whoever knocks is counted as a client by servers that take but one."""
        return (self.folder / self.ready).exists() if isinstance(self.ready, str) else listens(self.ready)

    def kill(self, number=signal.SIGKILL):
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def stop(self):
        if self.process is None:
            return
        self.kill(signal.SIGCONT)
        self.kill(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(2)
        with contextlib.suppress(ProcessLookupError):  # those whose leader went before them
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None
        if isinstance(self.ready, str):
            (self.folder / self.ready).unlink(missing_ok=True)


@contextlib.contextmanager
def running(*servers):
    """Started in order; stopped whatever happens."""
    try:
        for server in servers:
            server.start()
        yield servers[0]
    finally:
        for server in reversed(servers):
            server.stop()


def nbdkit(folder, *arguments, ready="s"):
    """An nbdkit on a Unix socket in its folder, or on a port."""
    place = ["-U", folder / ready] if isinstance(ready, str) else ["-i", "127.0.0.1", "-p", ready]
    return Server(["nbdkit", "-f", *place, *arguments], folder, ready)


CERTIFICATES = {
    "ca": "cn = authority\nca\ncert_signing_key\nexpiration_days = 9\n",
    "server": "cn = server\ndns_name = localhost\nip_address = 127.0.0.1\ntls_www_server\nencryption_key\nsigning_key\n"
              "expiration_days = 9\n",
    "client": "cn = client\ntls_www_client\nencryption_key\nsigning_key\nexpiration_days = 9\n",
}


def make_certificates(folder):
    """ca-cert.pem, server-cert.pem, server-key.pem, client-cert.pem and client-key.pem."""
    def certtool(*arguments):
        subprocess.run(["certtool", *arguments], cwd=folder, check=True, capture_output=True)

    folder.mkdir(parents=True, exist_ok=True)
    for name, template in CERTIFICATES.items():
        (folder / f"{name}.tmpl").write_text(template)
        certtool("--generate-privkey", "--key-type", "rsa", "--bits", "2048", "--outfile", f"{name}-key.pem")
        signed = ["--load-ca-certificate", "ca-cert.pem", "--load-ca-privkey", "ca-key.pem"]
        how = ["--generate-self-signed"] if name == "ca" else ["--generate-certificate", *signed]
        certtool(*how, "--load-privkey", f"{name}-key.pem", "--template", f"{name}.tmpl", "--outfile", f"{name}-cert.pem")
