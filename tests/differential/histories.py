# SPDX-License-Identifier: Apache-2.0
"""Long lives of qcow2 images: snapshots, bitmaps, resizing and writing at random, done by the genuine tool to one image and
by ours to its twin. Guest content, mapping, snapshots, bitmaps with their bits, and what the genuine check says agree after
each step. Now and then the twins change places, so that each tool goes on with what the other one made."""

import json
import random
import re

from harness.qcow2_bitmaps import bitmaps
from harness.tool import differences

KIB, MIB = 1 << 10, 1 << 20
SIZE = 5 * MIB + 512
STEPS = 24
# Counts wide enough that none overflows: the genuine tool leaks a cluster when one does.
VARIANTS = {
    "default": "", "small clusters": "cluster_size=1k", "large clusters": "cluster_size=1M", "extended": "extended_l2=on,cluster_size=32k",
    "narrow counts": "refcount_bits=8", "wide counts": "refcount_bits=64,cluster_size=4k", "version 2": "compat=0.10,cluster_size=4k",
    "tiny clusters": "cluster_size=512", "preallocated": "preallocation=metadata",
}
DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


class History:
    """One random life; the same number always gives the same one."""

    def __init__(self, oracle, tool, variant, number):
        self.oracle, self.tool = oracle, tool
        self.options = VARIANTS[variant]
        self.random = random.Random(f"{variant} {number}")
        self.folder = None
        self.images = {}
        size = re.search(r"cluster_size=(\d+)([kM]?)", self.options)
        self.cluster = int(size[1]) * {"": 1, "k": KIB, "M": MIB}[size[2]] if size else 64 * KIB
        self.modern = "0.10" not in self.options
        # How much of the last cluster a conversion allocates is each tool's own affair.
        self.full = SIZE if "extended" not in self.options else 5 * MIB
        self.size = self.full
        self.names = 0

    def __call__(self, folder):
        self.folder = folder
        self.images = {self.oracle: "one.qcow2", self.tool: "two.qcow2"}
        (folder / "text.raw").write_bytes(bytes(range(256)) * (self.full // 256))
        for image in self.images.values():
            self.oracle.must("create", "-q", "-f", "qcow2", *(("-o", self.options) if self.options else ()), image, str(self.full), cwd=folder)
        for step in range(STEPS):
            said = self.step()
            problems = said[1] or self.compared()
            if problems:
                yield f"step {step}: {said[0]}", problems
                return
        yield "", []

    def both(self, *args):
        """Each tool does the same to its image, `@` in the arguments, and says the same."""
        results = [tool.run(*(arg.replace("@", image) for arg in args), cwd=self.folder) for tool, image in self.images.items()]
        wanted, got = (result._replace(out=self.neutral(result.out), err=self.neutral(result.err)) for result in results)
        return " ".join(args), differences(args[0], wanted, got)

    def neutral(self, text):
        return DATE.sub("DATE", text.replace("two.qcow2", "one.qcow2"))

    def io(self, *commands):
        for image in self.images.values():
            self.oracle.io(image, *commands, cwd=self.folder, check=False)
        return f"qemu-io {commands}", []

    def place(self):
        offset = self.random.randrange(0, self.size - 512, 512)
        return offset, min(self.random.choice((512, 4 * KIB, 64 * KIB, 300 * KIB, MIB)), self.size - offset)

    def step(self):
        steps = [self.write] * 4 + [self.create, self.create, self.apply, self.delete, self.resize, self.overwrite, self.swap]
        if self.modern:
            steps += [self.add, self.change, self.change, self.merge]
        return self.random.choice(steps)()

    def write(self):
        kinds = ("write -P {}", "write -P {}", "write -z", "write -z -u", "discard", "write -c -P {}")
        commands = []
        for _ in range(self.random.randrange(1, 5)):
            offset, length = self.place()
            kind = self.random.choice(kinds).format(self.random.randrange(1, 255))
            if "-c" in kind:  # of several clusters the genuine tool stores any when it refuses one
                offset, length = offset // self.cluster * self.cluster, min(self.cluster, self.size - offset // self.cluster * self.cluster)
            commands.append(f"{kind} {offset} {length}")
        return self.io(*commands)

    def overwrite(self):
        return self.both("convert", "-n", "-f", "raw", "-O", "qcow2", "text.raw", "@")

    def swap(self):
        first, second = self.images.values()
        self.images = {self.oracle: second, self.tool: first}
        return "the twins change places", []

    def create(self):
        self.names += 1
        return self.both("snapshot", "-c", self.random.choice((f"s{self.names}", "same")), "@")

    def apply(self):
        done = self.both("snapshot", "-a", self.any_snapshot(), "@")
        found = json.loads(self.oracle.must("info", "--output=json", self.images[self.oracle], cwd=self.folder).out)
        self.size = found["virtual-size"]
        return done

    def delete(self):
        return self.both("snapshot", "-d", self.any_snapshot(), "@")

    def any_snapshot(self):
        return self.random.choice(("same", "1", "3", f"s{self.random.randrange(1, self.names + 2)}"))

    def resize(self):
        size = self.full + self.random.choice((0, MIB, 7 * MIB))
        for image in self.images.values():
            result = self.oracle.run("resize", "-q", "--shrink", image, str(size), cwd=self.folder)
        if not result.status:
            self.size = size
        return f"resize to {size}", []

    def add(self):
        step = self.random.choice((("--add",), ("--add", "-g", "4k"), ("--add", "-g", "2M", "--disable"), ("--remove", "--add")))
        return self.both("bitmap", *step, "@", self.any_bitmap())

    def change(self):
        step = self.random.choice((("--clear",), ("--enable",), ("--disable",), ("--remove",), ("--disable", "--clear"), ("--enable", "--clear")))
        return self.both("bitmap", *step, "@", self.any_bitmap())

    def merge(self):
        return self.both("bitmap", "--merge", self.any_bitmap(), "@", self.any_bitmap())

    def any_bitmap(self):
        return self.random.choice(("a", "bb", "ccc"))

    def compared(self):
        """What is wrong with the twins; nothing if all is well."""
        one, two = self.images.values()
        problems = []
        for image in (one, two):
            checked = self.oracle.run("check", "-f", "qcow2", image, cwd=self.folder)
            if checked.status:
                problems.append(f"check {image}: {checked.out} {checked.err}")
        compared = self.oracle.run("compare", "-f", "qcow2", "-F", "qcow2", one, two, cwd=self.folder)
        if compared.status:
            problems.append(f"compare: {compared.out} {compared.err}")
        problems += self.seen("snapshot", "-l")
        if bitmaps(self.folder / one) != bitmaps(self.folder / two):
            problems += [str({name: (value[:2], value[2] and (len(value[2]), value[2][:20])) for name, value in bitmaps(self.folder / image).items()}) for image in (one, two)]
        return problems + self.mapped(one, two)

    def seen(self, *args):
        results = [self.oracle.must(*args, image, cwd=self.folder) for image in self.images.values()]
        return differences(args[0], *(result._replace(out=self.neutral(result.out)) for result in results))

    def mapped(self, one, two):
        """Block status without where the data lies, and without holes in the file."""
        maps = []
        for image in (one, two):
            runs = []
            for run in json.loads(self.oracle.must("map", "--output=json", image, cwd=self.folder).out):
                state = {key: value for key, value in run.items() if key not in ("start", "length", "offset")}
                if state["data"]:
                    state["zero"] = False
                if runs and runs[-1][1] == state:
                    runs[-1][0] += run["length"]
                else:
                    runs.append([run["length"], state])
            maps.append(runs)
        return [] if maps[0] == maps[1] else [f"map: {maps[0]}", f"and:  {maps[1]}"]


def cases(oracle, tool, count):
    """`count` lives of each variant."""
    return [(f"history {variant} {number}", History(oracle, tool, variant, number)) for variant in VARIANTS for number in range(count)]
