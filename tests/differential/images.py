# SPDX-License-Identifier: Apache-2.0
"""Cases about images: each tool makes them, each reads what the other made."""

import json

from content import Maker
from harness.results import same_bytes
from harness.tool import differences, told_apart, without_length

READ_COMMANDS = (
    ("info", "{}"), ("info", "--output=json", "{}"), ("info", "--backing-chain", "{}"), ("info", "--backing-chain", "--output=json", "{}"),
    ("map", "{}"), ("map", "--output=json", "{}"), ("map", "--output=json", "-s", "100000", "-l", "300000", "{}"),
    ("measure", "{}"), ("measure", "-O", "qcow2", "{}"), ("measure", "--output=json", "-O", "qcow2", "-o", "cluster_size=4k", "{}"),
    ("compare", "{}", "plain.raw"), ("compare", "-s", "{}", "plain.raw"), ("compare", "-p", "plain.raw", "{}"),
)

TOLERANCE = 256 << 10  # bytes allocated more than by the genuine tool


def allocated(spans, depth=0):
    return sum(extent["length"] for extent in spans if extent["data"] and extent["depth"] == depth)


def more_than_needed(wanted, got):
    """What is allocated may follow other boundaries than the genuine tool's, but not be much more."""
    left, right = allocated(wanted), allocated(got)
    return [f"{right} bytes are allocated, by the genuine tool {left}"] if right > left * 1.1 + TOLERANCE else []


def extents(oracle, image, image_format, folder):
    """The map without places in the file, and without the holes that the file has inside allocated clusters."""
    joined = []
    for extent in json.loads(oracle.must("map", "--output=json", "-f", image_format, image, cwd=folder).out):
        extent.pop("offset", None)
        extent["zero"] = extent["zero"] and not extent["data"]
        if joined and {**joined[-1], "start": 0, "length": 0} == {**extent, "start": 0, "length": 0}:
            joined[-1]["length"] += extent["length"]
        else:
            joined.append(extent)
    return joined


def different_extents(wanted, got):
    for left, right in zip(wanted, got):
        if left != right:
            return ["map", f"  genuine: {left}", f"  ours:    {right}"]
    return [] if len(wanted) == len(got) else [f"map: {len(wanted)} extents, ours {len(got)}"]


def described(oracle, image, image_format, folder, length):
    text = oracle.must("info", "--output=json", "-f", image_format, image, cwd=folder).plain().out
    return text if length or image_format == "raw" else without_length(text)


