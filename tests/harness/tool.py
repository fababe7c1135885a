# SPDX-License-Identifier: Apache-2.0
"""A disk image tool under test or the genuine one: how it is run, and what of its output may differ."""

import itertools
import os
import pathlib
import re
import resource
import select
import subprocess
import tempfile
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parents[2]
TIMEOUT = 60
ENVIRONMENT = {"LC_ALL": "C", "LANG": "C", "TZ": "UTC", "PATH": os.environ["PATH"], "HOME": "/nonexistent"}
# What depends on the file system or on counters, not on the tool.
VOLATILE = (
    (re.compile(r'("actual-size": )\d+'), r"\g<1>0"),
    (re.compile(r"(disk size: ).*"), r"\1*"),
    (re.compile(r'("?uuid"?: "?)[0-9a-f-]{36}'), r"\1*"),
    (re.compile(r'("?(?:iters|master-key-iters|master key iters)"?: )\d+'), r"\g<1>0"),
    (re.compile(r"#block\d+"), "#block*"),
    (re.compile(r"(qemu-img version 10\.0\.\d+) \(.*\)\nCopyright .*"), r"\1"),
)


def without_volatile(text):
    for pattern, replacement in VOLATILE:
        text = pattern.sub(replacement, text)
    return text


class Result(NamedTuple):
    """What one call gave. status is negative for a signal, None when it had to be stopped."""

    status: int
    out: str
    err: str
    peak: int = 0  # KiB
    seconds: float = 0.0

    def plain(self):
        return self._replace(out=without_volatile(self.out), err=without_volatile(self.err), peak=0, seconds=0.0)


def without_length(text):
    """info --output=json without the length of the image's file: how many clusters were filled to their end."""
    return re.sub(r'("virtual-size": )\d+(,\s+"filename": "[^"]*",\s+"format": "file")', r"\1*\2", text)


def differences(name, wanted, got):
    """Lines that say how two results differ; none if they don't. wanted is the genuine tool's."""
    wanted, got = wanted.plain(), got.plain()
    problems = []
    for part in ("status", "out", "err"):
        left, right = getattr(wanted, part), getattr(got, part)
        if left != right:
            problems += [f"{name}: {part}", *told_apart(left, right)]
    return problems


def told_apart(left, right):
    """Of long texts only the lines that differ."""
    if isinstance(left, str) and max(left.count("\n"), right.count("\n")) > 4:
        pairs = [(a.strip(), b.strip()) for a, b in itertools.zip_longest(left.splitlines(), right.splitlines(), fillvalue="-") if a != b]
        return [f"  genuine: {a}    ours: {b}" for a, b in pairs[:4]]
    return [f"  genuine: {shortened(left)}", f"  ours:    {shortened(right)}"]


def shortened(value, limit=700):
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


class Tool:
    """One program. Its name as it was typed, which error texts repeat, is replaced by "qemu-img"."""

    def __init__(self, label, program):
        self.label = label
        self.program = str(program)
        self.typed = [self.program]
        found = re.search(r"Try '(.*) --help'", self.run(cwd="/").err)
        if found:
            self.typed.append(found.group(1))

    def run(self, *args, cwd, timeout=TIMEOUT, prefix=(), program=None):
        start = time.monotonic()
        command = [*prefix, program or self.program, *map(str, args)]
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            # pylint: disable-next=consider-using-with  # waited for below, with its resource usage
            process = subprocess.Popen(command, cwd=cwd, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
            status, peak = wait(process, timeout)
            out.seek(0)
            err.seek(0)
            return Result(status, self.text(out.read()), self.text(err.read()), peak, time.monotonic() - start)

    def text(self, data):
        text = data.decode("utf-8", "backslashreplace")
        for typed in getattr(self, "typed", ()):
            text = text.replace(typed, "qemu-img")
        return text

    def must(self, *args, cwd, **options):
        """Runs what a case only needs as a step; anything but success is an error of the case itself."""
        result = self.run(*args, cwd=cwd, **options)
        if result.status:
            raise StepFailed(f"{self.label} {' '.join(map(str, args))}: status {result.status}: {result.err.strip()}")
        return result


def wait(process, timeout):
    """The status of a process, None if it had to be killed, and its peak of resident memory in KiB, 0 where that is not known."""
    handle = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        ended = bool(poll.poll(timeout * 1000))
        if not ended:
            process.kill()
        _, status, usage = os.wait4(process.pid, 0)
    finally:
        os.close(handle)
    process.returncode = os.waitstatus_to_exitcode(status)
    # What this process had when it started the other counts as the other's: a figure that is no larger says nothing.
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return process.returncode if ended else None, usage.ru_maxrss if usage.ru_maxrss > own else 0


class StepFailed(Exception):
    """A step that prepares a case did not succeed."""


class Genuine(Tool):
    """The oracle, with qemu-io beside it."""

    def __init__(self, folder):
        super().__init__("genuine", pathlib.Path(folder) / "bin/qemu-img")
        self.qemu_io = str(pathlib.Path(folder) / "bin/qemu-io")

    def io(self, image, *commands, cwd, options=("-f", "qcow2"), check=True):
        args = [*options]
        for command in commands:
            args += ["-c", command]
        result = self.run(*args, str(image), cwd=cwd, program=self.qemu_io)
        if check and (result.status or "failed" in result.out):
            raise StepFailed(f"qemu-io {image} {commands}: {result.out} {result.err}")
        return result


def ours():
    """The installed tool under its compatible name. INSTAR_PREFIX is what tools/install was given."""
    program = pathlib.Path(os.environ.get("INSTAR_PREFIX") or ROOT / "out/stage").resolve() / "bin/qemu-img"
    if not program.exists():
        raise SystemExit(f"{program} is missing: install with tools/install and set INSTAR_PREFIX")
    return Tool("ours", program)


def genuine(required=True):
    """The oracle, or None if the caller can do without it and it isn't there."""
    folder = os.environ.get("INSTAR_REFERENCE") or ROOT / "out/reference"
    if not (pathlib.Path(folder) / "bin/qemu-img").exists():
        if required:
            raise SystemExit(f"the genuine qemu-img is missing: run tests/reference DIR and set INSTAR_REFERENCE ({folder})")
        return None
    return Genuine(pathlib.Path(folder).resolve())
