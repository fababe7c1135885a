# SPDX-License-Identifier: Apache-2.0
"""One variant of a format through every operation."""

import json
import random
import re
import shutil

import readers
import samples
from harness.tool import Result, differences, without_length
from table import KIB, MIB

# On a copy of an image each, for both tools: what is refused is refused with the same words.
COMMANDS = (
    ("check", "{}"), ("check", "--output=json", "{}"), ("check", "-r", "all", "{}"), ("check", "-r", "leaks", "-f", "{f}", "{}"),
    ("snapshot", "-l", "{}"), ("snapshot", "-c", "one", "{}"), ("bitmap", "--add", "{}", "one"), ("amend", "-f", "{f}", "-o", "size=9M", "{}"),
    ("amend", "-f", "{f}", "-o", "help"), ("resize", "{}", "9M"), ("resize", "--shrink", "-f", "{f}", "{}", "1M"), ("measure", "-O", "{f}", "--size", "1G"),
    ("measure", "{}"), ("measure", "-O", "qcow2", "{}"), ("commit", "{}"), ("rebase", "-u", "-b", "", "{}"), ("rebase", "-b", "", "{}"),
    ("convert", "-c", "-O", "{f}", "{}", "packed"), ("create", "-f", "{f}", "-o", "help", "made"), ("create", "-f", "{f}", "-o", "nothing=1", "made", "1M"),
    ("create", "-f", "{f}", "-b", "source.raw", "-F", "raw", "made"), ("create", "-f", "{f}", "-o", "size=1M", "made"), ("create", "-f", "{f}", "made", "-1"),
    ("create", "-f", "{f}", "made", "1E"), ("create", "-f", "{f}", "-o", "preallocation=metadata", "made", "1M"), ("compare", "{}", "source.raw"),
    ("dd", "-O", "{f}", "bs=512k", "if={}", "of=made"), ("dd", "-f", "{f}", "-O", "raw", "bs=700", "skip=3", "count=11", "if={}", "of=made"),
    ("bench", "-w", "-c", "20", "-s", "3000", "-S", "70000", "--pattern", "7", "-f", "{f}", "-q", "{}"), ("info", "-f", "{f}", "{}"),
)
# A write of data that fails once.
FAILING = ("bench", "-w", "-q", "-c", "1", "--image-opts")
FAULT = "file.inject-error.0.event=write_aio,file.inject-error.0.errno=28,file.inject-error.0.once=on"
READS = (("info", "{}"), ("info", "--output=json", "{}"), ("map", "{}"), ("map", "--output=json", "{}"), ("check", "{}"))


def content(size):
    """Runs of data, text and zeroes that end inside blocks of any size."""
    source = random.Random(5)
    data = bytearray(size)
    for begin, length, kind in ((0, 70 * KIB, "random"), (300 * KIB + 512, 5 * KIB, "random"), (MIB - 512, 300 * KIB, "text"), (2 * MIB, MIB, "random"),
                                (3 * MIB + 700, 100, "text"), (max(size - 1536, 0), 1024, "random")):
        end = min(begin + length, size)
        if begin < end:
            data[begin:end] = source.randbytes(end - begin) if kind == "random" else (b"some text " * (end - begin))[: end - begin]
    return bytes(data)


