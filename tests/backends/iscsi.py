# SPDX-License-Identifier: Apache-2.0
"""Protocol iscsi against tgtd, a target in user space."""

import os
import shutil
import signal
import threading
import time

from harness.tool import differences
from content import SIZE, make_content
from kit import LOUD, conformance, interrupted, shown
from servers import Server, free_port, missing, running

NEEDS = ("tgtd", "tgtadm")
MIB = 1 << 20
PASSWORD = "one-of-sixteen.."
# Logical units of each target: a plain one, a thin one, one that is only read, one of large blocks, one that has no write cache.
LUNS = {1: "plain", 2: "thin", 3: "read-only", 4: "large-blocks", 5: "uncached"}
PARAMETERS = {"thin": "thin_provisioning=1", "read-only": "readonly=1",
              "uncached": "mode_page=8:0:18:0x10:0:0xff:0xff:0:0:0xff:0xff:0xff:0xff:0x80:0x14:0:0:0:0:0:0"}

# The server does not end for a TERM. One that was killed may have its lock and its port for a moment yet.
START = """set -e
export TGT_IPC_SOCKET=ipc
launch() {{ tgtd -f -C 1 --iscsi portal=127.0.0.1:{port} & tgtd=$!; }}
trap 'kill -9 $tgtd' TERM
admin() {{ tgtadm -C 1 --lld iscsi "$@"; }}
launch
until admin --op show --mode target >/dev/null 2>&1; do
  kill -0 $tgtd 2>/dev/null || launch
  sleep 0.02
done
{commands}
touch ready
wait
"""


