# SPDX-License-Identifier: Apache-2.0
"""Cases about texts: every command line is given to both tools in equal folders; output, status and files must agree."""

import pathlib
import subprocess

import command_lines
from content import Maker
from harness.qcow2_bitmaps import set_in_use
from harness.results import Outcome
from harness.tool import differences


class Fixtures:
    """A folder of small images, made once by the genuine tools; each case works on a copy."""

    def __init__(self, oracle):
        self.oracle = oracle
        self.folder = None

    def make(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        maker = Maker(self.oracle, self.folder)
        for image, image_format, options, content in command_lines.FIXTURES:
            maker.create(image, image_format, command_lines.SIZE, *options)
            if content == "snapshots":
                maker.write(image, image_format, [("write -P 1", 0, 65536)])
                self.oracle.must("snapshot", "-c", "one", image, cwd=self.folder)
                self.oracle.must("snapshot", "-c", "two", image, cwd=self.folder)
            elif str(content).startswith("bitmap"):
                self.mark(image, content)
            elif content:
                maker.write(image, image_format, [(f"write -P {content}", 65536, 131072), ("write -z", 262144, 65536)])
        self.oracle.must("convert", "-c", "-O", "qcow2", "a.qcow2", "packed.qcow2", cwd=self.folder)
        # Zeroes at the data file's beginning; a base that ends within a cluster of which subclusters are used.
        maker.create("zerodata.qcow2", "qcow2", command_lines.SIZE, "-o", "data_file=zerodata.bin")
        maker.write("zerodata.qcow2", "qcow2", [("write -P 1", 0, 196608), ("write -z", 0, 131072)])
        maker.create("longer.qcow2", "qcow2", 4 * command_lines.SIZE, "-b", "a.raw", "-F", "raw", "-o", "extended_l2=on,cluster_size=2M")
        maker.write("longer.qcow2", "qcow2", [("write -P 1", 131072, 65536), ("write -P 1", 1572864, 65536), ("write -z", 1703936, 65536)])
        subprocess.run(command_lines.PREPARE, shell=True, check=True, cwd=self.folder)

    def mark(self, image, content):
        names = {"bitmap": ["b"], "bitmap two": ["two"]}.get(content, ["one", "two", "three"])
        for name in names:
            self.oracle.must("bitmap", "--add", image, name, cwd=self.folder)
        if content == "bitmaps in use":
            set_in_use(self.folder / image)

    def copy(self, folder):
        subprocess.run(["cp", "-a", "--reflink=auto", self.folder, folder], check=True)


class TextCase:
    """One command line."""

    def __init__(self, oracle, tool, fixtures, line):
        self.oracle = oracle
        self.tool = tool
        self.fixtures = fixtures
        self.line = line

    def __call__(self, top):
        theirs, ours = top / "theirs", top / "ours"
        self.fixtures.copy(theirs)
        self.fixtures.copy(ours)
        wanted, got = self.oracle.run(*self.line, cwd=theirs), self.tool.run(*self.line, cwd=ours)
        yield "", differences("texts", wanted, got) + self.files(theirs, ours)

    def files(self, theirs, ours):
        exact = self.line[:1] not in (["convert"], ["snapshot"], ["bitmap"])
        new_keys = self.line[:1] == ["create"] or "--force" in self.line
        return Outcome(self.oracle, ("--object", command_lines.SECRET), exact, new_keys).differences(theirs, ours)


def name_of(line):
    shown = (part if len(part) < 100 else f"{part[:20]}...({len(part)})" for part in map(str, line))
    return " ".join(repr(part) if not part or set(part) & set(" \n'") else part for part in shown) or "(nothing)"


def cases(oracle, tool, top):
    fixtures = Fixtures(oracle)
    fixtures.make(top)
    return [(name_of(line), TextCase(oracle, tool, fixtures, line)) for line in command_lines.lines()]
