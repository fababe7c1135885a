# SPDX-License-Identifier: Apache-2.0
"""Protocol nbd, against nbdkit and the genuine qemu-nbd."""

import concurrent.futures
import contextlib
import re
import shutil
import signal
import subprocess
import threading
import time

from harness.tool import ENVIRONMENT, differences
from bad_nbd import refusing
from content import SIZE, make_content
from kit import LOUD, conformance, shown
from servers import Server, free_port, make_certificates, missing, nbdkit, running

NEEDS = ("nbdkit", "certtool", "psktool")
URI = "nbd+unix:///?socket=s"
SLOW = ("--filter=delay", "rdelay=2")
MIDDLE = 1  # when a run has begun, however busy the machine is, and no answer of a slow server has come


class Nbd:
    """The cases of one run."""

    def __init__(self, oracle, tool):
        self.oracle = oracle
        self.tool = tool

    def folders(self, folder):
        """The same start for each tool, so that outputs can be compared as they are."""
        make_content(folder / "content")
        for tool in (self.oracle, self.tool):
            own = folder / tool.label
            own.mkdir()
            shutil.copy(folder / "content", own / "disk")
            yield tool, own

    def both(self, folder, serve, commands):
        """Each tool runs the commands with a server of its own; what they say must be the same, and the disk too."""
        results, disks = [], []
        for tool, own in self.folders(folder):
            with running(serve(own)):
                results.append([tool.run(*command, cwd=own) for command in commands])
            disks.append((own / "disk").read_bytes())
        for command, wanted, got in zip(commands, *results):
            yield " ".join(map(str, command)), differences("", wanted, got)
        yield "the disk in the end", [] if disks[0] == disks[1] else ["differs"]

    def odd_sizes(self, folder):
        for size, *filters in ((SIZE - 511,), (SIZE - 8 * 65536 - 511,), (70001, "--filter=noextents")):
            (folder / str(size)).mkdir()
            yield from self.both(folder / str(size), lambda own, size=size, filters=filters: nbdkit(
                own, *filters, "--filter=truncate", "file", own / "disk", f"truncate={size}"), [["map", "-f", "raw", "--output=json", URI]])

    def names(self, folder):
        port = free_port()
        names = [URI, "nbd:unix:s", "nbd:unix:s:exportname=a b", "nbd+unix:///a/b%20c?socket=s",
                 'json:{"driver":"nbd","path":"s"}', 'json:{"driver":"nbd","server":{"type":"unix","path":"s"},"export":"e"}',
                 'json:{"driver":"raw","offset":512,"file":{"driver":"nbd","path":"s","export":"e","reconnect-delay":5}}',
                 'json:{"driver":"nbd","path":"s","tls-hostname":"x"}']
        commands = [["info", *more, name] for name in names for more in ([], ["--output=json"])]
        commands += [["info", "--image-opts", "driver=nbd,server.type=unix,server.path=s"], ["info", "-f", "nbd", URI]]
        yield from self.both(folder, lambda own: nbdkit(own, "file", own / "disk"), commands)
        with running(nbdkit(folder, "file", folder / "content", ready=port)):
            for name in (f"nbd://127.0.0.1:{port}", f"nbd://localhost:{port}/x", f"nbd:127.0.0.1:{port}:exportname=x",
                         f"nbd+tcp://127.0.0.1:{port}/", f'json:{{"driver":"nbd","host":"127.0.0.1","port":"{port}"}}'):
                command = ["info", name]
                yield name.replace(str(port), "PORT"), differences("", self.oracle.run(*command, cwd=folder), self.tool.run(*command, cwd=folder))

    def refused_names(self, folder):
        names = ["nbd:", "nbd:foo", "nbd:unix:", "nbd://", "nbd:127.0.0.1:1", "nbd+unix:///x?socket=/nonexistent",
                 "nbd://127.0.0.1:1/x", "nbd://nosuchhost.invalid/x", "nbd+unix://host/x?socket=/a", "nbd://127.0.0.1/x?a=b",
                 "nbd+unix:///x?socket=/a&b=c", "nbd+foo://a", "nbd:h:99x", "nbd:h:1:exportname=", "nbd://[::1]:1/x",
                 "nbd+unix:///x?socket=" + "a" * 200, "nbd:unix:s:exportname=" + "a" * 4097]
        options = ['', '"server":{"type":"unix"}', '"server":{"type":"inet","host":"h"}', '"server":{"type":"foo"}',
                   '"server":{"host":"h","port":"1"}', '"server":{"type":"inet","host":"h","port":"1","x":"y"}',
                   '"server":{"type":"inet","host":"h","port":"1","ipv4":"maybe"}', '"server":{"type":"fd","str":"0"}',
                   '"server":{"type":"fd","str":"nm"}', '"host":"h","path":"/a"', '"path":"/a","port":"1"', '"port":"1"',
                   '"path":"/a","server":{"type":"unix","path":"/x"}', '"host":"h","server":{}', '"host":"h","bogus":1',
                   '"host":"h","tls-creds":"none"', '"host":"h","reconnect-delay":"a"', '"server":"x"']
        names += [f'json:{{"driver":"nbd"{"," if text else ""}{text}}}' for text in options]
        for name in names:
            wanted, got = (tool.run("info", name, cwd=folder) for tool in (self.oracle, self.tool))
            yield name[:80], differences("", wanted, got)

    def refusals(self, folder):
        """Each code that a server may refuse with, and its own words; not 4 and 9, which libnbd tells apart since 1.22."""
        for code in (2, 3, 5, 6, 7, 8, 10, 77):
            for words in (b"", b"be gone: now"):
                with refusing(folder / "s", 0x80000000 + code, words):
                    command = ["info", "nbd+unix:///a%20b?socket=s"]
                    wanted, got = (tool.run(*command, cwd=folder) for tool in (self.oracle, self.tool))
                yield f"{code} {words}", differences("", wanted, got)

    def copies(self, folder):
        commands = [["convert", "-f", "raw", "-O", "raw", URI, "out.raw"], ["convert", "-f", "raw", "-O", "qcow2", URI, "out.q"],
                    ["compare", "-f", "raw", "-F", "raw", URI, "out.raw"], ["compare", "-f", "raw", URI, "out.q"],
                    ["map", "-f", "raw", "--output=json", URI], ["map", "-f", "raw", URI],
                    ["measure", "-f", "raw", "-O", "qcow2", URI], ["dd", "-f", "raw", "-O", "raw", f"if={URI}", "of=dd.raw", "bs=1M"],
                    ["create", "-f", "raw", URI, SIZE], ["create", "-f", "raw", URI, SIZE + 512],
                    ["create", "-f", "raw", "-o", "preallocation=full", URI, SIZE], ["create", "-f", "raw", "-o", "help", URI],
                    ["create", "-f", "qcow2", "-o", "preallocation=metadata", URI, SIZE],
                    ["create", "-f", "nbd", URI, SIZE], ["resize", "-f", "raw", URI, SIZE], ["resize", "-f", "raw", URI, SIZE * 2],
                    ["resize", "-f", "raw", "--shrink", URI, 1 << 20], ["convert", "-n", "-f", "raw", "-O", "raw", "out.raw", URI],
                    ["compare", "-f", "raw", "-F", "raw", URI, "out.raw"], ["convert", "-f", "raw", "-O", "raw", "out.raw", URI],
                    ["convert", "-n", "-f", "raw", "-O", "raw", "--target-is-zero", "out.raw", URI]]
        yield from self.both(folder, lambda own: nbdkit(own, "file", own / "disk"), commands)
        for name in ("out.raw", "dd.raw"):
            same = (folder / "ours" / name).read_bytes() == (folder / "content").read_bytes()
            yield f"content of {name}", [] if same else ["differs"]

    def qcow2_on_it(self, folder):
        commands = [["create", "-f", "qcow2", URI, SIZE // 2], ["info", URI], ["snapshot", "-c", "s", URI], ["check", URI],
                    ["resize", URI, SIZE], ["map", "--output=json", URI]]
        yield from self.both(folder, lambda own: nbdkit(own, "file", own / "disk"), commands[:1] + commands[3:])
        shutil.rmtree(folder / "genuine")
        shutil.rmtree(folder / "ours")
        _, own = list(self.folders(folder))[1]
        with running(nbdkit(own, "file", own / "disk")):
            for command in commands[:3] + commands[4:]:
                got = self.tool.run(*command, cwd=own)
                yield f"ours: {command[0]}", [] if got.status == 0 else [got.err]
            checked = self.oracle.run("check", URI, cwd=own)
            yield "the genuine tool's check of ours", [] if checked.status == 0 else [checked.out + checked.err]

    def server_abilities(self, folder):
        """Servers that leave things out, and that want whole blocks."""
        kinds = {"nothing": ("--filter=nozero", "--filter=noextents"), "whole blocks": ("--filter=blocksize-policy",),
                 "no trim": ("--filter=nozero", "zeromode=emulate"), "slow zeroes": ("--filter=nozero", "zeromode=notrim")}
        for name, filters in kinds.items():
            own = folder / name.replace(" ", "-")
            own.mkdir()
            make_content(own / "content", 2)
            (own / "disk").write_bytes(b"x" * SIZE)
            flags = [text for text in filters if text.startswith("--")]
            settings = [text for text in filters if not text.startswith("--")]
            if name == "whole blocks":
                settings += ["blocksize-minimum=4096", "blocksize-preferred=65536", "blocksize-maximum=1M", "blocksize-error-policy=error"]
            with running(nbdkit(own, *flags, "file", own / "disk", *settings)):
                for command in (["convert", "-n", "-f", "raw", "-O", "raw", "content", URI],
                                ["convert", "-f", "raw", "-O", "raw", URI, "back"],
                                ["dd", "-f", "raw", "-O", "raw", f"if={URI}", "of=dd", "bs=1000"],
                                ["bench", "-w", "-c", "20", "-s", "1000", "-f", "raw", "--pattern=7", URI]):
                    result = self.tool.run(*command, cwd=own)
                    yield f"{name}: {command[0]}", [result.err] if result.status else []
            wanted = (own / "content").read_bytes()
            for copy in ("back", "dd"):
                yield f"{name}: content of {copy}", [] if (own / copy).read_bytes() == wanted else ["differs"]

    def many_connections(self, folder):
        """nbdkit's log filter tells who connected."""
        make_content(folder / "disk")
        with running(nbdkit(folder, "--filter=log", "--filter=delay", "file", folder / "disk", f"logfile={folder / 'log'}", "rdelay=20ms")):
            result = self.tool.run("convert", "-f", "raw", "-O", "raw", URI, "out", cwd=folder)
        yield "convert", [result.err] if result.status else []
        seen = sum(" connection=" in line and "Connect" in line for line in (folder / "log").read_text().splitlines())
        yield "several connections", [] if 1 < seen <= 4 else [f"{seen} connections"]

    def qemu_nbd(self, folder):
        """The genuine server: a read-only export that lets one in at a time, bitmaps, wrong names."""
        server = str(self.oracle.program).replace("qemu-img", "qemu-nbd")
        self.oracle.must("create", "-f", "qcow2", "image", SIZE, cwd=folder)
        self.oracle.must("bitmap", "--add", "image", "b0", cwd=folder)
        self.oracle.io("image", "write -P 5 1M 192k", cwd=folder)
        with running(Server([server, "-f", "qcow2", "-r", "-t", "-k", folder / "s", "-x", "e", "-B", "b0", "image"], folder, "s")):
            uri = "nbd+unix:///e?socket=s"
            for command in (["info", uri], ["info", "nbd+unix:///f?socket=s"], ["map", "--output=json", uri],
                            ["map", "--output=json", "--image-opts", "driver=nbd,path=s,export=e,x-dirty-bitmap=qemu:dirty-bitmap:b0"],
                            ["info", "--image-opts", "driver=nbd,path=s,export=e,x-dirty-bitmap=b0"],
                            ["convert", "-n", "-f", "raw", "-O", "raw", "image", uri], ["convert", "-O", "raw", uri, "out"],
                            ["compare", uri, "image"]):
                wanted, got = (tool.run(*command, cwd=folder) for tool in (self.oracle, self.tool))
                yield " ".join(command), differences("", wanted, got)

    def tls(self, folder):
        port, psk_port = free_port(), free_port()
        make_content(folder / "disk")
        make_certificates(folder / "pki")
        make_certificates(folder / "others")
        (folder / "psk").mkdir()
        subprocess.run(["psktool", "-u", "alice", "-p", "psk/keys.psk"], cwd=folder, check=True, capture_output=True)
        x509 = ("--object", "tls-creds-x509,id=t,dir=pki,endpoint=client")
        to = f"driver=nbd,host=127.0.0.1,port={port},tls-creds=t"
        same = [["info", f"nbd://127.0.0.1:{port}"], ["info", *x509, "--image-opts", to],
                ["convert", *x509, "-O", "raw", "--image-opts", to, "out"],
                ["info", "--object", "secret,id=t,data=x", "--image-opts", to],
                ["info", "--object", "tls-creds-psk,id=t,dir=psk,username=alice,endpoint=client", "--image-opts",
                 f"driver=nbd,host=127.0.0.1,port={psk_port},tls-creds=t"]]
        refused = {"another authority": ["info", "--object", "tls-creds-x509,id=t,dir=others,endpoint=client", "--image-opts", to],
                   "another host": ["info", *x509, "--image-opts", to.replace("127.0.0.1", "127.0.0.2")],
                   "another tls-hostname": ["info", *x509, "--image-opts", to + ",tls-hostname=other"],
                   "nobody's key": ["info", "--object", "tls-creds-psk,id=t,dir=psk,username=alice,endpoint=client", "--image-opts", to]}
        tls = ["--tls=require", "file", folder / "disk"]
        any_host = ["-i", "0.0.0.0"]
        with running(nbdkit(folder, f"--tls-certificates={folder / 'pki'}", *any_host, *tls, ready=port),
                     nbdkit(folder, f"--tls-psk={folder / 'psk/keys.psk'}", *tls, ready=psk_port)):
            for command in same:
                wanted, got = (tool.run(*command, cwd=folder) for tool in (self.oracle, self.tool))
                yield " ".join(command).replace(str(psk_port), "PORT").replace(str(port), "PORT"), differences("", wanted, got)
            for name, command in refused.items():
                got = self.tool.run(*command, cwd=folder)
                yield f"{name} is refused", [] if got.status == 1 and got.err.startswith("qemu-img: Could not open") else [str(got)]
            yield from self.nbds(folder, port)

    def nbds(self, folder, port):
        """The scheme that the genuine tool does not know."""
        (folder / "home/.pki").mkdir(parents=True)
        environment = ["env", f"HOME={folder / 'home'}"]
        unchecked = self.tool.run("info", f"nbds://127.0.0.1:{port}", cwd=folder, prefix=environment)
        yield "nbds without authorities is refused", [] if unchecked.status == 1 and "authorities" in unchecked.err else [str(unchecked)]
        (folder / "home/.pki/libnbd").symlink_to(folder / "pki")
        for host, status in (("127.0.0.1", 0), ("127.0.0.2", 1)):
            got = self.tool.run("info", f"nbds://{host}:{port}", cwd=folder, prefix=environment)
            yield f"nbds://{host}", [] if got.status == status else [str(got)]

    def secrets(self, folder):
        """A key never shows, however loud the log is."""
        (folder / "psk").mkdir()
        key = "00112233445566778899aabbccddeeff"
        (folder / "psk/keys.psk").write_text(f"alice:{key}\n")
        got = self.tool.run(*LOUD, "info", "--object", "tls-creds-psk,id=t,dir=psk,username=alice,endpoint=client", "--image-opts",
                            "driver=nbd,host=127.0.0.1,port=1,tls-creds=t", cwd=folder, prefix=["env", "LIBNBD_DEBUG=1"])
        yield "", ([] if got.status == 1 else [str(got)]) + shown(got, key)

    @contextlib.contextmanager
    def meanwhile(self, *arguments, **options):
        """The tool in a thread of its own, since servers end with the thread that starts them."""
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            yield pool.submit(self.tool.run, *arguments, **options).result

    def cut(self, folder):
        """The server dies in the middle of a convert."""
        make_content(folder / "disk")
        with running(nbdkit(folder, *SLOW[:1], "file", folder / "disk", SLOW[1])) as server:
            killer = threading.Timer(MIDDLE, server.kill)
            killer.start()
            got = self.tool.run("convert", "-f", "raw", "-O", "raw", URI, "out", cwd=folder, timeout=20)
            killer.join()
        wanted = "qemu-img: error while reading"
        yield "", [] if got.status == 1 and got.err.startswith(wanted) and "Input/output error" in got.err else [str(got)]

    def restarted(self, folder):
        """It comes back within reconnect-delay, and the copy is whole; it does not, and there is an error in time."""
        make_content(folder / "disk")
        server = nbdkit(folder, *SLOW[:1], "file", folder / "disk", SLOW[1])
        with running(server), self.meanwhile("convert", "-O", "raw", "--image-opts", "driver=nbd,path=s,reconnect-delay=20", "out",
                                             cwd=folder) as result:
            time.sleep(MIDDLE)
            server.kill()
            server.stop()
            time.sleep(0.5)
            server.start()
            got = result()
        same = got.status == 0 and (folder / "out").read_bytes() == (folder / "disk").read_bytes()
        yield "reconnects", [] if same else [str(got)]
        with running(server):
            killer = threading.Timer(MIDDLE, server.kill)
            killer.start()
            got = self.tool.run("convert", "-O", "raw", "--image-opts", "driver=nbd,path=s,reconnect-delay=1", "out", cwd=folder)
            killer.join()
        yield "gives up", [] if got.status == 1 and 1 <= got.seconds < 8 else [str(got)]

    def interrupted(self, folder):
        """A server that says nothing any more: Ctrl-C ends within a second, also while connecting."""
        make_content(folder / "disk")
        for name, silent in (("reading", False), ("connecting", True)):
            with running(nbdkit(folder, "file", folder / "disk")) as server:
                if silent:
                    server.kill(signal.SIGSTOP)
                yield name, self.interrupt(folder, server)

    def interrupt(self, folder, server):
        """Problems of a bench that is under way when the server falls silent."""
        with open(folder / "said", "wb") as said:
            # pylint: disable-next=consider-using-with  # waited for below
            process = subprocess.Popen([self.tool.program, "bench", "-c", "100000000", "--image-opts", "driver=nbd,path=s"], cwd=folder,
                                       env=ENVIRONMENT, stdout=said, stderr=said)
        time.sleep(0.5)
        server.kill(signal.SIGSTOP)
        time.sleep(0.2)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        seconds = time.monotonic() - start
        told = (folder / "said").read_text()
        right = process.returncode == -signal.SIGINT and seconds < 1.5 and told.count("Could not open") < 2
        return [] if right else [f"status {process.returncode} after {seconds:.1f} s: {told}"]

    def errors(self, folder):
        """What the server reports, and a server that comes late."""
        commands = [["convert", "-n", "-f", "raw", "-O", "raw", "disk", URI], ["convert", "-f", "raw", "-O", "raw", URI, "out"]]
        full = ["--filter=error", "memory", SIZE, "error-pwrite=ENOSPC", "error-zero=ENOSPC", "error-rate=100%"]
        make_content(folder / "disk")
        with running(nbdkit(folder, *full)):
            got = self.tool.run(*commands[0], cwd=folder)
        said = re.fullmatch(r"qemu-img: error while writing at byte \d+: No space left on device\n", got.err)
        yield "ENOSPC", [] if got.status == 1 and said else [str(got)]
        yield from self.both(folder, lambda own: nbdkit(own, "-r", "file", own / "disk"), commands[:1])
        with running(nbdkit(folder, "--filter=error", "file", folder / "content", "error-pread=EIO", "error-pread-rate=100%")):
            got = self.tool.run(*commands[1], cwd=folder)
            yield "EIO", [] if got.status == 1 and got.err == "qemu-img: error while reading at byte 0: Input/output error\n" else [str(got)]
        late = nbdkit(folder, "file", folder / "content")
        with self.meanwhile("info", "--image-opts", "driver=nbd,path=s,open-timeout=20", cwd=folder) as result:
            time.sleep(0.5)
            with running(late):
                got = result()
        yield "open-timeout", [] if got.status == 0 else [str(got)]

    def flushes(self, folder):
        """In the end what was written is flushed, unless the cache mode does without; a flush that fails is an error."""
        make_content(folder / "disk")
        make_content(folder / "source", 2)
        into = ["-f", "raw", "-O", "raw"]
        commands = [["convert", "-n", *cache, *into, "source", URI] for cache in ([], ["-t", "none"], ["-t", "writeback"], ["-t", "unsafe"])]
        commands += [["dd", *into, "bs=1M", "if=source", f"of={URI}"], ["convert", "-f", "raw", "-O", "qcow2", "source", URI],
                     ["snapshot", "-c", "s", URI]]
        for command in commands:
            flushed = []
            for tool in (self.oracle, self.tool):
                (folder / "log").unlink(missing_ok=True)
                with running(nbdkit(folder, "--filter=log", "file", folder / "disk", f"logfile={folder / 'log'}")):
                    got = tool.run(*command, cwd=folder)
                flushed.append((got.status, " Flush " in (folder / "log").read_text()))
            yield " ".join(command), [] if flushed[0] == flushed[1] else [str(flushed)]
        broken = ["eval", f"get_size=echo {SIZE}", "pread=head -c $3 /dev/zero", "pwrite=cat >/dev/null", "can_write=exit 0", "can_flush=exit 0",
                  "flush=echo EIO no >&2; exit 1"]
        with running(nbdkit(folder, *broken)):
            for command in commands[:5]:
                got = self.tool.run(*command, cwd=folder)
                right = got.status == 1 and "Input/output error" in got.err
                yield f"{' '.join(command)} fails", [] if right else [str(got)]

    def conformance(self, folder):
        with running(nbdkit(folder, "memory", 16 << 20)):
            yield from conformance(self.tool, folder, f"nbd+unix:///?socket={folder}/s", "nbd")

    def rates(self, folder):
        make_content(folder / "disk")
        with running(nbdkit(folder, "--filter=rate", "file", folder / "disk", "rate=64M")):
            got = self.tool.run("convert", "-f", "raw", "-O", "raw", URI, "out", cwd=folder)
        same = got.status == 0 and (folder / "out").read_bytes() == (folder / "disk").read_bytes()
        yield "", [] if same else [str(got)]


def cases(oracle, tool):
    suite = Nbd(oracle, tool)
    for method in ("names", "refused_names", "refusals", "copies", "odd_sizes", "qcow2_on_it", "server_abilities", "many_connections",
                   "qemu_nbd", "tls", "secrets", "conformance", "cut", "restarted", "interrupted", "errors", "flushes", "rates"):
        yield f"nbd {method.replace('_', ' ')}", getattr(suite, method)


def lacking():
    return missing(*NEEDS)