class Site:
    """The server, with a target for each tool that has the same units, and one with CHAP."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        for name in ("genuine", "ours"):
            (folder / name).mkdir()
            for unit in LUNS.values():
                make_content(folder / name / unit)
        make_content(folder / "disk", 2)
        (folder / "password").write_text(PASSWORD)
        self.server = Server(["sh", "-c", START.format(port=self.port, commands="\n".join(self.commands()))], folder, "ready")

    def commands(self):
        yield f"admin --op new --mode account --user joe --password {PASSWORD}"
        for number, name in enumerate(("genuine", "ours", "chap"), 1):
            yield f"admin --op new --mode target --tid {number} -T iqn.t:{name}"
            for lun, unit in LUNS.items():
                where = f"--mode logicalunit --tid {number} --lun {lun}"
                store = self.folder / ("ours" if name == "chap" else name) / unit
                yield f"admin --op new {where} -b {store}" + (" --blocksize 4096" if unit == "large-blocks" else "")
                if unit in PARAMETERS:
                    yield f"admin --op update {where} --params {PARAMETERS[unit]}"
            yield f"admin --op bind --mode target --tid {number} -I ALL"
        yield "admin --op bind --mode account --tid 3 --user joe"

    def url(self, tool):
        return f"iscsi://127.0.0.1:{self.port}/iqn.t:{tool.label}"

    def run(self, tool, *command, **options):
        names = {"{url}": self.url(tool), "{host}": f"127.0.0.1:{self.port}", "{target}": f"iqn.t:{tool.label}",
                 "{options}": f"driver=iscsi,transport=tcp,portal=127.0.0.1:{self.port},target=iqn.t:{tool.label}"}
        arguments = []
        for argument in map(str, command):
            for name, value in names.items():
                argument = argument.replace(name, value)
            arguments.append(argument)
        got = tool.run(*arguments, cwd=self.folder / tool.label, **options)
        return got._replace(**{part: getattr(got, part).replace(f"iqn.t:{tool.label}", "TARGET") for part in ("out", "err")})


class Iscsi:
    """The cases of one run."""

    def __init__(self, oracle, tool):
        self.oracle = oracle
        self.tool = tool

    def both(self, place, commands):
        for command in commands:
            wanted, got = (place.run(tool, *command) for tool in (self.oracle, self.tool))
            yield " ".join(map(str, command)), differences("", wanted, got)

    def names(self, folder):
        place = Site(folder)
        urls = ["{url}/1", "{url}/2", "{url}/3", "{url}/4", "{url}/1?x=y", "{url}/99", "iscsi://{host}/iqn.t:none/1", "iscsi://{host}/iqn.t:chap/1",
                "iscsi://joe@{host}/iqn.t:chap/1", "iscsi://joe%wrong@{host}/iqn.t:chap/1", "{url}", "{url}/x", "{url}/1x", "iscsi://{host}", "iscsi:",
                "iscsi:x", "iscsi://", "iscsi:///t/1", "iscsi://nosuchhost.invalid/t/1", "iscsi://[::1/t/1"]
        options = ["driver=iscsi", "driver=iscsi,transport=tcp", "driver=iscsi,portal={host},target={target}", "driver=iscsi,filename={url}/1",
                   "driver=iscsi,transport=tcp,portal=x,target=y", "driver=iser,transport=tcp,portal={host},target={target},lun=1"]
        options += ["{options}" + more for more in (
            ",lun=1", ",lun=x", ",lun=1,transport=foo", ",lun=1,timeout=5", ",lun=1,timeout=x", ",lun=1,header-digest=crc32c", ",lun=1,header-digest=none",
            ",lun=1,header-digest=crc32c-none", ",lun=1,header-digest=md5", ",lun=1,initiator-name=iqn.me", ",lun=1,initiator-name=", ",lun=1,user=joe",
            ",lun=1,user=joe,password=x,password-secret=s", ",lun=1,user=joe,password-secret=none", ",lun=1,password-secret=none", ",lun=1,bogus=1",
            ",lun=3,read-only=off,auto-read-only=on", ",lun=1,user=joe,password-secret=s")]
        chap = "driver=iscsi,transport=tcp,portal={host},target=iqn.t:chap,lun=1,user=joe,password-secret="
        secrets = ["--object", f"secret,id=s,file={folder}/password", "--object", "secret,id=wrong,data=wrong"]
        commands = [["info", url] for url in urls] + [["info", *secrets, "--image-opts", text] for text in options + [chap + "s", chap + "wrong"]]
        commands += [["info", "--output=json", "{url}/2"],
                     ["info", 'json:{"driver":"raw","offset":512,"file":{"driver":"iscsi","transport":"tcp","portal":"{host}","target":"{target}","lun":2}}']]
        with running(place.server):
            yield from self.both(place, commands)

    def images(self, folder):
        place = Site(folder)
        raw = ["-f", "raw", "-O", "raw"]
        commands = [["create", "-f", "raw", "{url}/1", SIZE], ["create", "-f", "raw", "{url}/4", SIZE - 512], ["create", "-f", "raw", "{url}/1", SIZE + 512],
                    ["create", "-f", "raw", "{url}/3", "1M"], ["create", "-f", "raw", "{url}/99", "1M"], ["create", "-f", "raw", "iscsi:x", "1M"],
                    ["create", "-f", "raw", "-o", "help", "{url}/1"], ["create", "-f", "raw", "-o", "preallocation=full", "{url}/1", "1M"],
                    ["create", "-f", "iscsi", "{url}/1", "1M"], ["resize", "-f", "raw", "{url}/1", "+1M"], ["resize", "-f", "raw", "{url}/1", SIZE],
                    ["resize", "-f", "raw", "--shrink", "{url}/1", "1M"], ["resize", "-f", "raw", "{url}/3", "+1M"]]
        for lun in (1, 2, 4):
            commands += [["map", "-f", "raw", "--output=json", f"{{url}}/{lun}"], ["convert", *raw, f"{{url}}/{lun}", f"local{lun}"],
                         ["compare", "-f", "raw", "-F", "raw", f"{{url}}/{lun}", f"local{lun}"], ["convert", *raw, "-n", "../disk", f"{{url}}/{lun}"],
                         ["compare", "-f", "raw", "-F", "raw", f"{{url}}/{lun}", "../disk"], ["map", "-f", "raw", "--output=json", f"{{url}}/{lun}"]]
        commands += [["convert", *raw, "../disk", "{url}/3"], ["convert", *raw, "-n", "../disk", "{url}/3"], ["convert", *raw, "{url}/3", "{url}/1"],
                     ["measure", "-f", "raw", "-O", "qcow2", "{url}/2"], ["dd", *raw, "bs=1000", "if={url}/4", "of=dd"],
                     ["create", "-f", "qcow2", "{url}/4", "2M"], ["info", "{url}/4"], ["check", "{url}/4"], ["resize", "{url}/4", "3M"],
                     ["create", "-f", "qcow2", "-b", "{url}/2", "-F", "raw", "overlay"]]
        with running(place.server):
            yield from self.both(place, commands)
            made = place.run(self.tool, "snapshot", "-c", "s", "{url}/4")
            yield "ours: snapshot", [] if made.status == 0 else [str(made)]
            checked = place.run(self.oracle, "check", f"{place.url(self.tool)}/4")
            yield "the genuine tool's check of ours", [] if checked.status == 0 else [str(checked)]
        for name in ("plain", "thin", "local1", "local2", "local4", "dd"):
            one, other = ((folder / tool / name) for tool in ("genuine", "ours"))
            yield f"content of {name}", [] if one.read_bytes() == other.read_bytes() else ["differs"]
        one, other = ((folder / tool / "thin").stat().st_blocks for tool in ("genuine", "ours"))
        yield "thin: space", [] if one == other else [f"{one} and {other} sectors"]

    def make_large(self, folder, mebibytes):
        """Units of 24 MiB, and what fills as much of them."""
        (folder / "ours/big").write_bytes(os.urandom(mebibytes * MIB))
        for unit in ("plain", "thin", "uncached"):
            shutil.copy(folder / "ours/big", folder / "ours" / unit)
            os.truncate(folder / "ours" / unit, 24 * MIB)

    def large(self, folder):
        """More than one command can carry, all requests at once; a thin unit loses what becomes zero."""
        place = Site(folder)
        self.make_large(folder, 16)
        os.truncate(folder / "ours/big", 24 * MIB)
        raw = ["-f", "raw", "-O", "raw"]
        with running(place.server):
            for lun, unit in ((1, "plain"), (2, "thin")):
                for name, command in {"write": ["-n", "big", f"{{url}}/{lun}"], "read": [f"{{url}}/{lun}", "copy"]}.items():
                    got = place.run(self.tool, "convert", "-W", "-m", "16", *raw, *command)
                    same = got.status == 0 and (folder / "ours" / ("copy" if name == "read" else unit)).read_bytes() == (folder / "ours/big").read_bytes()
                    yield f"{unit}: {name}", [] if same else [str(got)]
            os.truncate(folder / "ours/big", 0)
            os.truncate(folder / "ours/big", 24 * MIB)
            place.run(self.tool, "convert", *raw, "-n", "big", "{url}/2")
            left = (folder / "ours/thin").stat().st_blocks
            yield "thin: zeroes take no space", [] if left == 0 else [f"{left} sectors"]

    def secrets(self, folder):
        """The password never shows, however loud the log is."""
        place = Site(folder)
        loud = {"prefix": ["env", "LIBISCSI_DEBUG=10"]}
        to = "driver=iscsi,transport=tcp,portal={host},target=iqn.t:chap,lun=1,user=joe,"
        with running(place.server):
            runs = {"a secret": ["info", "--object", f"secret,id=s,file={folder}/password", "--image-opts", to + "password-secret=s"],
                    "a name": ["info", f"iscsi://joe%{PASSWORD}@{{host}}/iqn.t:chap/1"]}
            for name, command in runs.items():
                got = place.run(self.tool, *LOUD, *command, **loud)
                yield name, ([] if got.status == 0 and "virtual size" in got.out else [str(got)]) + shown(got, PASSWORD)
            wrong = place.run(self.tool, *LOUD, "info", "--object", f"secret,id=s,data={PASSWORD[:-1]}", "--image-opts", to + "password-secret=s", **loud)
            right = wrong.status == 1 and "Authentication failure(513)" in wrong.err
            yield "a wrong one", ([] if right else [str(wrong)]) + shown(wrong, PASSWORD[:-1])

    def errors(self, folder):
        """What the target can't read is told as by the genuine tool; no target, and a unit that is no disk, are told more clearly."""
        place = Site(folder)
        with running(place.server):
            for tool in (self.oracle, self.tool):
                os.truncate(folder / tool.label / "uncached", 0)
            wanted, got = (place.run(tool, "convert", "-m", "1", "-f", "raw", "-O", "raw", "{url}/5", "out") for tool in (self.oracle, self.tool))
            yield "content that can't be read", differences("", wanted, got) or ([] if got.status == 1 and "READ10/16 failed" in got.err else [str(got)])
            runs = {"iscsi://127.0.0.1:1/t/1": "Connection refused", "{url}/0": "LUN 0 is no disk (device type 12)", "{url}/65536": "LUN 65536 is not between 0 and 65535",
                    "{url}/-1": "is not between 0 and 65535", "iser://{host}/{target}/1": "Failed creating Event Channel"}
            for name, text in runs.items():
                got = place.run(self.tool, "info", name)
                yield name.replace("{host}", "HOST"), [] if got.status == 1 and text in got.err else [str(got)]

    def faults(self, folder):
        """The server dies, or falls silent, in the middle; Ctrl-C does not wait for it."""
        place = Site(folder)
        self.make_large(folder, 24)
        slow = ["convert", "-r", "4M"]  # so that much is still to be read when the server ends
        target = "{options},timeout=1,lun="
        ways = {"read": [*slow, "-O", "raw", "--image-opts", target + "1", "out"],
                "write": [*slow, "-S", "0", "-n", "--image-opts", "--target-image-opts", "driver=raw,file.filename=big", target + "2"]}
        for number, way in ((signal.SIGKILL, "dies"), (signal.SIGSTOP, "falls silent")):
            for name, command in ways.items():
                with running(place.server):
                    timer = threading.Timer(0.7, place.server.kill, [number])
                    timer.start()
                    got = place.run(self.tool, *command, timeout=20)
                    timer.join()
                said = any(text in got.err for text in ("Input/output error", "timed out"))
                yield f"{name}: {way}", [] if got.status == 1 and said and got.seconds < 6 else [str(got)]
        with running(place.server):
            timer = threading.Timer(0.5, place.server.kill, [signal.SIGSTOP])
            timer.start()
            yield "interrupted", interrupted(self.tool, folder, [*slow, "-f", "raw", "-O", "raw", f"{place.url(self.tool)}/1", "out"])
            timer.join()
            yield "interrupted when connecting", interrupted(self.tool, folder, ["info", f"{place.url(self.tool)}/1"], 0.5)

    def restarted(self, folder):
        """It comes back in time, and the copy is whole; it had a write cache, which is gone, and that is an error."""
        place = Site(folder)
        self.make_large(folder, 24)

        def restart():
            place.server.kill()
            place.server.stop()
            time.sleep(0.3)
            place.server.start()

        slow = ["convert", "-r", "8M"]
        write = [*slow, "-n", "--image-opts", "--target-image-opts", "driver=raw,file.filename=big"]
        ways = {"read": ("out", [*slow, "-O", "raw", "--image-opts", "{options},timeout=20,lun=1", "out"]),
                "write": ("uncached", [*write, "{options},timeout=20,lun=5"]), "write to a cache": (None, [*write, "{options},timeout=20,lun=1"])}
        (folder / "ours/uncached").write_bytes(bytes(24 * MIB))
        for name, (result, command) in ways.items():
            with running(place.server):
                timer = threading.Timer(0.7, restart)
                timer.start()
                got = place.run(self.tool, *command, timeout=30)
                timer.join()
            if result:
                right = got.status == 0 and got.seconds > 1 and (folder / "ours" / result).read_bytes() == (folder / "ours/big").read_bytes()
            else:
                right = got.status == 1 and "error while writing" in got.err
            yield name, [] if right else [str(got)]

    def conformance(self, folder):
        place = Site(folder)
        for unit in ("thin", "large-blocks"):
            (folder / "ours" / unit).write_bytes(bytes(16 * MIB))
        with running(place.server):
            for lun in (2, 4):
                yield from conformance(self.tool, folder, f"{place.url(self.tool)}/{lun}", "iscsi")


def cases(oracle, tool):
    suite = Iscsi(oracle, tool)
    for method in ("names", "images", "large", "secrets", "errors", "faults", "restarted", "conformance"):
        yield f"iscsi {method}", getattr(suite, method)


def lacking():
    return missing(*NEEDS)
