# SPDX-License-Identifier: Apache-2.0
"""Runs the tool's commands over one bad image, within limits, and judges what came of it."""

import os
import sys

from harness.tool import Tool, differences

ADDRESS_SPACE = 1 << 30
CPU_SECONDS = 30
WALL_SECONDS = 40
LARGEST_COMPARED = 64 << 20  # bytes
# Sanitizers take their own share of memory, and tell by a status of their own what they found.
SANITIZED = bool(os.environ.get("INSTAR_SANITIZED"))
RESIDENT = (2048 if SANITIZED else 256) << 10  # KiB
LIMITS = ("prlimit", *(() if SANITIZED else (f"--as={ADDRESS_SPACE}",)), f"--cpu={CPU_SECONDS}", "--core=0", "--nofile=1024", "--")
SANITIZER_SAYS = ("AddressSanitizer", "runtime error:", "LeakSanitizer")
COMMANDS = (
    ("info", "{}"), ("info", "--output=json", "-f", "qcow2", "{}"), ("info", "--backing-chain", "{}"), ("map", "--output=json", "{}"), ("map", "{}"),
    ("measure", "-O", "qcow2", "{}"), ("compare", "{}", "other"), ("convert", "-O", "raw", "{}", "out"), ("convert", "-O", "qcow2", "-c", "{}", "out"),
    ("convert", "-l", "one", "-O", "raw", "{}", "out"), ("convert", "-n", "-O", "qcow2", "other", "{}"), ("create", "-f", "qcow2", "-F", "qcow2", "-b", "{}", "out"),
)


def ended_badly(result):
    """What no input may cause; empty if all is well."""
    if result.status is None:
        return ["did not end"]
    if result.status < 0:
        return [f"killed by signal {-result.status}"]
    if any(said in result.err for said in SANITIZER_SAYS):
        return [next(line for line in result.err.splitlines() if any(said in line for said in SANITIZER_SAYS))]
    if result.peak > RESIDENT:
        return [f"needed {result.peak // 1024} MiB"]
    if result.status and not (result.err or result.out):
        return [f"status {result.status} without a word"]
    return []


def limits_hold(folder):
    """The limits themselves: a program that takes too much memory, one that dies, one that hangs."""
    python = Tool("python", sys.executable)
    take = python.run("-c", "x = bytearray(300 << 20); print(len(x))", cwd=folder, prefix=LIMITS)
    yield "too much memory is seen", [] if ended_badly(take) else ["it was not"]
    far = python.run("-c", "x = bytearray(2 << 30)", cwd=folder, prefix=LIMITS)
    yield "the address space is limited", [] if far.status == 1 and "MemoryError" in far.err else [str(far)]
    died = python.run("-c", "import os; os.abort()", cwd=folder, prefix=LIMITS)
    yield "a crash is seen", [] if ended_badly(died) else ["it was not"]
    hung = python.run("-c", "import time; time.sleep(60)", cwd=folder, prefix=LIMITS, timeout=1)
    yield "a hang is seen", [] if ended_badly(hung) else ["it was not"]


class Malformed:
    """All commands over one malformed image; each tool has a folder with the same files."""

    def __init__(self, oracle, tool, make):
        self.oracle = oracle
        self.tool = tool
        self.make = make
        self.folders = {}
        self.corrupt = False

    def __call__(self, top):
        for tool in filter(None, (self.oracle, self.tool)):
            folder = self.folders[tool] = top / tool.label
            folder.mkdir()
            self.make(folder)
            (folder / "other").write_bytes(b"o" * 65536 + bytes(983040))
        # What the genuine tool reads although it is corrupt may be refused; a check says whether it is.
        self.corrupt = self.oracle is not None and self.call(self.oracle, "check", "-f", "qcow2", "image").status != 0
        for command in COMMANDS:
            args = [part.format("image") for part in command]
            yield " ".join(args), self.one(args)

    def call(self, tool, *args):
        return tool.run(*args, cwd=self.folders[tool], prefix=LIMITS, timeout=WALL_SECONDS)

    def one(self, args):
        result = self.call(self.tool, *args)
        problems = ended_badly(result)
        if self.oracle and not problems:
            wanted = self.call(self.oracle, *args)
            # Long chains bring it to the limit of its address space, at one time and not at another.
            for _ in range(5):
                if accepted(args, wanted) or not accepted(args, result) or "allocate" not in wanted.err:
                    break
                wanted = self.call(self.oracle, *args)
            if not ended_badly(wanted):  # else it is the genuine tool's own defect
                problems = self.compared(args, wanted, result)
        for folder in self.folders.values():
            (folder / "out").unlink(missing_ok=True)
        return problems

    def compared(self, args, wanted, got):
        if accepted(args, wanted) != accepted(args, got):
            if self.corrupt and accepted(args, wanted):
                return []
            said = "accepts" if accepted(args, wanted) else "refuses"
            return [f"the genuine tool {said}: {wanted.out[-200:]!r} {wanted.err[:400]!r}", f"ours: {got.out[-200:]!r} {got.err[:400]!r}"]
        if args[0] == "info":
            return differences("texts", wanted, got)
        if "out" in args and "raw" in args and accepted(args, got):
            return same_contents(*(folder / "out" for folder in self.folders.values()))
        return []


def accepted(args, result):
    return result.status == 0 or (args[0] == "compare" and result.status == 1)


def same_contents(one, other):
    if one.stat().st_size != other.stat().st_size:
        return [f"sizes {one.stat().st_size} and {other.stat().st_size}"]
    if one.stat().st_size > LARGEST_COMPARED:
        return []
    return [] if one.read_bytes() == other.read_bytes() else ["the contents differ"]
