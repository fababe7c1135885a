# SPDX-License-Identifier: Apache-2.0
"""What formats can do more under the name instar: other sizes, measuring, differencing images. The genuine tool, or 7z, reads what comes of it."""

import json
import os
import pathlib
import random
import shutil
import subprocess

from harness.tool import Tool, differences
import samples
from operations import content
from table import MIB, ROWS

RESIZED = (
    ("vdi", ""), ("vdi", "static=on"), ("vpc", "force_size=on"), ("vpc", ""), ("vpc", "subformat=fixed,force_size=on"), ("vhdx", "block_size=1M"),
    ("vhdx", "subformat=fixed,block_size=1M"), ("vmdk", ""), ("vmdk", "zeroed_grain=on"), ("vmdk", "subformat=monolithicFlat"),
    ("vmdk", "subformat=twoGbMaxExtentSparse"), ("vmdk", "subformat=twoGbMaxExtentFlat"), ("qed", ""),
    ("qcow", ""), ("parallels", ""), ("parallels", "cluster_size=4k"),
)
NOT_RESIZED = (("vmdk", "subformat=streamOptimized", "A vmdk image of the type 'streamOptimized' can't be resized"),)
REBASED = (("qcow", ""), ("vmdk", ""), ("vmdk", "zeroed_grain=on"), ("vmdk", "subformat=twoGbMaxExtentSparse"))
MEASURED = (
    "vdi", "vdi static=on", "vdi preallocation=falloc", "vpc", "vpc force_size=on", "vpc subformat=fixed", "vpc preallocation=falloc", "vhdx", "vhdx block_size=1M,log_size=3M",
    "vhdx subformat=fixed", "vhdx preallocation=falloc", "vmdk", "vmdk preallocation=falloc", "vmdk subformat=monolithicFlat", "vmdk subformat=twoGbMaxExtentSparse",
    "vmdk subformat=twoGbMaxExtentFlat", "qed", "qed cluster_size=4k,table_size=1", "qcow", "parallels", "parallels cluster_size=64k", "parallels preallocation=falloc",
)
NOT_MEASURED = (
    ("vmdk", "subformat=streamOptimized", "How large a streamOptimized image is depends on how well its content packs"),
    ("qed", "preallocation=full", "Preallocation is not possible for qed images"),
    ("qcow", "preallocation=full", "Preallocation is not possible for qcow images"),
    ("vdi", "preallocation=metadata", "Unsupported preallocation mode: metadata"),
)


