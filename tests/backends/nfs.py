# SPDX-License-Identifier: Apache-2.0
"""Protocol nfs against nfs-ganesha, a server in user space.

Version 3 finds its server by the port mapper on port 111, so that both run in a network of their own, where the tools join
them; the files are the same.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import threading

from harness.tool import differences
from content import make_content
from kit import conformance, interrupted, unfinished
from servers import Server, missing, running

NEEDS = ("ganesha.nfsd", "rpcbind", "rpcinfo", "ip", "unshare", "nsenter")
MIB = 1 << 20

CONFIG = """NFS_CORE_PARAM {{ Protocols = 3; Enable_NLM = false; Enable_RQUOTA = false; }}
NFS_KRB5 {{ Active_krb5 = false; }}
NFSv4 {{ Graceless = true; }}
EXPORT {{ Export_Id = 1; Path = {folder}; Pseudo = /all; Access_Type = RW; Squash = No_Root_Squash; SecType = sys;
 Protocols = 3; Transports = TCP; FSAL {{ Name = VFS; }} }}
EXPORT {{ Export_Id = 2; Path = {folder}/read-only; Pseudo = /read-only; Access_Type = RO; Squash = No_Root_Squash; SecType = sys;
 Protocols = 3; Transports = TCP; FSAL {{ Name = VFS; }} }}
"""

# The server's own /run and state, and a lock that the one before, which may be about to end, does not hold.
START = """set -e
ip link set lo up
mount -t tmpfs none /run
mkdir -p /run/rpcbind /var/lib/nfs
mount -t tmpfs none /var/lib/nfs
mkdir /var/lib/nfs/ganesha
rpcbind -f &
until rpcinfo -p 127.0.0.1 >/dev/null 2>&1; do sleep 0.02; done
ganesha.nfsd -F -L log -f ganesha.conf -p pid.$$ -N NIV_WARN &
until rpcinfo -T tcp 127.0.0.1 nfs 3 >/dev/null 2>&1 && rpcinfo -T tcp 127.0.0.1 mountd 3 >/dev/null 2>&1; do sleep 0.02; done
touch ready
wait
"""


class Site:
    """The server, and an export for each tool that has the same files."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "read-only").mkdir()
        make_content(folder / "read-only/disk")
        for name in ("genuine", "ours"):
            shutil.copytree(folder / "read-only", folder / name)
        self.server = Server(["unshare", "-m", "-n", "sh", "-c", START], folder, "ready")
        (folder / "ganesha.conf").write_text(CONFIG.format(folder=folder))

    def inside(self):
        """A command's beginning by which it is in the server's network."""
        return ["nsenter", f"--net=/proc/{self.server.process.pid}/ns/net"]

    def url(self, tool):
        return f"nfs://127.0.0.1{self.folder}/{tool.label}"

    def run(self, tool, *command, **options):
        own = self.folder / tool.label
        names = {"{url}": self.url(tool), "{path}": str(own), "{all}": f"nfs://127.0.0.1{self.folder}"}
        arguments = []
        for argument in map(str, command):
            for name, value in names.items():
                argument = argument.replace(name, value)
            arguments.append(argument)
        got = tool.run(*arguments, cwd=own, prefix=self.inside(), **options)
        return got._replace(**{part: getattr(got, part).replace(str(own), "DIR") for part in ("out", "err")})


