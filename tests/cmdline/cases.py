# SPDX-License-Identifier: Apache-2.0
"""One case: both tools run the same command lines in equal folders; texts, statuses and what they leave must agree."""

import re
import shlex

from fixtures import KEY
from harness.qcow2_bitmaps import bitmaps
from harness.results import Outcome, equal
from harness.tool import differences, without_length

SECONDS = re.compile(r"(Run completed in )[0-9.]+ seconds")
FILE_LENGTH = re.compile(r"file length: .*")
WRAPPED = "Failed request: Input/output error\n"
PROGRESS = re.compile(r"(?: *\([0-9.]+/100%\)\r)+")


def shown(lines):
    """As one would type it."""
    return " ; ".join(shlex.join(line) if line else "''" for line in lines)


def comparable(line, result):
    """Without what depends on the pace, and without our own words for --help. Of progress counts that there is some."""
    out, count = PROGRESS.subn("", SECONDS.sub(r"\1* seconds", result.out))
    out = "(progress)" + out if count else out
    if re.match("Usage: ?", out):
        out = "Usage"
    return result._replace(out=out)


class Case:
    """Some command lines, one after the other. prefix: what runs ours."""

    def __init__(self, oracle, tool, fixtures, lines, used, prefix=()):
        self.tools = oracle, tool
        self.fixtures = fixtures
        self.lines = lines
        self.used = used
        self.prefixes = (), prefix

    def __call__(self, top):
        folders = [top / tool.label for tool in self.tools]
        for folder in folders:
            self.fixtures.copy(self.used, folder)
        problems = self.run(folders)
        yield "", problems or self.left(folders)

    def run(self, folders):
        for number, line in enumerate(self.lines):
            problems = self.run_one(line, folders, number > 0)
            if problems:
                return problems
        return []

    def run_one(self, line, folders, later):
        before = {path.name for path in folders[1].iterdir()}
        wanted, got = (comparable(line, tool.run(*line, cwd=folder, prefix=prefix)) for tool, folder, prefix in zip(self.tools, folders, self.prefixes))
        if line and line[0] == "bench" and wanted.err.endswith(WRAPPED) and got.status == 0:
            return []  # a defect of the genuine tool: requests beyond the end
        if wanted.status and got.status and line and line[0] in ("create", "convert", "dd"):
            self.forget_failed(*folders, before)
        if later and line[:1] == ["info"]:  # how long a file became depends on the order in which clusters were taken
            wanted, got = (result._replace(out=FILE_LENGTH.sub("", without_length(result.out))) for result in (wanted, got))
        return differences(shown([line]), wanted, got)

    def forget_failed(self, theirs, ours, before):
        """Where a target could not be made, the genuine tool leaves what is not whole, or has removed what was there."""
        for name in sorted({path.name for folder in (theirs, ours) for path in folder.iterdir()}):
            left, right, original = theirs / name, ours / name, self.fixtures.folder / name
            kept = name in before and not left.exists() or original.exists() and right.exists() and equal(right, original)
            if right.exists() and not kept:
                continue
            if not (left.exists() and right.exists() and equal(left, right)):
                left.unlink(missing_ok=True)
                right.unlink(missing_ok=True)

    def left(self, folders):
        outcome = Outcome(self.tools[0], KEY)
        return outcome.differences(*folders) + different_bitmaps(*folders)


def different_bitmaps(theirs, ours):
    """The bits of all bitmaps, which no command of the tool tells."""
    problems = []
    for path in sorted(theirs.glob("*.qcow2")):
        with open(path, "rb") as file:
            if file.read(4) != b"QFI\xfb" or path.name == "cut.qcow2":
                continue
        left, right = bitmaps(path), bitmaps(ours / path.name)
        problems += [f"bitmap {name} of {path.name} differs" for name in left if left[name] != right.get(name)]
    return problems