def allocated(folder):
    """Bytes on the storage that an image has with its extents."""
    return sum(path.stat().st_blocks * 512 for path in folder.glob("image*"))


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
        for name, options in REBASED:
            yield f"instar rebase, {name} {options}".strip(), lambda folder, name=name, options=options: self.other_base(folder, name, options)
        for name in ("vpc", "vhdx"):
            yield f"instar create -b, {name}", lambda folder, name=name: self.differencing(folder, name)
            yield f"instar commit that is cut short, {name}", lambda folder, name=name: self.cut_short(folder, name)
            yield f"create -b as qemu-img, {name}", lambda folder, name=name: self.not_differencing(folder, name)
        yield "vmdk, a parent with another CID", self.wrong_parent
        yield "vmdk, streams", self.packed
        yield "parallels, dirty bitmaps", self.bitmaps
        yield "vmdk, a descriptor without a folder", self.no_folder
        yield "vmdk, a long descriptor", self.long_descriptor
        for options in ("subformat=twoGbMaxExtentSparse", "subformat=twoGbMaxExtentFlat", "subformat=twoGbMaxExtentSparse,zeroed_grain=on",
                        "subformat=twoGbMaxExtentSparse,adapter_type=lsilogic"):
            yield f"instar resize, more extents, {options}", lambda folder, options=options: self.more_extents(folder, options)
        yield "instar resize, extents that can't be made", self.no_extents
        yield "instar resize, vmdk with a parent", self.child
        yield "vmdk, the directories of a stream", self.stream
        yield "instar create -o preallocation", self.preallocated
        yield "instar create of what no file can be", self.not_made
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
        falloc, full = ((), ()) if name in ("qed", "qcow") else (("--preallocation=falloc",), ("--preallocation=full",))
        steps = [(9 * MIB + 512, ()), (19 * MIB, falloc), (300 * MIB, ()), (310 * MIB + 1024, full)]
        if name != "qed":
            steps += [(2 * MIB + 70 * 1024, ("--shrink",)), (4 * MIB, ())]
        for size, more in steps:
            before = allocated(folder)
            done = self.tool.run("resize", "-f", name, *more, "image", size, cwd=folder)
            if any("preallocation" in word for word in more):
                grown = allocated(folder) - before
                yield f"{more} to {size} allocates", [] if grown > size - len(data) - 2 * MIB else [f"{grown} bytes"]
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

    def split(self, folder, size, options, name="image.vmdk"):
        """An image with data at its beginning and its end, and what it reads as."""
        self.oracle.must("create", "-q", "-f", "vmdk", "-o", options, name, size, cwd=folder)
        data = {0: b"first", size - 512: b"last"}
        self.oracle.io(name, *(f"write -P {text[0]} {offset} 512" for offset, text in data.items()), cwd=folder, options=("-f", "vmdk"))
        return data

    def same(self, folder, data, size, name="image.vmdk"):
        """The genuine tool reads this, of this size, and finds its own geometry."""
        with open(folder / "wanted.raw", "wb") as file:
            file.truncate(size)
            for offset, text in data.items():
                if offset < size:
                    os.pwrite(file.fileno(), text[:1] * 512, offset)
        done = self.oracle.run("compare", "-f", "vmdk", "-F", "raw", name, "wanted.raw", cwd=folder)
        return [] if (done.status, done.out) == (0, "Images are identical.\n") else [str(done)]

    def more_extents(self, folder, options):
        """Files and descriptor are those that create makes for the size, but for the identity."""
        def described(name):
            lines = (folder / name).read_bytes().rstrip(b"\0").splitlines()
            return [line for line in lines if not line.startswith(b"CID=")]

        data = self.split(folder, 5 * MIB, options)
        other = folder / "new"
        sizes = (1 << 30, 2 << 30, 3 << 30, 5 * (1 << 30) + 512, 15 << 30, 15 << 30 | 1 << 20, (4 << 30) + 3 * 512, 4 << 30, MIB, 16 << 30)
        size = 5 * MIB
        for wanted in sizes:
            less = ("--shrink",) if wanted < size else ()
            done = self.tool.run("resize", "-f", "vmdk", *less, "image.vmdk", wanted, cwd=folder)
            size = wanted
            yield f"to {size}", [str(done)] if (done.status, done.out, done.err) != (0, "Image resized.\n", "") else self.same(folder, data, size)
            data = {offset: text for offset, text in data.items() if offset < size}
            other.mkdir()
            self.oracle.must("create", "-q", "-f", "vmdk", "-o", options, other / "image.vmdk", size, cwd=folder)
            files = [sorted(path.name for path in place.glob("image*")) for place in (folder, other)]
            yield f"files of {size}", [] if files[0] == files[1] else [str(files)]
            texts = [described("image.vmdk"), described("new/image.vmdk")]
            yield f"descriptor of {size}", [] if texts[0] == texts[1] else [str(texts)]
            shutil.rmtree(other)
            data[size - 1024] = b"x"
            self.oracle.io("image.vmdk", f"write -P {b'x'[0]} {size - 1024} 512", cwd=folder, options=("-f", "vmdk"))
            yield f"written after {size}", self.same(folder, data, size)
        if "Sparse" in options:
            checked = self.oracle.run("check", "image.vmdk", cwd=folder)
            yield "check", [] if checked.status == 0 else [str(checked)]

    def no_extents(self, folder):
        """Files of others stay, and so does the image."""
        for kind in ("Sparse", "Flat"):
            image, letter = f"{kind}.vmdk", "sf"[kind == "Flat"]
            data = self.split(folder, 1 << 30, f"subformat=twoGbMaxExtent{kind}", image)
            (folder / f"{kind}-{letter}002.vmdk").write_bytes(b"of somebody else")
            done = self.tool.run("resize", f"blkdebug::{image}", "5G", cwd=folder)
            error = f"instar: No further extent can be made beside 'blkdebug::{image}'\n"
            yield f"{kind}, below a filter", [*([] if (done.status, done.err) == (1, error) else [str(done)]), *self.same(folder, data, 1 << 30, image)]
            for size, what in ((7 << 30, "no room for a new one"), (5 << 29, "no room for the old one")):
                before = sorted(path.name for path in folder.iterdir())
                limit = (3 << 29 if kind == "Flat" else 1 << 17) >> 9
                line = f"trap '' XFSZ; ulimit -f {limit}; exec {self.tool.program} resize -f vmdk {image} {size}"
                done = subprocess.run(["sh", "-c", line], cwd=folder, capture_output=True, text=True, check=False)
                left = sorted(path.name for path in folder.iterdir())
                yield f"{kind}, {what}", [] if done.returncode == 1 and left == before else [str(done), str(left)]
                yield f"{kind}, {what}, its content", self.same(folder, data, 1 << 30, image)
            self.tool.must("resize", "-f", "vmdk", image, "5G", cwd=folder)
            yield f"{kind}, numbers that are free", self.same(folder, data, 5 << 30, image)
            names = sorted(path.name for path in folder.glob(f"{kind}-*"))
            sound = names == [f"{kind}-{letter}00{number}.vmdk" for number in (1, 2, 3, 4)] and (folder / names[1]).read_bytes() == b"of somebody else"
            yield f"{kind}, the file of somebody else", [] if sound else [str(names)]
            (folder / f"link-{image}").symlink_to(image)
            self.tool.must("resize", "-f", "vmdk", f"link-{image}", "15G", cwd=folder)
            yield f"{kind}, through a link", self.same(folder, data, 15 << 30, image)

    def child(self, folder):
        """Behind a shorter parent it reads as zeroes; over a longer one it can't grow."""
        for kind in ("monolithicSparse", "twoGbMaxExtentSparse"):
            data = self.split(folder, 1 << 30, f"subformat={kind}", "base.vmdk")
            self.oracle.must("create", "-q", "-f", "vmdk", "-o", f"subformat={kind}", "-b", "base.vmdk", "-F", "vmdk", "child.vmdk", cwd=folder)
            self.tool.must("resize", "-f", "vmdk", "child.vmdk", "5G", cwd=folder)
            yield f"{kind}, longer", self.same(folder, data, 5 << 30, "child.vmdk")
            self.tool.must("resize", "-f", "vmdk", "--shrink", "child.vmdk", "100M", cwd=folder)
            yield f"{kind}, shorter", self.same(folder, data, 100 * MIB, "child.vmdk")
            done = self.tool.run("resize", "-f", "vmdk", "child.vmdk", "5G", cwd=folder)
            sound = (done.status, done.err) == (1, "instar: An image can't grow over a parent that is longer than it\n")
            yield f"{kind}, over a longer parent", [*([] if sound else [str(done)]), *self.same(folder, data, 100 * MIB, "child.vmdk")]

    def stream(self, folder):
        """The header names the one in front, as inspectors of clouds want it; the end is for readers of pipes, and there is one only."""
        data = content(5 * MIB)
        for step in ("converted", "written again"):
            (folder / "source.raw").write_bytes(data)
            how = ("-o", "subformat=streamOptimized") if step == "converted" else ("-n", "-c")
            self.strict.must("convert", "-f", "raw", "-O", "vmdk", *how, "source.raw", "image", cwd=folder)
            image = (folder / "image").read_bytes()
            yield f"header, {step}", [] if image[56:64] == image[48:56] else [image[:64].hex()]
            ends = image.count(b"KDMV"), image[-1536:-1024].rstrip(b"\0").hex(), image[-1024:-1020], image[-512:].strip(b"\0")
            yield f"end, {step}", [] if ends == (2, "0100000000000000" "00000000" "03", b"KDMV", b"") else [str(ends)]
            yield f"content, {step}", self.reads(folder, "vmdk", data)
            data = random.Random(3).randbytes(MIB) + data[MIB:]

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
        for name in ("vdi", "vpc", "vhdx", "vmdk", "qcow", "parallels"):
            self.tool.must("create", "-q", "-f", name, "image", "5M", cwd=folder)
            done = self.strict.run("resize", "-f", name, "image", "9M", cwd=folder)
            error = "qemu-img: Image format driver does not support resize\n"
            yield f"{name}, as qemu-img", [] if (done.status, done.err) == (1, error) else [str(done)]

    def not_measured(self, folder):
        for name, options, error in NOT_MEASURED:
            done = self.tool.run("measure", "-O", name, "-o", options, "--size", "5M", cwd=folder)
            yield f"{name} {options}", [] if (done.status, done.err) == (1, f"instar: {error}\n") else [str(done)]
        for name in ("vdi", "vpc", "vhdx", "vmdk", "qed", "parallels"):
            done = self.strict.run("measure", "-O", name, "--size", "5M", cwd=folder)
            error = f"qemu-img: Block driver '{name}' does not support size measurement\n"
            yield f"{name}, as qemu-img", [] if (done.status, done.err) == (1, error) else [str(done)]

    def packed(self, folder):
        source = random.Random(3)
        words = [bytes(source.choices(range(97, 123), k=3 + number % 6)) for number in range(3000)]
        text = b" ".join(words[min(int(source.paretovariate(0.6)), 2999)] for _ in range(MIB // 4))
        (folder / "source.raw").write_bytes(text[:MIB])
        size = []
        for tool in (self.tool, self.oracle):
            tool.must("convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", "source.raw", tool.label, cwd=folder)
            size.append((folder / tool.label).stat().st_size)
        yield "no larger than the genuine tool's", [] if size[0] <= size[1] else [f"{size[0]} bytes, not {size[1]}"]

    def patched(self, folder, name, image, data, offset, byte):
        """3000 bytes of the image, and of what it is known to read as."""
        self.tool.must("bench", "-w", "-q", "-c", 1, "-d", 1, "-o", offset, "-s", 3000, f"--pattern={byte}", "-f", name, image, cwd=folder)
        return data[:offset] + bytes([byte]) * 3000 + data[offset + 3000 :]

    def shows(self, folder, name, image, data, tool=None):
        (tool or self.tool).must("convert", "-f", name, "-O", "raw", image, "out.raw", cwd=folder)
        read = (folder / "out.raw").read_bytes()
        return [] if read == data else [f"{len(read)} of {len(data)} bytes, first difference at {next((i for i, (a, b) in enumerate(zip(read, data)) if a != b), None)}"]

    def differencing(self, folder, name):
        suffix = {"vpc": "vhd", "vhdx": "vhdx"}[name]
        base, child, grandchild = f"base.{suffix}", f"child.{suffix}", f"grandchild.{suffix}"
        options = ("-o", "force_size=on") if name == "vpc" else ()
        data = content(5 * MIB + 4096)  # 7z wants whole pages
        (folder / "source.raw").write_bytes(data)
        self.tool.must("convert", "-O", name, *options, "source.raw", base, cwd=folder)
        below = (folder / base).read_bytes()
        made = self.tool.run("create", "-f", name, "-b", base, "-F", name, child, cwd=folder)
        yield "create", [] if made.status == 0 and not made.err and "Formatting" in made.out else [str(made)]
        info = json.loads(self.tool.must("info", "--output=json", child, cwd=folder).out)
        told = (info.get("backing-filename"), info.get("backing-filename-format"), info["virtual-size"])
        yield "info", [] if told == (base, name, len(data)) else [str(told)]
        yield "an empty one shows its parent", self.shows(folder, name, child, data)
        data = self.patched(folder, name, child, data, 70_000, 17)
        data = self.patched(folder, name, child, data, 4 * MIB + 1000, 18)
        yield "what was written is there", self.shows(folder, name, child, data)
        yield "not in the parent", [] if (folder / base).read_bytes() == below else ["the parent was changed"]
        self.tool.must("create", "-q", "-f", name, "-b", f"./{child}", "-F", name, grandchild, cwd=folder)
        upper = self.patched(folder, name, grandchild, data, 2 * MIB - 512, 19)
        yield "two of them", self.shows(folder, name, grandchild, upper)
        yield "7z reads the chain", self.seven_zip(folder, grandchild, upper)
        (folder / "upper.raw").write_bytes(upper)
        done = self.tool.run("convert", "-f", "raw", "-O", name, "-B", base, "-F", name, "upper.raw", f"onto-{child}", cwd=folder)
        yield "convert -B", [] if (done.status, done.err) == (0, "") else [str(done)]
        yield "shows the source", self.shows(folder, name, f"onto-{child}", upper)
        yield from self.rebased(folder, name, (base, child), data)
        done = self.tool.run("commit", "-f", name, child, cwd=folder)
        yield "commit", [] if (done.status, done.out, done.err) == (0, "Image committed.\n", "") else [str(done)]
        yield "the parent has it", self.shows(folder, name, base, data, self.oracle)
        done = self.tool.run("convert", "-O", "raw", child, "out.raw", cwd=folder)
        yield "the image is empty, and knows its parent", [] if (done.status, done.err) == (0, "") else [str(done)]
        yield "it still shows that", self.shows(folder, name, child, data)
        used = json.loads(self.tool.must("map", "--output=json", child, cwd=folder).out)
        yield "from below", [] if all(extent["depth"] for extent in used if extent["data"]) else [str(used[:3])]
        checked = self.tool.run("check", child, cwd=folder)
        yield "check", [] if checked.status in (0, 63) else [str(checked)]

    def cut_short(self, folder, name):
        """The parent's file can't grow as far as it would have to; then it can."""
        for more in ((), ("-d",)):
            for path in folder.iterdir():
                path.unlink()
            self.tool.must("create", "-q", "-f", name, "-o", {"vpc": "force_size=on", "vhdx": "block_size=1M"}[name], "base", 8 * MIB, cwd=folder)
            self.tool.must("create", "-q", "-f", name, "-b", "base", "-F", name, "child", cwd=folder)
            data = bytes(8 * MIB)
            for block, byte in ((0, 1), (3, 2), (6, 3), (7, 4)):
                data = self.patched(folder, name, "child", data, block * MIB + 5000, byte)
            before = (folder / "base").read_bytes()
            limit = ("prlimit", f"--fsize={len(before) + 5 * MIB // 2}")
            done = self.tool.run("commit", "-f", name, *more, "child", cwd=folder, prefix=limit)
            cut = done.status and (folder / "base").read_bytes() != before
            yield f"cut short {more}", [] if cut else [str(done)]
            yield f"all is there {more}", self.shows(folder, name, "child", data)
            done = self.tool.run("commit", "-f", name, *more, "child", cwd=folder)
            yield f"made again {more}", [] if (done.status, done.out) == (0, "Image committed.\n") else [str(done)]
            yield f"the parent has it {more}", self.shows(folder, name, "base", data, self.oracle)
            yield f"it still shows that {more}", self.shows(folder, name, "child", data)

    def seven_zip(self, folder, image, data):
        done = subprocess.run(["7z", "e", "-so", folder / image], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, cwd=folder)
        return [] if not done.returncode and done.stdout == data else [f"{len(done.stdout)} bytes: {done.stderr.decode(errors='replace').strip()[:300]}"]

    def rebased(self, folder, name, images, data):
        base, child = images
        (folder / "other").mkdir()
        copy = f"other/{'long ' * 20}copy of {base}"
        (folder / copy).write_bytes((folder / base).read_bytes())
        stat = (folder / base).stat()
        os.utime(folder / copy, ns=(stat.st_atime_ns, stat.st_mtime_ns - 10**11))
        done = self.tool.run("rebase", "-u", "-f", name, "-b", copy, "-F", name, child, cwd=folder)
        yield "rebase -u", [] if (done.status, done.out, done.err) == (0, "", "") else [str(done)]
        yield "shows the copy", self.shows(folder, name, child, data)
        self.tool.must("create", "-q", "-f", name, *(("-o", "force_size=on") if name == "vpc" else ()), f"empty-{base}", len(data), cwd=folder)
        done = self.tool.run("rebase", "-f", name, "-b", f"empty-{base}", "-F", name, child, cwd=folder)
        yield "rebase", [] if (done.status, done.out, done.err) == (0, "", "") else [str(done)]
        yield "has all in itself now", self.shows(folder, name, child, data)
        done = self.tool.run("rebase", "-f", name, "-b", base, "-F", name, child, cwd=folder)
        yield "rebase back", [] if (done.status, done.out, done.err) == (0, "", "") else [str(done)]
        done = self.tool.run("rebase", "-u", "-f", name, "-b", "", child, cwd=folder)
        error = "instar: Could not change the backing file to '': Operation not supported\n"
        yield "not without a parent", [] if (done.status, done.err) == (1, error) else [str(done)]
        yield from self.changed(folder, name, base)

    def other_base(self, folder, name, options):
        """An overlay shows the same over a longer base, and over none."""
        given = ("-o", options) if options else ()
        data = content(5 * MIB + 3 * 512)
        (folder / "base.raw").write_bytes(data)
        (folder / "other.raw").write_bytes(random.Random(7).randbytes(8 * MIB))
        for base in ("base", "other"):
            self.oracle.must("convert", "-O", name, *given, f"{base}.raw", base, cwd=folder)
        self.oracle.must("create", "-q", "-f", name, *given, "-b", "base", "-F", name, "image", 7 * MIB, cwd=folder)
        data = self.patched(folder, name, "image", data.ljust(7 * MIB, b"\0"), MIB - 700, 21)
        for base, backing in (("other", ("-F", name)), ("", ())):
            refused = self.strict.run("rebase", "-u", "-f", name, "-b", base, *backing, "image", cwd=folder)
            error = f"qemu-img: Could not change the backing file to '{base}': Operation not supported\n"
            yield f"to '{base}', as qemu-img", [] if (refused.status, refused.err) == (1, error) else [str(refused)]
            done = self.tool.run("rebase", "-f", name, "-b", base, *backing, "image", cwd=folder)
            yield f"to '{base}'", [] if (done.status, done.out, done.err) == (0, "", "") else [str(done)]
            told = json.loads(self.oracle.must("info", "--output=json", "image", cwd=folder).out).get("backing-filename", "")
            yield f"info over '{base}'", [] if told == base else [told]
            yield f"the genuine tool reads it over '{base}'", self.reads(folder, name, data)
        done = self.tool.run("rebase", "-f", name, "-b", "base", "-F", name, "image", cwd=folder)
        error = "instar: Could not change the backing file to 'base': Operation not supported\n"
        yield "not where there is none", [] if (done.status, done.err) == (1, error) else [str(done)]

    def changed(self, folder, name, base):
        """The parent is not what it was."""
        self.tool.must("create", "-q", "-f", name, "-b", f"empty-{base}", "-F", name, "stale", cwd=folder)
        self.tool.must("bench", "-w", "-q", "-c", 1, "-f", name, f"empty-{base}", cwd=folder)
        os.utime(folder / f"empty-{base}", (10**9, 10**9))
        done = self.tool.run("convert", "-O", "raw", "stale", "out.raw", cwd=folder)
        if name == "vpc":
            warning = f"instar: warning: 'empty-{base}' was changed after 'stale' was made over it, or is a copy\n"
            yield "a parent of another time", [] if (done.status, done.err) == (0, warning) else [str(done)]
        else:
            yield "a parent of another content", [] if done.status == 1 and "is not the parent of this image, or was changed" in done.err else [str(done)]
        refused = (("raw", (), f"The backing file of a {name} image has to be one, not raw"), (name, ("-o", "subformat=fixed"), "A fixed image can't have a backing file"),
                   (name, ("-o", "preallocation=full"), "Preallocation is not possible for an image with a backing file"))
        for form, options, error in refused:
            done = self.tool.run("create", "-q", "-f", name, *options, "-b", base, "-F", form, "never", cwd=folder)
            sound = (done.status, done.err, (folder / "never").exists()) == (1, f"instar: never: {error}\n", False)
            yield f"refused: {form} {' '.join(options)}", [] if sound else [str(done)]
        done = self.tool.run("resize", "-f", name, "stale", "9M", cwd=folder)
        yield "no other size", [] if (done.status, done.err.splitlines()[-1]) == (1, "instar: An image with a parent can't be resized") or name == "vhdx" else [str(done)]

    def not_differencing(self, folder, name):
        """As qemu-img."""
        self.oracle.must("create", "-q", "-f", name, "base", "5M", cwd=folder)
        for args in (("create", "-f", name, "-b", "base", "-F", name, "child"), ("create", "-f", name, "-o", f"backing_file=base,backing_fmt={name}", "child", "5M"),
                     ("create", "-f", name, "-F", name, "child", "5M"), ("convert", "-f", name, "-O", name, "-B", "base", "-F", name, "base", "child"),
                     ("create", "-f", name, "-o", "help", "child"), ("rebase", "-u", "-f", name, "-b", "base", "-F", name, "base"), ("commit", "-f", name, "base"),
                     ("measure", "-O", name, "-o", "backing_file=base", "--size", "5M")):
            yield " ".join(args), differences(args[0], *(tool.run(*args, cwd=folder) for tool in (self.oracle, self.strict)))

    def wrong_parent(self, folder):
        """What is the image's own is read, what would be its parent's is an error."""
        for suffix, part in samples.make("vmdk", content(2 * MIB), "kind=chain,wrong=1").items():
            (folder / f"image{suffix}").write_bytes(part)
        for args in (("info", "image"), ("dd", "bs=64k", "count=1", "if=image", "of=out.raw"),
                     ("compare", "image", "image-base"), ("check", "image")):
            yield " ".join(args), differences(args[0], *(tool.run(*args, cwd=folder) for tool in (self.oracle, self.strict)))
        for tool in (self.oracle, self.strict, self.tool):
            done = tool.run("convert", "-O", "raw", "image", "new.raw", cwd=folder)
            sound = done.status == 1 and "error while reading at byte" in done.err and done.err.endswith(": Invalid argument\n")
            yield f"convert, {tool.label}", [] if sound else [str(done)]
        before = (folder / "image").read_bytes()
        done = self.tool.run("rebase", "-b", "", "image", cwd=folder)
        kept = done.status == 1 and (folder / "image").read_bytes() == before
        yield "rebase keeps what can't be read", [] if kept else [str(done)]
        self.tool.must("rebase", "-u", "-b", "image-base", "-F", "vmdk", "image", cwd=folder)
        done = self.tool.run("convert", "-O", "raw", "image", "new.raw", cwd=folder)
        yield "rebase -u takes the parent as it is", [] if done.status == 0 else [str(done)]

    def bitmaps(self, folder):
        """The genuine tool merges those of an image that it reads, but convert leaves them behind."""
        for suffix, part in samples.make("parallels", content(2 * MIB), "version=2,tracks=128,bitmap=1").items():
            (folder / f"image{suffix}").write_bytes(part)
        name = "00010203-0405-0607-0809-0a0b0c0d0e0f"
        for args in (("measure", "-O", "qcow2", "image"), ("convert", "--bitmaps", "-O", "qcow2", "image", "copy"), ("bitmap", "--add", "copy", "one"),
                     ("bitmap", "--merge", name, "-b", "image", "-F", "parallels", "copy", "one"), ("bitmap", "--merge", "none", "-b", "image", "-F", "parallels", "copy", "one")):
            results = []
            for tool in (self.oracle, self.strict):
                (folder / tool.label).mkdir(exist_ok=True)
                (folder / tool.label / "image").write_bytes((folder / "image").read_bytes())
                results.append(tool.run(*args, cwd=folder / tool.label))
            yield " ".join(args), differences(args[0], *results)
        told = [self.oracle.must("info", "--output=json", tool.label + "/copy", cwd=folder).out.replace(tool.label, "") for tool in (self.oracle, self.strict)]
        bits = [json.loads(text)["format-specific"]["data"].get("bitmaps") for text in told]
        yield "both have them", [] if bits[0] == bits[1] else [str(bits)]
        self.tool.must("convert", "--bitmaps", "-O", "qcow2", "image", "copy", cwd=folder)
        got = json.loads(self.oracle.must("info", "--output=json", "copy", cwd=folder).out)["format-specific"]["data"].get("bitmaps")
        yield "instar convert --bitmaps", [] if got == [{"flags": ["auto"], "name": name, "granularity": 65536}] else [str(got)]
    def no_folder(self, folder):
        """Two copies may lie in different ones: what lies beside them is not known."""
        self.oracle.must("create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", "image", "1M", cwd=folder)
        shutil.copyfile(folder / "image", folder / "copy")
        children = [{"driver": "file", "filename": name} for name in ("image", "copy")]
        name = "json:" + json.dumps({"driver": "vmdk", "file": {"driver": "quorum", "vote-threshold": 1, "children": children}})
        yield "info", differences("info", *(tool.run("info", name, cwd=folder) for tool in (self.oracle, self.strict)))

    def long_descriptor(self, folder):
        """Of 350 extents: each first write gives it another CID, of any number of digits, and keeps the rest."""
        self.oracle.must("create", "-q", "-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", "image", "700G", cwd=folder)
        text = (folder / "image").read_text(encoding="utf-8")
        for digits in ("12345678", "1234567", "12"):
            lines = [f"CID={digits}" if line.startswith("CID=") else line for line in text.splitlines(True)]
            (folder / "image").write_text("\n".join(map(str.rstrip, lines)) + "\n", encoding="utf-8")
            self.strict.must("bench", "-q", "-w", "-c", 1, "-s", 512, "-f", "vmdk", "image", cwd=folder)
            found = json.loads(self.oracle.must("info", "--output=json", "image", cwd=folder).out)
            yield f"{len(digits)} digits", [] if found["virtual-size"] == 700 << 30 else [str(found["virtual-size"])]

    def preallocated(self, folder):
        """It takes the space, or says that it can't."""
        luks = ("--object", "secret,id=s,data=x")
        variants = {(row.format, row.options) for row in ROWS if row.creates} | {("raw", ""), ("qcow2", ""), ("qcow2", "extended_l2=on"), ("luks", "key-secret=s,iter-time=10")}
        for name, options in sorted(variants):
            for mode in ("falloc", "full"):
                for path in folder.iterdir():
                    path.unlink()
                given = ",".join(filter(None, (options, f"preallocation={mode}")))
                done = self.tool.run("create", "-q", "-f", name, *(luks if name == "luks" else ()), "-o", given, "image", 3 * MIB, cwd=folder)
                used = sum(path.stat().st_blocks * 512 for path in folder.iterdir())
                refused = done.status == 1 and not list(folder.iterdir()) and "reallocation" in done.err
                yield f"{name} {given}", [] if refused or (done.status == 0 and used >= 3 * MIB) else [f"{used} bytes", str(done)]

    def not_made(self, folder):
        """Nothing is left."""
        for tool in (self.tool, self.strict):
            for size in ("7E", "300T"):
                done = tool.run("create", "-q", "-f", "luks", "--object", "secret,id=s,data=x", "-o", "key-secret=s,iter-time=10", "image", size, cwd=folder)
                sound = done.status == 1 and done.err.endswith(": image: The requested file size is too large\n") and not list(folder.iterdir())
                yield f"luks of {size}, {tool.label}", [] if sound else [str(done), str(list(folder.iterdir()))]
