# SPDX-License-Identifier: Apache-2.0
"""What each format can do, tried with both tools: a cell is ticked when the thing was done and its outcome is right, which
the genuine tool judges wherever it can. The table in matrix.txt says what comes of it."""

import json
import pathlib
import shutil
import subprocess

import samples
from harness.tool import StepFailed, Tool
from table import KIB, MIB, Row

SIZE = 5 * MIB + 64 * KIB
PATCHES = (700 * KIB, 3 * MIB)  # where an image is written to: onto data, and onto zeroes
SECRETS = ("--object", "secret,id=s,data=abc", "--object", "secret,id=t,data=xyz")
BOTH, OURS, NEITHER = "=", "+", "."  # the marks; what only the genuine tool did is "-", which nothing may be

ROWS = (
    Row("raw"), Row("qcow2"), Row("qcow2", "compat=0.10"), Row("qcow"), Row("qed"),
    Row("vmdk"), Row("vmdk", "subformat=twoGbMaxExtentSparse"), Row("vmdk", "subformat=monolithicFlat"), Row("vmdk", "subformat=twoGbMaxExtentFlat"),
    Row("vmdk", "subformat=streamOptimized"), *(Row("vmdk", f"kind={kind}", creates=False) for kind in ("vmfs", "vmfsSparse", "seSparse", "v3")),
    Row("vpc", "force_size=on"), Row("vpc", "subformat=fixed,force_size=on"), Row("vhdx", "block_size=1M"), Row("vhdx", "subformat=fixed,block_size=1M"),
    Row("vdi"), Row("vdi", "static=on"), Row("parallels"), Row("parallels", "version=1", creates=False), Row("luks", "key-secret=s,iter-time=10"),
    Row("bochs", creates=False), Row("cloop", creates=False), *(Row("dmg", f"pack={pack}", creates=False, suffix=".dmg") for pack in ("raw", "zlib", "all")),
)


def content():
    """Lines of text that differ, at the beginning and at the end: what lies between them is zero."""
    text = b"".join(b"some text, line %d\n" % number for number in range(60_000))
    return text[:MIB].ljust(5 * MIB, b"\0") + text[MIB:][: 64 * KIB]


