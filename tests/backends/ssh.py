# SPDX-License-Identifier: Apache-2.0
"""Protocol ssh against the real sshd on a high port, with keys and known_hosts of its own.

libssh looks for ~/.ssh in the password file's home, so each call has another folder mounted there, for itself alone.
"""

import contextlib
import os
import pathlib
import pwd
import shutil
import subprocess

from harness.tool import differences
from content import make_content
from kit import conformance, interrupted, unfinished
from relay import Relay
from servers import Server, free_port, missing, running

NEEDS = ("sshd", "ssh-keygen", "ssh-agent", "unshare")

CONFIG = """Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/home/id_ed25519.pub
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PermitRootLogin yes
Subsystem sftp internal-sftp
"""


def make_key(path, kind="ed25519"):
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path], check=True, capture_output=True)


def with_home(home):
    """A command's beginning by which it has that folder for its ~/.ssh."""
    place = os.path.join(pwd.getpwuid(os.geteuid()).pw_dir, ".ssh")
    return ["unshare", "-m", "sh", "-c", f'mkdir -p -m 700 {place} && mount --bind "$0" {place} && exec "$@"', home]


class Site:
    """An sshd, the folders ~/.ssh of its users, and a folder for each tool."""

    def __init__(self, folder, prefix=()):
        self.folder = folder
        self.port = free_port()
        make_key(folder / "host")
        make_key(folder / "other")
        make_key(folder / "ecdsa", "ecdsa")
        homes = {"home": "host", "empty": None, "bad": "other", "type": "ecdsa", "nokey": "host"}
        for home in homes:
            (folder / home).mkdir()
        make_key(folder / "home/id_ed25519")
        for home, known in homes.items():
            if home not in ("home", "nokey"):
                shutil.copy(folder / "home/id_ed25519", folder / home)
            if known:
                key = (folder / f"{known}.pub").read_text().split()
                (folder / home / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {key[0]} {key[1]}\n")
        for name in ("genuine", "ours"):
            (folder / name).mkdir()
            make_content(folder / name / "disk")
        (folder / "sshd_config").write_text(CONFIG.format(folder=folder, port=self.port))
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        program = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        self.server = Server([*prefix, program, "-D", "-e", "-f", folder / "sshd_config"], folder, self.port)

    def url(self, tool, port=None):
        return f"ssh://127.0.0.1:{port or self.port}{self.folder}/{tool.label}"

    def run(self, tool, *command, home="home", **options):
        """{url}, {host} and {path} in arguments are the server's; what is different for each tool is named alike."""
        own = self.folder / tool.label
        names = {"url": self.url(tool), "path": str(own), "host": f"server.host=127.0.0.1,server.port={self.port}", "port": self.port}
        arguments = [filled(argument, names) for argument in command]
        got = tool.run(*arguments, cwd=own, prefix=[*options.pop("environment", ()), *with_home(self.folder / home)], **options)
        return got._replace(**{part: getattr(got, part).replace(str(own), "DIR") for part in ("out", "err")})

    def fingerprint(self, kind):
        text = subprocess.run(["ssh-keygen", "-l", "-E", kind, "-f", self.folder / "host.pub"], check=True, capture_output=True, text=True).stdout
        return text.split()[1].removeprefix("MD5:")


def filled(argument, names):
    for name, value in names.items():
        argument = str(argument).replace("{%s}" % name, str(value))
    return argument


@contextlib.contextmanager
def site(folder, prefix=()):
    place = Site(folder, prefix)
    with running(place.server):
        yield place


class Ssh:
    """The cases of one run."""

    def __init__(self, oracle, tool):
        self.oracle = oracle
        self.tool = tool

    def both(self, place, commands, home="home", **options):
        for command in commands:
            wanted, got = (place.run(tool, *command, home=home, **options) for tool in (self.oracle, self.tool))
            yield f"{home}: {' '.join(command)}", differences("", wanted, got)

    def names(self, folder):
        with site(folder) as place:
            md5 = place.fingerprint("md5")
            urls = ["{url}/disk", "{url}/disk#x", "{url}/disk?host_key_check=no", "{url}/disk?host_key_check=yes", "{url}/disk?host_key_check",
                    "{url}/disk?host_key_check=", "{url}/disk?host_key_check=foo", "{url}/disk?host_key_check=md5:00",
                    "{url}/disk?host_key_check=sha1:00", "{url}/disk?host_key_check=sha256:00", f"{{url}}/disk?host_key_check=md5:{md5}",
                    f"{{url}}/disk?host_key_check=md5:{md5.replace(':', '').upper()}", "{url}/nope", "{url}/a b%20c", "{url}",
                    "ssh:x", "ssh://", "ssh://h", "ssh:///x", "ssh://h:x/y", "ssh://h:99999/y", "ssh://h/%zz", "ssh://127.0.0.1:1/x",
                    "ssh://nosuchhost.invalid/x", "ssh://[::1]:1/x", "ssh://u:p@127.0.0.1:{port}{path}/disk"]
            yield from self.both(place, [["info", url] for url in urls] + [["info", "--output=json", "{url}/disk"]])

    def options(self, folder):
        texts = ["", "path=/x", "host=127.0.0.1", "port=1,path=/x", "host=127.0.0.1,port={port},path={path}/disk", "host=127.0.0.1,port=x,path=/x",
                 "server.host=127.0.0.1,path=/x", "server.port=1,path=/x", "server.host=127.0.0.1,server.port=x,path=/x",
                 "filename={url}/disk", "{host},path={path}/disk,host=127.0.0.1,port={port}"]
        more = ["", ",server.foo=on", ",host_key_check=no", ",host-key-check.mode=none", ",host-key-check.mode=foo",
                ",host-key-check.type=md5", ",host-key-check.mode=hash", ",host-key-check.mode=hash,host-key-check.type=md5",
                ",host-key-check.mode=hash,host-key-check.type=foo,host-key-check.hash=00", ",user=nosuchuser",
                ",host-key-check.mode=hash,host-key-check.type=sha1,host-key-check.hash=00", ",host-key-check.mode=none,host-key-check.type=md5"]
        texts += ["{host},path={path}/disk" + text for text in more]
        server = '"server":{"host":"127.0.0.1","port":"{port}"}'
        names = ['json:{"driver":"raw","offset":512,"file":{"driver":"ssh","path":"{path}/disk",%s,"host-key-check":{"mode":"none"}}}' % server,
                 'json:{"driver":"raw","offset":512,"file":{"driver":"ssh","path":"{path}/disk","host":"127.0.0.1","port":"{port}",'
                 '"user":"root","host_key_check":"yes"}}']
        with site(folder) as place:
            yield from self.both(place, [["info", "--image-opts", f"driver=ssh{',' if text else ''}{text}"] for text in texts])
            yield from self.both(place, [["info", name] for name in names])

    def keys(self, folder):
        """Of the server in known_hosts, of the user in ~/.ssh and in the agent."""
        with site(folder) as place:
            for home in ("home", "empty", "bad", "type", "nokey"):
                yield from self.both(place, [["info", "{url}/disk"], ["info", "{url}/disk?host_key_check=no"]], home)
            agent = Server(["ssh-agent", "-D", "-a", folder / "agent"], folder, "agent")
            with running(agent):
                environment = ["env", f"SSH_AUTH_SOCK={folder / 'agent'}"]
                subprocess.run([*environment, "ssh-add", "-q", folder / "home/id_ed25519"], check=True, capture_output=True)
                yield "agent", [] if place.run(self.tool, "info", "{url}/disk", home="nokey", environment=environment).status == 0 else ["refused"]
                yield from self.both(place, [["info", "{url}/disk"]], "nokey", environment=environment)

    def images(self, folder):
        commands = [["create", "-f", "raw", "{url}/new", "1000000"], ["create", "-f", "raw", "{url}/new", "0"], ["info", "{url}/new"],
                    ["create", "-f", "raw", "{url}/new", "2M"], ["create", "-f", "raw", "-o", "preallocation=full", "{url}/new", "2M"],
                    ["create", "-f", "raw", "-o", "help", "{url}/new"], ["create", "-f", "raw", "{url}/no/such", "1M"],
                    ["create", "-f", "raw", "ssh://127.0.0.1:1/x", "1M"], ["create", "-f", "raw", "ssh:x", "1M"],
                    ["create", "-f", "ssh", "{url}/as-ssh", "1M"],
                    ["resize", "-f", "raw", "{url}/new", "4M"], ["resize", "-f", "raw", "{url}/new", "1M"],
                    ["resize", "-f", "raw", "--shrink", "{url}/new", "1M"], ["resize", "-f", "raw", "--preallocation=full", "{url}/new", "5M"],
                    ["convert", "-f", "raw", "-O", "raw", "{url}/disk", "local.raw"], ["convert", "-f", "raw", "-O", "raw", "disk", "{url}/remote.raw"],
                    ["convert", "-n", "-f", "raw", "-O", "raw", "disk", "{url}/new"], ["convert", "-n", "-f", "raw", "-O", "raw", "disk", "{url}/nope"],
                    ["compare", "-f", "raw", "-F", "raw", "{url}/disk", "new"], ["map", "-f", "raw", "--output=json", "{url}/disk"],
                    ["convert", "-f", "raw", "-O", "qcow2", "{url}/disk", "{url}/image"], ["check", "{url}/image"], ["resize", "{url}/image", "64M"],
                    ["compare", "{url}/image", "disk"], ["create", "-f", "qcow2", "-b", "image", "-F", "qcow2", "{url}/overlay"],
                    ["info", "--backing-chain", "{url}/overlay"], ["measure", "-f", "raw", "-O", "qcow2", "{url}/disk"]]
        with site(folder) as place:
            yield from self.both(place, commands)
            made = place.run(self.tool, "snapshot", "-c", "s", "{url}/image")
            yield "snapshot", [] if made.status == 0 else [str(made)]
            checked = self.oracle.run("check", "ours/image", cwd=folder)
            yield "the genuine tool's check of ours", [] if checked.status == 0 else [checked.out + checked.err]
        for name in ("new", "local.raw", "remote.raw", "as-ssh"):
            one, other = ((folder / tool / name).read_bytes() for tool in ("genuine", "ours"))
            yield f"content of {name}", [] if one == other else [f"{len(one)} and {len(other)} bytes, or they differ"]

    def large(self, folder):
        """Enough for all connections at once, each with many requests in flight."""
        with site(folder) as place:
            (folder / "ours/big").write_bytes(os.urandom(24 << 20))
            with Relay(place.port) as relay:
                url = place.url(self.tool, relay.port)
                query = "?host_key_check=no"
                for name, command in {"read": [f"{url}/big{query}", "copy"], "write": ["big", f"{url}/copy{query}"]}.items():
                    relay.connections = 0
                    (folder / "ours/copy").unlink(missing_ok=True)
                    got = place.run(self.tool, "convert", "-W", "-m", "8", "-f", "raw", "-O", "raw", *command)
                    same = got.status == 0 and (folder / "ours/copy").read_bytes() == (folder / "ours/big").read_bytes()
                    yield name, [] if same else [str(got)]
                    yield f"{name}: connections", [] if 3 <= relay.connections <= 7 else [str(relay.connections)]

    def cut(self, folder):
        """Connections that break somewhere: an error, and nothing that looks whole."""
        with site(folder) as place:
            for name, command in {"read": ["{relay}/disk{query}", "copy"], "write": ["disk", "{relay}/copy{query}"]}.items():
                for allowed in (0, 1000, 3000, 5000, 500000 if name == "read" else 5500):
                    (folder / "ours/copy").unlink(missing_ok=True)
                    with Relay(place.port, allowed) as relay:
                        names = {"relay": place.url(self.tool, relay.port), "query": "?host_key_check=no"}
                        got = place.run(self.tool, "convert", "-f", "raw", "-O", "raw", *(filled(one, names) for one in command))
                    known = got.err.startswith("qemu-img: ") and any(text in got.err for text in (
                        "Input/output error", "failed to", "error while"))
                    yield f"{name} after {allowed}", [] if got.status == 1 and known and got.seconds < 10 else [str(got)]

    def silent(self, folder):
        """A server that says nothing any more is an error in time; Ctrl-C does not wait for it."""
        with site(folder) as place:
            (folder / "ours/disk").write_bytes(bytes(range(256)) * (64 << 12))
            for name, allowed in {"connecting": 0, "logging in": 2500, "reading": 10 << 20}.items():
                with Relay(place.port, allowed, silent=True) as relay:
                    options = f"driver=ssh,host=127.0.0.1,port={relay.port},path={{path}}/disk,host_key_check=no,request-timeout=1"
                    command = ["convert", "--image-opts", "-O", "raw", options, "copy"]
                    got = place.run(self.tool, *command)
                    yield name, [] if got.status == 1 and "timed out" in got.err and 0.9 < got.seconds < 4 else [str(got)]
                with Relay(place.port, allowed, silent=True) as relay:
                    url = f"{place.url(self.tool, relay.port)}/disk?host_key_check=no"
                    yield f"interrupted {name}", interrupted(self.tool, folder, ["convert", "-f", "raw", "-O", "raw", url, "copy"],
                                                             prefix=with_home(folder / "home"))

    def refused(self, folder):
        """A full disk, and a file that may not be written."""
        small = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=256k none "$0" && exec "$@"', folder / "small"]
        (folder / "small").mkdir()
        with site(folder, small) as place:
            for tool in ("genuine", "ours"):
                (folder / tool / "read-only").symlink_to("/proc/version")
                (folder / tool / "full").symlink_to("/dev/full")
                (folder / tool / "small").symlink_to(folder / "small" / tool)
            got = place.run(self.tool, "convert", "-f", "raw", "-O", "raw", "disk", "{url}/small")
            wanted = "qemu-img: error while writing at byte"
            yield "full disk", [] if got.status == 1 and got.err.startswith(wanted) and "Input/output error" in got.err else [str(got)]
            yield from self.both(place, [["convert", "-n", "-f", "raw", "-O", "raw", "disk", "{url}/read-only"],
                                         ["create", "-f", "raw", "{url}/full", "1M"]])

    def unfinished(self, folder):
        with site(folder) as place:
            yield from unfinished(self.tool, place.run, folder / "ours", place.url(self.tool), ("new", "link"), with_home(folder / "home"))

    def conformance(self, folder):
        with site(folder) as place:
            yield from conformance(self.tool, folder, f"ssh://127.0.0.1:{place.port}", "ssh", prefix=with_home(folder / "home"))


def cases(oracle, tool):
    suite = Ssh(oracle, tool)
    for method in ("names", "options", "keys", "images", "large", "cut", "silent", "refused", "unfinished", "conformance"):
        yield f"ssh {method}", getattr(suite, method)


def lacking():
    return missing(*NEEDS) or ([] if os.geteuid() == 0 else ["the rights of root, for mount namespaces"])
