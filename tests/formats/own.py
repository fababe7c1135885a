# SPDX-License-Identifier: Apache-2.0
"""What formats can do more under the name instar: other sizes, measuring. The genuine tool reads what comes of it."""

import json
import pathlib
import random

from harness.tool import Tool
from operations import content
from table import MIB

RESIZED = (
    ("vdi", ""), ("vdi", "static=on"), ("vpc", "force_size=on"), ("vpc", ""), ("vpc", "subformat=fixed,force_size=on"), ("vhdx", "block_size=1M"),
    ("vhdx", "subformat=fixed,block_size=1M"), ("vmdk", ""), ("vmdk", "zeroed_grain=on"), ("vmdk", "subformat=monolithicFlat"), ("qed", ""),
)
NOT_RESIZED = tuple(("vmdk", f"subformat={name}", f"A vmdk image of the type '{name}' can't be resized")
                    for name in ("twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized"))
MEASURED = (
    "vdi", "vdi static=on", "vdi preallocation=falloc", "vpc", "vpc force_size=on", "vpc subformat=fixed", "vpc preallocation=falloc", "vhdx", "vhdx block_size=1M,log_size=3M",
    "vhdx subformat=fixed", "vhdx preallocation=falloc", "vmdk", "vmdk preallocation=falloc", "vmdk subformat=monolithicFlat", "vmdk subformat=twoGbMaxExtentSparse",
    "vmdk subformat=twoGbMaxExtentFlat", "qed", "qed cluster_size=4k,table_size=1",
)
NOT_MEASURED = (
    ("vmdk", "subformat=streamOptimized", "How large a streamOptimized image is depends on how well its content packs"),
    ("qed", "preallocation=full", "Preallocation is not possible for qed images"),
    ("vdi", "preallocation=metadata", "Unsupported preallocation mode: metadata"),
)