class Nfs:
    """The cases of one run."""

    def __init__(self, oracle, tool):
        self.oracle = oracle
        self.tool = tool

    def both(self, place, commands):
        for command in commands:
            wanted, got = (place.run(tool, *command) for tool in (self.oracle, self.tool))
            yield " ".join(command), differences("", wanted, got)

    def names(self, folder):
        queries = ["", "?uid=0", "?uid=0&gid=7", "?gid=7", "?uid=1", "?tcp-syncnt=2", "?readahead=65536", "?pagecache=64", "?foo=1", "?uid=x",
                   "?uid", "?uid=", "?readahead=99999999", "?pagecache=99999999"]
        urls = ["{url}/disk" + query for query in queries]
        urls += ["{url}/nope", "{all}/nope/x", "{url}", "nfs:x", "nfs://", "nfs:///x", "nfs://h", "nfs://h:x/y", "nfs://h/%zz", "nfs://127.0.0.1/",
                 "nfs://u@127.0.0.1:2049{path}/disk", "nfs://nosuchhost.invalid/x/y"]
        server = "server.type=inet,server.host=127.0.0.1"
        options = ["", ",path={path}/disk", ",server.host=127.0.0.1", ",server.type=foo,server.host=h,path=/x/y", ",server.type=inet,server.host=h",
                   ",server.type=inet,path=/x/y", f",{server},path=x", f",{server},path=/x"]
        options += [f",{server},path={{path}}/disk{more}" for more in (
            "", ",server.port=1", ",user=0", ",user=1,group=2", ",tcp-syn-count=2,readahead-size=4096,page-cache-size=2,debug=0",
            ",cache.direct=on,readahead-size=4096", ",cache.direct=on,page-cache-size=4")]
        commands = [["info", url] for url in urls] + [["info", "--image-opts", f"driver=nfs{text}"] for text in options]
        commands += [["info", "--output=json", "{url}/disk"],
                     ["info", 'json:{"driver":"raw","offset":512,"file":{"driver":"nfs","path":"{path}/disk","user":0,'
                              '"server":{"host":"127.0.0.1","type":"inet"}}}']]
        place = Site(folder)
        with running(place.server):
            yield from self.both(place, commands)

    def images(self, folder):
        commands = [["create", "-f", "raw", "{url}/new", "1000000"], ["create", "-f", "raw", "{url}/new", "0"], ["info", "{url}/new"],
                    ["create", "-f", "raw", "{url}/new", "2M"], ["create", "-f", "raw", "-o", "preallocation=full", "{url}/new", "2M"],
                    ["create", "-f", "raw", "-o", "help", "{url}/new"], ["create", "-f", "raw", "{url}/no/such", "1M"],
                    ["create", "-f", "raw", "nfs:x", "1M"], ["create", "-f", "nfs", "{url}/as-nfs", "1M"],
                    ["resize", "-f", "raw", "{url}/new", "4M"], ["resize", "-f", "raw", "--shrink", "{url}/new", "1M"],
                    ["resize", "-f", "raw", "--preallocation=full", "{url}/new", "5M"],
                    ["convert", "-f", "raw", "-O", "raw", "{url}/disk", "local.raw"], ["convert", "-f", "raw", "-O", "raw", "disk", "{url}/remote.raw"],
                    ["convert", "-n", "-f", "raw", "-O", "raw", "disk", "{url}/nope"], ["map", "-f", "raw", "--output=json", "{url}/disk"],
                    ["compare", "-f", "raw", "-F", "raw", "{url}/disk", "local.raw"],
                    ["convert", "-f", "raw", "-O", "qcow2", "{url}/disk", "{url}/image"], ["check", "{url}/image"], ["resize", "{url}/image", "64M"],
                    ["compare", "{url}/image", "disk"], ["measure", "-f", "raw", "-O", "qcow2", "{url}/disk"],
                    ["info", "{url}/disk?uid=65534"], ["create", "-f", "raw", "{url}/theirs?uid=65534", "1M"],
                    ["info", "{all}/read-only/disk"], ["resize", "-f", "raw", "{all}/read-only/disk", "8M"],
                    ["create", "-f", "raw", "{all}/read-only/new", "1M"]]
        place = Site(folder)
        for name in ("genuine", "ours"):
            (folder / name).chmod(0o755)
            (folder / name / "disk").chmod(0o600)
        with running(place.server):
            yield from self.both(place, commands)
            for command in (["snapshot", "-c", "s", "{url}/image"], ["create", "-f", "qcow2", "-b", "image", "-F", "qcow2", "{url}/overlay"],
                            ["check", "{url}/overlay"]):
                made = place.run(self.tool, *command)
                yield f"ours: {command[0]}", [] if made.status == 0 else [str(made)]
            checked = self.oracle.run("check", "ours/image", cwd=folder)
            yield "the genuine tool's check of ours", [] if checked.status == 0 else [checked.out + checked.err]
        for name in ("new", "local.raw", "remote.raw", "as-nfs"):
            one, other = ((folder / tool / name) for tool in ("genuine", "ours"))
            same = one.read_bytes() == other.read_bytes() and one.stat().st_mode == other.stat().st_mode
            yield f"content of {name}", [] if same else ["differs"]

    def large(self, folder):
        """More than one answer can carry, all requests at once."""
        place = Site(folder)
        (folder / "ours/big").write_bytes(os.urandom(24 * MIB + 512))
        with running(place.server):
            for name, command in {"read": ["{url}/big", "copy"], "write": ["big", "{url}/copy"]}.items():
                (folder / "ours/copy").unlink(missing_ok=True)
                got = place.run(self.tool, "convert", "-W", "-m", "16", "-f", "raw", "-O", "raw", *command)
                same = got.status == 0 and (folder / "ours/copy").read_bytes() == (folder / "ours/big").read_bytes()
                yield name, [] if same else [str(got)]

    def faults(self, folder):
        """The server dies, or falls silent, in the middle; Ctrl-C does not wait for it."""
        place = Site(folder)
        (folder / "ours/big").write_bytes(os.urandom(48 * MIB))  # far more than is read ahead
        target = f"driver=nfs,server.type=inet,server.host=127.0.0.1,path={folder}/ours/copy,request-timeout=1"
        source = target.replace("/copy", "/big")
        slow = ["convert", "-r", "4M", "-O", "raw"]
        ways = {"read": [*slow, "--image-opts", source, "out"],
                "write": [*slow, "-n", "--image-opts", "--target-image-opts", "driver=raw,file.filename=big", target]}
        ways["write"].remove("-O")
        ways["write"].remove("raw")
        for number, way in ((signal.SIGKILL, "dies"), (signal.SIGSTOP, "falls silent")):
            for name, command in ways.items():
                shutil.copy(folder / "ours/big", folder / "ours/copy")
                with running(place.server):
                    inside = place.inside()
                    timer = threading.Timer(0.7, place.server.kill, [number])
                    timer.start()
                    got = self.tool.run(*command, cwd=folder / "ours", prefix=inside, timeout=20)
                    timer.join()
                said = any(text in got.err for text in ("Input/output error", "timed out"))
                yield f"{name}: {way}", [] if got.status == 1 and said and got.seconds < 6 else [str(got)]
        with running(place.server):
            command = [*slow, "-f", "raw", f"{place.url(self.tool)}/big", "out"]
            inside = place.inside()
            timer = threading.Timer(0.5, place.server.kill, [signal.SIGSTOP])
            timer.start()
            yield "interrupted", interrupted(self.tool, folder, command, prefix=inside)
            timer.join()
            yield "interrupted when connecting", interrupted(self.tool, folder, ["info", f"{place.url(self.tool)}/big"], 0.5, prefix=inside)

    def unfinished(self, folder):
        """Without links: once ganesha has made a file by one, it takes that for the file."""
        place = Site(folder)
        with running(place.server):
            yield from unfinished(self.tool, place.run, folder / "ours", place.url(self.tool), ("new",), place.inside())

    def conformance(self, folder):
        scratch = pathlib.Path("/tmp")  # where the kit has its folder
        place = Site(folder)
        text = (folder / "ganesha.conf").read_text()
        (folder / "ganesha.conf").write_text(text.replace(f"Path = {folder};", f"Path = {scratch};"))
        with running(place.server):
            yield from conformance(self.tool, folder, "nfs://127.0.0.1", "nfs", prefix=place.inside())


def cases(oracle, tool):
    suite = Nfs(oracle, tool)
    for method in ("names", "images", "large", "faults", "unfinished", "conformance"):
        yield f"nfs {method}", getattr(suite, method)


def lacking():
    if absent := missing(*NEEDS):
        return absent
    own_network = subprocess.run(["unshare", "-m", "-n", "true"], capture_output=True, check=False)
    return ["a kernel and rights that allow a network of its own"] if own_network.returncode else []