class Operations:
    """Called with a folder; gives the checks."""

    def __init__(self, oracle, tool, row):
        self.oracle, self.tool, self.row = oracle, tool, row
        self.folders = {}
        self.pristine = None
        self.data = b""
        self.image = "image" + row.suffix

    def __call__(self, top):
        row = self.row
        self.data = content(row.size)
        for tool in (self.oracle, self.tool):
            self.folders[tool.label] = top / tool.label
            self.folders[tool.label].mkdir()
            (self.folders[tool.label] / "source.raw").write_bytes(self.data)
        if row.creates:
            yield from self.created()
            yield from self.converted()
            yield from self.written()
        else:
            yield from self.found()
        self.pristine = top / "pristine"
        shutil.copytree(self.folders["genuine"], self.pristine)
        for command in COMMANDS:
            if not self.is_own(command) and not row.alone:
                yield self.command(command)
        if row.creates and row.preallocates:
            yield from self.preallocated()
        if row.packs:
            yield from self.packed()
        if row.base:
            yield from self.backed()

    def is_own(self, command):
        return any(" ".join(command).format(self.image, f=self.row.format).startswith(own) for own in self.row.own)

    def read_commands(self):
        return [[part.format(self.image) for part in args] for args in READS if not self.row.alone]

    def both(self, *args):
        return [tool.run(*args, cwd=self.folders[tool.label]) for tool in (self.oracle, self.tool)]

    def options(self, *more):
        text = ",".join(filter(None, (self.row.options, *more)))
        return ("-o", text) if text else ()

    def created(self):
        """An empty image: what is said, what info says of it, and its length."""
        yield "create", differences("create", *self.both("create", "-f", self.row.format, *self.options(), "empty", self.row.size))
        for output in ("human", "json"):
            yield f"info of an empty image, {output}", differences("info", *map(unnumbered, self.both("info", f"--output={output}", "empty")))
        if "map" not in self.row.own:
            yield "map of an empty image", differences("map", *self.both("map", "--output=json", "empty"))
        if self.row.layout:
            wanted, got = (length(folder / "empty") for folder in self.folders.values())
            yield "length of an empty image", [] if wanted == got else [f"genuine: {wanted}, ours: {got}"]
        folder = self.folders["ours"]
        self.oracle.must("convert", "-n", "-O", self.row.format, "source.raw", "empty", cwd=folder)
        yield "the genuine tool fills what ours made", self.reads(self.oracle, folder, "empty") + self.reads(self.tool, folder, "empty")

    def converted(self):
        """Each tool's image is read by both."""
        yield "convert", differences("convert", *self.both("convert", "-O", self.row.format, *self.options(), "source.raw", self.image))
        for maker in (self.oracle, self.tool):
            folder = self.folders[maker.label]
            for reader in (self.oracle, self.tool):
                yield f"{reader.label} reads what {maker.label} wrote", self.reads(reader, folder, self.image)
            for args in self.read_commands():
                results = [tool.run(*args, cwd=folder) for tool in (self.oracle, self.tool)]
                if args[0] not in self.row.own:
                    yield f"{' '.join(args)}, made by {maker.label}", differences(args[0], *results)
            if "map" in self.row.own:
                yield f"map says what there is, made by {maker.label}", self.mapped(folder)
        yield from self.read_by_others(self.image)

    def read_by_others(self, image):
        path = self.folders["ours"] / image
        if self.row.seven_zip:
            yield f"7z reads {image}", self.other_content(*readers.seven_zip(path, self.row.seven_zip))
        if self.row.libyal:
            yield f"libyal reads {image}", self.other_content(*readers.libyal(path, self.row.format))

    def other_content(self, read, error):
        return self.is_content(read) if read is not None else [error]

    def found(self):
        """An image that is only read."""
        for folder in self.folders.values():
            for suffix, part in samples.make(self.row.format, self.data, self.row.options).items():
                (folder / (self.image + suffix)).write_bytes(part)
        folder = self.folders["ours"]
        for reader in (self.tool,) if self.row.alone else (self.oracle, self.tool):
            yield f"{reader.label} reads it", self.reads(reader, folder, self.image)
        for args in self.read_commands():
            if not self.is_own(args):
                yield " ".join(args), differences(args[0], *self.both(*args))
        yield "map says what there is", self.mapped(folder)

    def mapped(self, folder):
        """Extents cover the image once, and zeroes are zeroes."""
        extents = json.loads(self.tool.must("map", "--output=json", self.image, cwd=folder).out)
        at, problems = 0, []
        for extent in extents:
            if extent["start"] != at:
                problems.append(f"{extent} begins at {at}")
            at += extent["length"]
            if extent["zero"] and any(self.data[extent["start"] : at]):
                problems.append(f"{extent} is not zero")
            if "offset" in extent and not extent["zero"]:
                wanted = self.data[extent["start"] : at]
                files = [path.read_bytes() for path in folder.glob(f"{self.image}*")]
                if not any(wanted == file[extent["offset"] :][: len(wanted)] for file in files):
                    problems.append(f"{extent} does not lie there")
        return problems[:3]

    def reads(self, reader, folder, image):
        reader.must("convert", *(("-f", self.row.format) if self.row.told else ()), "-O", "raw", image, "out.raw", cwd=folder)
        return self.is_content((folder / "out.raw").read_bytes())

    def is_content(self, read):
        if read[: len(self.data)] == self.data and not any(read[len(self.data) :]):
            return []
        first = next((i for i, (a, b) in enumerate(zip(read, self.data)) if a != b), None)
        return [f"{len(read)} bytes read, first difference at {first}"]

    def written(self):
        """Into an image of the genuine tool, and over content that is there."""
        folder = self.folders["ours"]
        self.oracle.must("create", "-q", "-f", self.row.format, *self.options(), "target", self.row.size, cwd=folder)
        self.oracle.must("convert", "-n", "-O", self.row.format, "source.raw", "target", cwd=folder)
        first, self.data = self.data, bytes(reversed(self.data))
        (folder / "reversed.raw").write_bytes(self.data)
        self.tool.must("convert", "-n", "-O", self.row.format, "reversed.raw", "target", cwd=folder)
        yield "written in place", self.reads(self.oracle, folder, "target")
        checked = self.oracle.run("check", "target", cwd=folder)
        yield "check of what was written in place", [] if checked.status in (0, 63) else [str(checked)]
        self.data = first

    def command(self, command):
        args = [part.format(self.image, f=self.row.format) for part in command]
        for folder in self.folders.values():
            for path in (*folder.glob("made*"), *folder.glob("packed*")):
                path.unlink()
            for path in self.pristine.glob("image*"):
                shutil.copyfile(path, folder / path.name)
        problems = differences(args[0], *map(unnumbered, map(timeless, self.both(*args))))
        for name in (self.image, "made", "packed"):
            problems += self.same_content(name)
        return " ".join(args), problems

    def same_content(self, name):
        """What the two tools left behind in their folders reads the same to the genuine one."""
        paths = [folder / name for folder in self.folders.values()]
        if not all(path.exists() and path.stat().st_size for path in paths):
            return []
        compared = self.oracle.run("compare", *paths, cwd=paths[0].parent)
        return [] if compared.status != 1 else [f"{name} differs: {compared.out}"]

    def preallocated(self):
        for mode in ("falloc", "full"):
            yield f"create, preallocation={mode}", differences("create", *self.both("create", "-f", self.row.format, *self.options(f"preallocation={mode}"), "space", self.row.size))
            space = self.folders["ours"] / "space"
            used = sum(path.stat().st_blocks * 512 for path in space.parent.glob("space*"))
            yield f"preallocation={mode} allocates", [] if used >= self.row.size else [f"{used} of {self.row.size} bytes"]
            self.tool.must("convert", "-n", "-O", self.row.format, "source.raw", "space", cwd=space.parent)
            yield f"written after preallocation={mode}", self.reads(self.oracle, space.parent, "space")

    def packed(self):
        """Compressed clusters, which the genuine tool's exit status does not always tell of."""
        for maker in (self.oracle, self.tool):
            folder = self.folders[maker.label]
            made = maker.run("convert", "-c", "-O", self.row.format, *self.options(), "source.raw", "packed", cwd=folder)
            if maker is self.tool:
                yield "convert -c", [str(made)] if made.status else []
                yield "convert -c packs", [] if (folder / "packed").stat().st_size < 3 * MIB else ["it is no smaller"]
            for reader in (self.oracle, self.tool):
                yield f"{reader.label} reads what {maker.label} packed", self.reads(reader, folder, "packed")
            results = [tool.run("map", "--output=json", "packed", cwd=folder) for tool in (self.oracle, self.tool)]
            yield f"map of what {maker.label} packed", differences("map", *results)
            yield f"{maker.label}'s packed clusters are overwritten by ours", self.overwritten(folder, "packed")
        yield from self.read_by_others("packed")

    def overwritten(self, folder, image):
        """Pieces of clusters, some of which begin inside a sector."""
        shutil.copyfile(folder / image, folder / "changed")
        return self.scribbled(self.tool, folder, "changed", self.oracle)

    def scribbled(self, writer, folder, image, *judges):
        """Bytes here and there, and the rest as it was."""
        writer.must("bench", "-w", "-c", 20, "-s", 3000, "-S", 70000, "--pattern", 7, "-f", self.row.format, "-q", image, cwd=folder)
        before, self.data = self.data, scribble(self.data)
        problems = [problem for judge in judges for problem in self.reads(judge, folder, image)]
        self.data = before
        return problems

    def backed(self):
        """Overlays: of each tool, and what is written to them by each, is read by both; then it goes into the base."""
        both = (self.oracle, self.tool)
        for maker in both:
            folder = self.folders[maker.label]
            self.oracle.must("convert", "-O", self.row.base, "source.raw", "base", cwd=folder)
            for name in ("overlay", "second"):
                maker.must("create", "-q", "-f", self.row.format, *self.options(), "-b", "base", "-F", self.row.base, name, cwd=folder)
            for reader in both:
                yield f"{reader.label} reads an overlay of {maker.label}", self.reads(reader, folder, "overlay")
            yield f"{maker.label} writes to its overlay", self.scribbled(maker, folder, "overlay", *both)
            yield f"ours writes to an overlay of {maker.label}", self.scribbled(self.tool, folder, "second", *both)
            for args in (("info", "overlay"), ("info", "--backing-chain", "--output=json", "overlay"), ("map", "--output=json", "overlay"), ("map", "second")):
                yield f"{' '.join(args)}, made by {maker.label}", differences(args[0], *(tool.run(*args, cwd=folder) for tool in both))
            maker.must("create", "-q", "-f", self.row.format, *self.options(), "-b", "base", "-F", self.row.base, "longer", 7 * MIB, cwd=folder)
            yield f"map of an overlay of {maker.label} that is longer", differences("map", *(tool.run("map", "--output=json", "longer", cwd=folder) for tool in both))
            yield f"zeroes in an overlay of {maker.label} stay over a longer base", self.outgrown(folder)
        yield "a write that fails", differences("bench", *self.both(*FAILING, f"driver={self.row.format},file.driver=blkdebug,file.image.filename=overlay,{FAULT}"))
        yield from self.committed()

    def outgrown(self, folder):
        """Written where the base has ended, before it is longer."""
        with open(folder / "zeroes.raw", "wb") as zeroes:
            zeroes.truncate(7 * MIB)
        self.tool.must("convert", "-n", "-O", self.row.format, "zeroes.raw", "longer", cwd=folder)
        (folder / "longest.raw").write_bytes(b"x" * 8 * MIB)
        self.oracle.must("convert", "-O", self.row.base, "longest.raw", "longest", cwd=folder)
        how = f"driver={self.row.format},file.filename=longer,backing.driver={self.row.base},backing.file.filename=longest"
        self.oracle.must("convert", "--image-opts", "-O", "raw", how, "out.raw", cwd=folder)
        return [] if not any((folder / "out.raw").read_bytes()) else ["the base shows"]

    def committed(self):
        yield "commit", differences("commit", *self.both("commit", "overlay"))
        before, self.data = self.data, scribble(self.data)
        for label, folder in self.folders.items():
            yield f"base after {label}'s commit", self.reads(self.oracle, folder, "base")
            # Of a vmdk overlay, which does not know a changed base any more, nothing is read.
            for args in (("compare", "overlay", "base"), ("map", "--output=json", "overlay"))[: 1 if self.row.format == "vmdk" else 2]:
                yield f"{' '.join(args)} after {label}'s commit", differences(args[0], *(tool.run(*args, cwd=folder) for tool in (self.oracle, self.tool)))
        self.data = before
        yield "rebase -u", differences("rebase", *self.both("rebase", "-u", "-b", "source.raw", "-F", "raw", "overlay"))