class Own:
    """Makes cases."""

    def __init__(self, oracle, strict):
        self.oracle, self.strict = oracle, strict
        self.tool = Tool("instar", pathlib.Path(strict.program).with_name("instar"))

    def cases(self):
        for name, options in RESIZED:
            yield f"instar resize, {name} {options}".strip(), lambda folder, name=name, options=options: self.resized(folder, name, options)
        for text in MEASURED:
            name, _, options = text.partition(" ")
            yield f"instar measure, {text}", lambda folder, name=name, options=options: self.measured(folder, name, options)
        yield "instar resize, refused", self.not_resized
        yield "instar measure, refused", self.not_measured

    def reads(self, folder, name, data):
        """The genuine tool reads this."""
        checked = self.oracle.run("check", "-f", name, "image", cwd=folder)
        problems = [] if checked.status in (0, 63) else [str(checked)]
        self.oracle.must("convert", "-f", name, "-O", "raw", "image", "out.raw", cwd=folder)
        read = (folder / "out.raw").read_bytes()
        if read != data:
            first = next((i for i, (a, b) in enumerate(zip(read, data)) if a != b), None)
            problems.append(f"{len(read)} bytes read of {len(data)}, first difference at {first}")
        return problems

    def resized(self, folder, name, options):
        given = ("-o", options) if options else ()
        data = content(5 * MIB + 3 * 512)
        (folder / "source.raw").write_bytes(data)
        self.tool.must("convert", "-O", name, *given, "source.raw", "image", cwd=folder)
        steps = [(9 * MIB + 512, ()), (10 * MIB, ("--preallocation=falloc",)), (300 * MIB, ()), (301 * MIB + 1024, ("--preallocation=full",))]
        if name != "qed":
            steps += [(2 * MIB + 70 * 1024, ("--shrink",)), (4 * MIB, ())]
        for size, more in steps:
            more = () if name == "qed" else more
            done = self.tool.run("resize", "-f", name, *more, "image", size, cwd=folder)
            asked, size = size, json.loads(self.oracle.must("info", "-f", name, "--output=json", "image", cwd=folder).out)["virtual-size"]
            rounded = name == "vpc" and not options  # to a geometry
            sound = size - asked in range(0, MIB) if rounded else size == asked
            yield f"to {asked}", [] if sound and (done.status, done.out) == (0, "Image resized.\n") else [f"{size}", str(done)]
            data = data[:size].ljust(size, b"\0")
            yield f"the genuine tool reads {asked}", self.reads(folder, name, data)
            written = random.Random(size).randbytes(512)
            if size < 20 * MIB:  # the genuine tool writes behind what was there
                where = size // 512 * 512 - 1024
                data = data[:where] + written + data[where + 512 :]
                (folder / "patch.raw").write_bytes(data)
                self.oracle.must("convert", "-n", "-f", "raw", "-O", name, "patch.raw", "image", cwd=folder)
                yield f"written after {asked}", self.reads(folder, name, data)

    def length(self, folder, name, options):
        """Of the extents, if those are files of their own."""
        extents = name == "vmdk" and ("twoGb" in options or "Flat" in options)
        return sum(path.stat().st_size for path in folder.glob("image-*" if extents else "image"))

    def measured(self, folder, name, options):
        given = ("-o", options) if options else ()
        full = random.Random(1).randbytes(35 * MIB + 512)
        sparse = bytearray(len(full))
        for begin, length in ((0, 1), (MIB, 4096), (3 * MIB - 5, 10), (33 * MIB, MIB + 1), (len(full) - 1, 1)):
            sparse[begin : begin + length] = full[begin : begin + length]
        for source, key in ((full, "fully-allocated"), (bytes(sparse), "required"), (bytes(len(full)), "required")):
            with open(folder / "source.raw", "wb") as file:
                file.truncate(len(source))
                for at in range(0, len(source), 4096):
                    if any(source[at : at + 4096]):
                        file.seek(at)
                        file.write(source[at : at + 4096])
            for path in folder.glob("image*"):
                path.unlink()
            told = json.loads(self.tool.must("measure", "--output=json", "-O", name, *given, "source.raw", cwd=folder).out)
            self.tool.must("convert", "-O", name, *given, "source.raw", "image", cwd=folder)
            got = self.length(folder, name, options)
            yield f"{key} of {sum(map(bool, source[::4096]))} pages", [] if told[key] == got else [f"{told}, the image has {got}"]
            if source is full:
                yield "all of a full source is required", [] if told["required"] == told["fully-allocated"] else [str(told)]
        told = self.tool.run("measure", "--size", len(full), "-O", name, *given, cwd=folder)
        got = self.tool.run("measure", "-O", name, *given, "source.raw", cwd=folder)
        yield "a size is measured as an empty image", [] if (told.status, told.out) == (0, got.out) else [f"{told}", f"{got}"]

    def not_resized(self, folder):
        for name, options, error in NOT_RESIZED:
            self.tool.must("create", "-q", "-f", name, "-o", options, "image.vmdk", "5M", cwd=folder)
            done = self.tool.run("resize", "-f", name, "image.vmdk", "9M", cwd=folder)
            yield f"{name} {options}", [] if (done.status, done.err) == (1, f"instar: {error}\n") else [str(done)]
        for name in ("vdi", "vpc", "vhdx", "vmdk"):
            self.tool.must("create", "-q", "-f", name, "image", "5M", cwd=folder)
            done = self.strict.run("resize", "-f", name, "image", "9M", cwd=folder)
            error = "qemu-img: Image format driver does not support resize\n"
            yield f"{name}, as qemu-img", [] if (done.status, done.err) == (1, error) else [str(done)]

    def not_measured(self, folder):
        for name, options, error in NOT_MEASURED:
            done = self.tool.run("measure", "-O", name, "-o", options, "--size", "5M", cwd=folder)
            yield f"{name} {options}", [] if (done.status, done.err) == (1, f"instar: {error}\n") else [str(done)]
        for name in ("vdi", "vpc", "vhdx", "vmdk", "qed"):
            done = self.strict.run("measure", "-O", name, "--size", "5M", cwd=folder)
            error = f"qemu-img: Block driver '{name}' does not support size measurement\n"
            yield f"{name}, as qemu-img", [] if (done.status, done.err) == (1, error) else [str(done)]