class ImageCase:
    """All checks of one spec. Both tools work in one folder under the same file names, one after the other."""

    def __init__(self, oracle, tool, spec):
        self.oracle = oracle
        self.tool = tool
        self.spec = spec
        self.image = f"image.{spec.format}"
        self.folder = None

    def __call__(self, folder):
        self.folder = folder
        maker = Maker(self.oracle, folder)
        below = maker.chain(self.spec.chain, self.spec.size)
        yield "create", self.create(below)
        maker.fill(self.spec, self.image)
        self.oracle.must("convert", "-f", self.spec.format, "-O", "raw", self.image, "plain.raw", cwd=folder)
        yield from self.read()
        yield "convert to raw", self.to_raw()
        for name, args in self.conversions(below):
            yield name, self.conversion(["convert", *args, "out.img"], "out.img")
        if self.spec.content == "snapshots":
            yield "snapshot as source", self.snapshot()
        yield "write in place", self.in_place()

    def put_aside(self, place):
        (self.folder / place).mkdir(exist_ok=True)
        for name in (self.image, "image.data"):
            if (self.folder / name).exists():
                (self.folder / name).rename(self.folder / place / name)

    def take_back(self, place):
        for path in (self.folder / place).iterdir():
            path.rename(self.folder / path.name)

    def both(self, *args):
        """Runs both on the same files, which they only read."""
        return differences(" ".join(map(str, args)), self.oracle.run(*args, cwd=self.folder), self.tool.run(*args, cwd=self.folder))

    def create(self, below):
        options = ["-o", ",".join(f"{key}={value}" for key, value in self.spec.options)] if self.spec.options else []
        args = ["create", "-f", self.spec.format, *options, *below, self.image, self.spec.size]
        wanted = self.oracle.must(*args, cwd=self.folder)
        description = self.describe(self.image, self.spec.format)
        self.put_aside("genuine")
        problems = differences("create", wanted, self.tool.run(*args, cwd=self.folder))
        problems += self.compare_description(description, self.image, self.spec.format)
        self.put_aside("ours")
        self.take_back("genuine")
        return problems

    def check(self, image, image_format):
        if image_format != "qcow2":
            return []
        result = self.oracle.run("check", "-f", "qcow2", image, cwd=self.folder)
        return [] if result.status == 0 else [f"check {image}: status {result.status}", *(result.out + result.err).splitlines()[:4]]

    def describe(self, image, image_format, exact=True):
        """What the genuine tool says about an image."""
        return described(self.oracle, image, image_format, self.folder, exact), extents(self.oracle, image, image_format, self.folder)

    def compare_description(self, wanted, image, image_format, exact=True):
        """Exactly the same for a new image; what a conversion wrote may be placed and cut differently."""
        if not (self.folder / image).exists():
            return [f"{image} is missing"]
        problems = self.check(image, image_format)
        text, spans = self.describe(image, image_format, exact)
        if wanted[0] != text:
            problems += ["info", *told_apart(wanted[0], text)]
        return problems + (different_extents if exact else more_than_needed)(wanted[1], spans)

    def read(self):
        for command in READ_COMMANDS:
            args = [part.format(self.image) for part in command]
            wanted, got = (tool.run(*args, cwd=self.folder) for tool in (self.oracle, self.tool))
            if args[:2] == ["compare", "-p"]:  # how often progress is printed depends on the pace
                wanted, got = (result._replace(out=result.out.split("\r")[-1]) for result in (wanted, got))
            yield " ".join(command).replace(" {}", ""), differences(" ".join(args), wanted, got)

    def to_raw(self):
        problems = []
        for options in ((), ("-W", "-m", "4"), ("-S", "0"), ("-S", "64k", "-m", "1")):
            problems += self.conversion(["convert", *options, "-f", self.spec.format, "-O", "raw", self.image, "out.raw"], "out.raw")
        return problems

    def in_place(self):
        """Our own empty image, as created above, is filled by ours."""
        self.put_aside("genuine")
        self.take_back("ours")
        problems = []
        result = self.tool.run("convert", "-n", "-f", "raw", "-O", self.spec.format, "plain.raw", self.image, cwd=self.folder)
        if result.status or result.out or result.err:
            problems += [f"convert -n: status {result.status}: {result.out}{result.err}"]
        return problems + self.check(self.image, self.spec.format) + self.holds_content(self.image, self.spec.format)

    def holds_content(self, image, image_format):
        result = self.oracle.run("convert", "-f", image_format, "-O", "raw", image, "back.raw", cwd=self.folder)
        if result.status:
            return [f"reading {image} back: {result.err}"]
        return same_bytes(self.folder / "plain.raw", self.folder / "back.raw")

    def conversions(self, below):
        options = {key: value for key, value in self.spec.options if not key.startswith("data_file")}
        joined = ["-o", ",".join(f"{key}={value}" for key, value in options.items())] if options else []
        source = ["-f", self.spec.format, self.image]
        kind = ["-O", self.spec.format]
        yield "convert", [*kind, *joined, *source]
        if self.spec.format == "raw":
            yield "convert to qcow2", ["-O", "qcow2", *source]
            return
        if "preallocation" not in options:
            yield "convert -c", ["-c", *kind, *joined, *source]
            yield "convert -W -m 8", ["-W", "-m", "8", *kind, *joined, *source]
            yield "convert -S 0", ["-S", "0", *kind, *joined, *source]
        if below:
            yield "convert -B", [*kind, *joined, "-B", below[1], "-F", below[3], *source]
            yield "convert -B -c", ["-c", *kind, *joined, "-B", below[1], "-F", below[3], *source]

    def conversion(self, args, target):
        """The same conversion by both: what is printed, what the genuine tool says of the results, the content."""
        image_format = args[args.index("-O") + 1]
        wanted = self.oracle.run(*args, cwd=self.folder)
        description = None if wanted.status else self.describe(target, image_format, False)
        (self.folder / target).unlink(missing_ok=True)
        problems = differences(" ".join(args), wanted, self.tool.run(*args, cwd=self.folder))
        if description is not None:
            problems += self.compare_description(description, target, image_format, False)
            if (self.folder / target).exists():
                problems += self.holds_content(target, image_format) + self.both("map", "--output=json", target)
        (self.folder / target).unlink(missing_ok=True)
        return [problem if problem.startswith(" ") else f"{' '.join(args)}: {problem}" for problem in problems]

    def snapshot(self):
        problems = []
        for name in ("one", "2", "snapshot.name=two words", "snapshot.id=1", "snapshot.id=2,snapshot.name=two words", "none"):
            args = ["convert", "-l", name, "-O", "raw", self.image]
            wanted, got = self.oracle.run(*args, "theirs.raw", cwd=self.folder), self.tool.run(*args, "ours.raw", cwd=self.folder)
            problems += differences(" ".join(args), wanted, got)
            if wanted.status == got.status == 0:
                problems += same_bytes(self.folder / "theirs.raw", self.folder / "ours.raw")
        return problems