class Trial:
    """One tool and one row in a folder with the image. Each method of a column's name says whether it works."""

    def __init__(self, oracle, tool, row, folder, data):
        self.oracle, self.tool, self.row, self.folder, self.data = oracle, tool, row, folder, data
        self.image = "image" + row.suffix

    def run(self, *args, by=None):
        return (by or self.tool).run(*args, cwd=self.folder)

    def must(self, *args, by=None):
        return (by or self.tool).must(*args, cwd=self.folder)

    def named(self, image, key="s"):
        """How an image of the row is given to a command."""
        if self.row.format == "luks":
            return (*SECRETS, "--image-opts", f"driver=luks,key-secret={key},file.filename={image}")
        return ("-f", self.row.format, image)

    def made(self, *more):
        """Options of create and convert for an image like the row's."""
        text = ",".join(filter(None, (self.row.options, *more)))
        return (*(SECRETS if self.row.format == "luks" or any("secret" in part for part in more) else ()), *(("-o", text) if text else ()))

    def content(self, image, by=None, how=None):
        """All bytes of an image, by the judge."""
        self.must("convert", *(how or self.named(image)), "-O", "raw", "out.raw", by=by)
        return (self.folder / "out.raw").read_bytes()

    def holds(self, image, data=None, by=None, how=None):
        data = self.data if data is None else data
        read = self.content(image, by, how)
        return read[: len(data)] == data and not any(read[len(data) :])

    def patch(self, image):
        """Other bytes here and there. Returns what the image is now, wherever it can be written."""
        changed = bytearray(self.data)
        for offset in PATCHES:
            changed[offset : offset + 5000] = b"\x17" * 5000
        (self.folder / "patched.raw").write_bytes(changed)
        if self.row.format == "luks":
            self.must("convert", "-n", *SECRETS, "--target-image-opts", "patched.raw", self.named(image)[-1])
        else:
            for offset in PATCHES:
                self.must("bench", "-w", "-q", "-c", 1, "-d", 1, "-o", offset, "-s", 5000, "--pattern=23", "-f", self.row.format, image)
        return bytes(changed)

    def probe(self):
        return json.loads(self.must("info", "--output=json", self.image).out)["format"] == self.row.format

    def read(self):
        return self.holds(self.image)

    def write(self):
        return self.holds(self.image, self.patch(self.image), by=self.oracle)

    def create(self):
        self.must("create", "-q", "-f", self.row.format, *self.made(), "made", SIZE)
        return self.is_empty("made")

    def is_empty(self, image):
        """Of LUKS only the length is known: what was never written decrypts to noise."""
        read = self.content(image, by=self.oracle)
        return len(read) == SIZE and (self.row.format == "luks" or not any(read))

    def convert(self):
        self.must("convert", "-O", self.row.format, *self.made(), "source.raw", "made")
        return self.holds("made", by=self.oracle)

    def compress(self):
        """The genuine tool's status is 1 for qcow, which is packed all the same."""
        self.run("convert", "-c", "-O", self.row.format, *self.made(), "source.raw", "packed")
        extents = json.loads(self.must("map", "--output=json", *self.named("packed"), by=self.oracle).out)
        return any(extent["compressed"] for extent in extents) and self.holds("packed", by=self.oracle)

    def overlay(self):
        """What the tool writes to an overlay, over a base of the same format."""
        self.must("convert", "-O", self.row.format, *self.made(), "source.raw", "base")
        self.must("create", "-q", "-f", self.row.format, *self.made(), "-b", "base", "-F", self.row.format, "overlay")
        return self.patch("overlay")

    def backing(self):
        self.must("convert", "-O", self.row.format, *self.made(), "source.raw", "base")
        self.must("create", "-q", "-f", self.row.format, *self.made(), "-b", "base", "-F", self.row.format, "overlay")
        return self.holds("overlay") and json.loads(self.must("info", "--output=json", "overlay").out)["backing-filename"] == "base"

    def commit(self):
        wanted = self.overlay()
        self.must("commit", "-f", self.row.format, "overlay")
        return self.holds("base", wanted, by=self.oracle)

    def rebase(self):
        wanted = self.overlay()
        self.must("create", "-q", "-f", self.row.format, *self.made(), "other", SIZE)
        self.must("rebase", "-f", self.row.format, "-b", "other", "-F", self.row.format, "overlay")
        return self.holds("overlay", wanted) and json.loads(self.must("info", "--output=json", "overlay").out)["backing-filename"] == "other"

    def snapshot(self):
        self.must("snapshot", "-c", "one", self.image)
        self.patch(self.image)
        self.must("snapshot", "-a", "one", self.image)
        return self.holds(self.image, by=self.oracle)

    def bitmap(self):
        self.must("bitmap", "--add", "-f", self.row.format, self.image, "one")
        return "one" in self.must("info", self.image, by=self.oracle).out

    def check(self):
        return self.run("check", *self.named(self.image)).status == 0

    def repair(self):
        return self.run("check", "-r", "all", *self.named(self.image)).status == 0 and self.holds(self.image, by=self.oracle)

    def amend(self):
        options = "new-secret=t,state=active,iter-time=10" if self.row.format == "luks" else "compat=1.1,lazy_refcounts=on"
        self.must("amend", *self.named(self.image)[:-1], "-o", options, self.named(self.image)[-1])
        return self.holds(self.image, by=self.oracle, how=self.named(self.image, "t"))

    def resized(self, size, *options):
        self.must("resize", *options, *self.named(self.image), size)
        wanted = self.data[:size].ljust(size, b"\0")
        return self.content(self.image, by=self.oracle) == wanted

    def grow(self):
        return self.resized(9 * MIB)

    def shrink(self):
        return self.resized(MIB, "--shrink")

    def measure(self):
        told = json.loads(self.must("measure", "--output=json", "-O", self.row.format, *self.made(), "source.raw").out)
        return 0 < told["required"] <= told["fully-allocated"]

    def extents(self):
        return json.loads(self.must("map", "--output=json", *self.named(self.image)).out)

    def map(self):
        """Zeroes are told apart from data."""
        extents = self.extents()
        sound = not any(any(self.data[extent["start"] :][: extent["length"]]) for extent in extents if extent["zero"])
        return sound and sum(extent["length"] for extent in extents if not extent["data"] or extent["zero"]) >= MIB

    def offsets(self):
        """Where data lie plainly, they are there."""
        extents = [extent for extent in self.extents() if extent["data"] and not extent["zero"]]
        files = [path.read_bytes() for path in self.folder.glob("image*")]
        return bool(extents) and all("offset" in extent and any(self.lies_in(file, extent) for file in files) for extent in extents)

    def lies_in(self, file, extent):
        wanted = self.data[extent["start"] :][: extent["length"]]
        return file[extent["offset"] :][: len(wanted)] == wanted

    def encrypted(self, *options, opened):
        """Neither readable without the key, nor different with it."""
        self.must("convert", "-O", self.row.format, *self.made(*options), "source.raw", "made")
        how = (*SECRETS, "--image-opts", opened)
        return b"some text" not in (self.folder / "made").read_bytes() and self.holds("made", by=self.oracle, how=how)

    def aes(self):
        options = ("encrypt.format=aes", "encrypt.key-secret=s")
        return self.encrypted(*options, opened=f"driver={self.row.format},encrypt.key-secret=s,file.filename=made")

    def luks(self):
        if self.row.format == "luks":
            return self.encrypted(opened=self.named("made")[-1])
        options = ("encrypt.format=luks", "encrypt.key-secret=s", "encrypt.iter-time=10")
        return self.encrypted(*options, opened=f"driver={self.row.format},encrypt.key-secret=s,file.filename=made")

    def preallocated(self, mode, used):
        self.must("create", "-q", "-f", self.row.format, *self.made(f"preallocation={mode}"), "space", SIZE)
        taken = sum(path.stat().st_blocks * 512 for path in self.folder.glob("space*"))
        return taken >= used and self.is_empty("space")

    def metadata(self):
        return self.preallocated("metadata", 0)

    def falloc(self):
        return self.preallocated("falloc", SIZE)

    def full(self):
        return self.preallocated("full", SIZE)


