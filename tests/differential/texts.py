# SPDX-License-Identifier: Apache-2.0
"""Cases about texts: every command line is given to both tools in equal folders; output, status and files must agree."""

import json
import pathlib
import re
import subprocess

import command_lines
from content import Maker
from harness.tool import differences, without_length
from images import same_bytes

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
            elif content:
                maker.write(image, image_format, [(f"write -P {content}", 65536, 131072), ("write -z", 262144, 65536)])
        self.oracle.must("convert", "-c", "-O", "qcow2", "a.qcow2", "packed.qcow2", cwd=self.folder)
        subprocess.run(command_lines.PREPARE, shell=True, check=True, cwd=self.folder)

    def copy(self, folder):
        subprocess.run(["cp", "-a", "--reflink=auto", self.folder, folder], check=True)


def listing(folder):
    """Every file with its size class: what is not an image is compared by content, images by what they hold."""
    return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()}


def changed(path, original):
    if not original.exists():
        return True
    return path.stat().st_size != original.stat().st_size or path.read_bytes() != original.read_bytes()


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
        wanted, got = listing(theirs), listing(ours)
        problems = [f"only the genuine tool leaves {name}" for name in wanted.keys() - got.keys()]
        problems += [f"only ours leaves {name}" for name in got.keys() - wanted.keys()]
        for name in wanted.keys() & got.keys():
            original = self.fixtures.folder / name
            if changed(wanted[name], original) or changed(got[name], original):
                problems += self.same_file(theirs, ours, name)
        return problems

    def same_file(self, theirs, ours, name):
        left, right = (self.oracle.run("info", "--output=json", name, cwd=folder).plain() for folder in (theirs, ours))
        if left.status or right.status:
            return differences(f"info of the resulting {name}", left, right) + same_bytes(theirs / name, ours / name)
        image_format = json.loads(left.out)["format"]
        if self.line[0] in ("convert", "snapshot", "bitmap") and image_format != "raw":
            left, right = (result._replace(out=without_date(without_length(result.out))) for result in (left, right))
        problems = differences(f"info of the resulting {name}", left, right)
        if image_format == "luks" and (self.line[0] == "create" or "--force" in self.line):
            return problems  # noise, of another key each
        one, other = (own_layer(folder / name, image_format) for folder in (theirs, ours))
        compared = self.oracle.run("compare", "--object", command_lines.SECRET, one, other, cwd=theirs)
        if compared.status > 1:  # too broken to be read
            problems += same_bytes(theirs / name, ours / name)
        elif compared.status:
            problems.append(f"the resulting {name}: {compared.out}{compared.err}")
        return problems


def without_date(text):
    return re.sub(r'("date-n?sec": )\d+', r"\1*", text)


def own_layer(path, image_format):
    """The image without what stands below it, which may not even exist."""
    more = {"qcow2": {"backing": None, "encrypt.key-secret": "s"}, "luks": {"key-secret": "s"}}.get(image_format, {})
    return "json:" + json.dumps({"driver": image_format, "file": {"driver": "file", "filename": str(path)}, **more})


def name_of(line):
    shown = (part if len(part) < 100 else f"{part[:20]}...({len(part)})" for part in map(str, line))
    return " ".join(repr(part) if not part or set(part) & set(" \n'") else part for part in shown) or "(nothing)"


def cases(oracle, tool, top):
    fixtures = Fixtures(oracle)
    fixtures.make(top)
    return [(name_of(line), TextCase(oracle, tool, fixtures, line)) for line in command_lines.lines()]