class OtherReaders(Operations):
    """Images of ours, plain and compressed, for readers that share no code with either tool."""

    def __call__(self, top):
        self.folders["ours"] = top
        self.data = content(self.row.size)
        (top / "source.raw").write_bytes(self.data)
        for image, *pack in (("plain",), ("packed", "-c")):
            self.tool.must("convert", *pack, "-O", self.row.format, *self.options(), "source.raw", image, cwd=top)
            yield from self.read_by_others(image)


def scribble(data):
    """What bench -w -c 20 -s 3000 -S 70000 --pattern 7 makes of it."""
    changed = bytearray(data)
    for begin in range(0, 20 * 70000, 70000):
        changed[begin : begin + 3000] = bytes((7,)) * 3000
    return bytes(changed)


def length(path):
    """Of a file; of a VMDK descriptor without its identity, a number left to chance that may have fewer digits."""
    with open(path, "rb") as file:
        text = file.read(4096)
    return path.stat().st_size - sum(map(len, re.findall(rb"(?m)^CID=([0-9a-f]+)$", text)) if text.startswith(b"# Disk Desc") else ())


def unnumbered(result):
    """Without the length of the file, which is checked elsewhere, and numbers that are left to chance."""
    text = re.sub(r"file length: .*", "file length: *", without_length(result.out))
    return result._replace(out=re.sub(r'("?(?:parent[- ])?cid"?: )\d+', r"\g<1>0", text))


def timeless(result):
    """Without how long bench took."""
    return Result(result.status, "" if "Run completed in" in result.out else result.out, result.err)