MAKING = ("create", "convert", "compress", "backing", "commit", "rebase", "measure", "aes", "luks", "metadata", "falloc", "full")
COLUMNS = ("probe", "read", "write", *MAKING[:6], "snapshot", "bitmap", "check", "repair", "amend", "grow", "shrink", "measure", "map", "offsets", *MAKING[7:])


class Matrix:
    """Makes the cases, one for each row, and knows afterwards what came of them."""

    def __init__(self, oracle, strict):
        self.oracle, self.strict = oracle, strict
        self.tool = Tool("instar", pathlib.Path(strict.program).with_name("instar"))
        self.marks = {}
        lines = [line.split() for line in pathlib.Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").splitlines() if line[:1] not in ("", "#")]
        self.wanted = {" ".join(line[: -len(COLUMNS)]): dict(zip(COLUMNS, line[-len(COLUMNS) :])) for line in lines}

    def cases(self):
        for row in ROWS:
            yield f"matrix, {row.name}", lambda folder, row=row: self.row(folder, row)

    def row(self, top, row):
        data = content()
        pristine = top / "pristine"
        pristine.mkdir()
        (pristine / "source.raw").write_bytes(data)
        if row.creates:
            trial = Trial(self.oracle, self.oracle, row, pristine, data)
            trial.must("convert", "-O", row.format, *trial.made(), "source.raw", trial.image)
        else:
            for suffix, part in samples.make(row.format, data, row.options).items():
                (pristine / f"image{row.suffix}{suffix}").write_bytes(part)
        wanted = self.wanted.get(row.name, {})
        for column in COLUMNS:
            for _ in range(2):  # the genuine tool times its key derivation, and fails at times on a busy machine
                mark = self.mark(top, row, column, data) if row.creates or column not in MAKING else NEITHER
                if mark == wanted.get(column):
                    break
            self.marks[row.name, column] = mark
            yield column, [] if mark == wanted.get(column) else [f"matrix.txt says {wanted.get(column)}, it is {mark}"]

    def mark(self, top, row, column, data):
        """Ours under the name qemu-img does what the genuine tool does; the rest is tried under its own name."""
        theirs = self.works(top, row, column, data, self.oracle)
        if self.works(top, row, column, data, self.strict if theirs else self.tool):
            return BOTH if theirs else OURS
        return "-" if theirs else NEITHER

    def works(self, top, row, column, data, tool):
        folder = top / "cell"
        subprocess.run(["cp", "-a", top / "pristine", folder], check=True)  # holes stay holes
        try:
            return getattr(Trial(self.oracle, tool, row, folder, data), column)()
        except StepFailed:
            return False
        finally:
            shutil.rmtree(folder)

    def text(self):
        """The table as matrix.txt has it."""
        names = [row.name for row in ROWS if (row.name, COLUMNS[-1]) in self.marks]
        width = max(map(len, names), default=0)
        lines = [" ".join((name.ljust(width), *(self.marks[name, column].center(len(column)) for column in COLUMNS))) for name in names]
        return "\n".join((" ".join(("#".ljust(width), *COLUMNS)), *(line.rstrip() for line in lines)))
