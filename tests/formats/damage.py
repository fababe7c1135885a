# SPDX-License-Identifier: Apache-2.0
"""Images in whose header and tables some fields are wrong. Nothing may crash, hang or need much memory, and the genuine
tool accepts and refuses the same, says the same, and reads the same."""

import random
import signal

import checksums
import samples
from harness.tool import differences
from operations import content
from probe import LIMITS, WALL_SECONDS, accepted, ended_badly, same_contents

COMMANDS = (("info", "-f", "{f}", "image"), ("info", "--output=json", "image"), ("check", "-f", "{f}", "image"), ("map", "-f", "{f}", "--output=json", "image"),
            ("convert", "-f", "{f}", "-O", "raw", "image", "out"), ("convert", "-n", "-O", "{f}", "source.raw", "image"))
# What the genuine tool does not do, and ours does: streams are written over, QED tables may have one cluster, a VMDK may be empty,
# the check of a Parallels image comes to an end.
MORE = ("Could not write to allocated cluster for streamOptimized", "QED table offset is invalid", "Unsupported image type 'monolithicSparse'",
        "Check failed: Device or resource busy")
FOUND = "data_off field has incorrect value"  # by ours also where clusters lie before the data of a Parallels image
LARGEST = 1 << 33  # bytes of virtual size that are visited
OUTPUT_LIMIT = (*LIMITS[:-1], "--fsize=4194304", "--")  # a line for each of a billion errors is not waited for


class Damages:
    """Called with a folder; gives a check for each damage."""

    def __init__(self, oracle, tool, row, count, seed):
        self.oracle, self.tool, self.row, self.count, self.seed = oracle, tool, row, count, seed
        self.extents = {}

    def __call__(self, top):
        data = content(self.row.size)
        for tool in (self.oracle, self.tool):
            folder = top / tool.label
            folder.mkdir()
            (folder / "source.raw").write_bytes(data)
        maker = top / "genuine"
        if self.row.creates:
            options = ("-o", self.row.options) if self.row.options else ()
            self.oracle.must("convert", "-O", self.row.format, *options, "source.raw", "sound", cwd=maker)
            sound = (maker / "sound").read_bytes()
            self.extents = {extent.name: extent.read_bytes() for extent in maker.glob("sound-*")}
        else:
            parts = samples.make(self.row.format, data, self.row.options)
            sound = parts.pop(self.row.damaged)
            self.extents = {f"image{suffix}": part for suffix, part in parts.items()}
        for number in range(self.count):
            source = random.Random(f"{self.seed}:{self.row.name}:{number}")
            image, what = self.damaged(source, sound)
            yield f"{number}: {what}", self.judge(top, image)

    def damaged(self, source, sound):
        """Most damages are of one field: those that the genuine tool has a message for."""
        image = bytearray(sound)
        if source.random() < 0.05:
            length = source.randrange(len(sound))
            return bytes(image[:length]), f"cut at {length}"
        said = []
        for _ in range(source.choice((1, 1, 1, 2, 4))):
            offset, width = source.choice(self.row.fields)
            bits = 8 * width
            old = int.from_bytes(image[offset : offset + width], self.row.order)
            new = source.choice((0, 1, (1 << bits) - 1, 1 << bits - 1, (1 << bits - 1) - 1, old + 1, old - 1, old ^ 1 << source.randrange(bits), old * 2,
                                 source.getrandbits(bits), source.getrandbits(bits) & source.getrandbits(bits) & source.getrandbits(bits))) % (1 << bits)
            image[offset : offset + width] = new.to_bytes(width, self.row.order)
            said.append(f"{offset:#x} = {new:#x}")
        checksums.renew(self.row.format, image)
        return bytes(image), ", ".join(said)

    def judge(self, top, image):
        problems = []
        large = False
        for tool in (self.oracle, self.tool):
            for name, data in self.extents.items():
                (top / tool.label / name).write_bytes(data)
        for command in COMMANDS:
            args = [part.format(f=self.row.format) for part in command]
            if args[0] == "convert" and large:
                break
            results = []
            for tool in (self.oracle, self.tool):
                folder = top / tool.label
                (folder / f"image{self.row.damaged}").write_bytes(image)
                (folder / "out").unlink(missing_ok=True)
                prefix = LIMITS if args[0] == "convert" else OUTPUT_LIMIT
                results.append(tool.run(*args, cwd=folder, prefix=prefix, timeout=WALL_SECONDS))
            wanted, got = results
            large = large or virtual_size(got) > LARGEST
            if wanted.status == got.status == -signal.SIGXFSZ:
                continue
            bad = ended_badly(got)
            if bad:
                problems += [f"{' '.join(args)}: {line}" for line in bad]
            elif not ended_badly(wanted):
                problems += self.compared(top, args, wanted, got)
        return problems

    def is_own(self, args):
        return any(" ".join(args).startswith(own) for own in self.row.own)

    def compared(self, top, args, wanted, got):
        if "Unable to allocate memory" in wanted.err:  # for tables of a size that we do without
            return []
        if any(text in wanted.err for text in MORE) or (FOUND in got.err and FOUND not in wanted.err):
            return []
        if args[0] == "map" and wanted.status:  # how much of the map is printed before the error is open
            wanted, got = wanted._replace(out=""), got._replace(out="")
        if ("Can't get image size" in wanted.err and not accepted(args, got)) or "File too large" in got.err:
            return []  # larger than any file can be: ours refuses to open it
        if accepted(args, wanted) != accepted(args, got) or (args[0] in ("info", "check", "map") and not self.is_own(args)):
            return differences(" ".join(args), wanted, got)
        if "out" in args and accepted(args, got):
            return same_contents(top / "genuine/out", top / "ours/out")
        return []


def virtual_size(result):
    """From info's human output; 0 if there is none."""
    for line in result.out.splitlines():
        if line.startswith("virtual size:"):
            return int(line[line.index("(") + 1 :].split()[0])
    return 0
