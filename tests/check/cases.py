# SPDX-License-Identifier: Apache-2.0
"""Damaged images, checked and repaired by both tools."""

import random
import re
import shutil

from harness.tool import differences
import damage
import layout


# What the genuine tool says when it can't store bitmaps, or give back their old place, while it closes an image.
AT_CLOSE = re.compile(r"qcow2_free_clusters failed: .*\n|(?:qcow2: Marking image as corrupt: .*\n)?qemu-img: Lost persistent bitmaps .*\n")
RANK = {0: 0, 3: 1, 2: 2, 1: 3}  # of a check's exit status, the best first


class Damaged:
    """One image with some damage. What both tools say must be the same; after a repair by either, the genuine tool must
    find the same left, and read the same."""

    def __init__(self, oracle, tool, seed, number):
        self.oracle, self.tool, self.seed, self.number = oracle, tool, seed, number
        self.has_bitmaps = layout.Layout(seed.read_bytes()).bitmap_directory() is not None

    def __call__(self, folder):
        source = random.Random(self.number)
        image = layout.Layout(self.seed.read_bytes())
        names = []
        for _ in range(source.choice((1, 1, 1, 2, 3))):
            way = source.choice(damage.ALL)
            if way(image, source):
                names.append(way.__name__)
        name = "+".join(names) or "nothing"
        for side in ("theirs", "ours"):
            (folder / side).mkdir()
            (folder / side / "x.qcow2").write_bytes(image.data)
            data_file = self.seed.with_name("data.raw")
            if image.incompatible & 4 and data_file.exists():
                shutil.copy(data_file, folder / side / "data.raw")
        yield f"{name}: check", self.both(folder, "check", "--output", source.choice(("human", "json")))
        mode = source.choice(("leaks", "all", "all"))
        yield f"{name}: -r {mode}", self.both(folder, "check", "-r", mode, "--output", source.choice(("human", "json")))
        yield f"{name}: after -r {mode}", self.after(folder)

    def both(self, folder, *command):
        theirs = self.oracle.run(*command, "-f", "qcow2", "x.qcow2", cwd=folder / "theirs")
        ours = self.tool.run(*command, "-f", "qcow2", "x.qcow2", cwd=folder / "ours")
        if theirs.status is not None and theirs.status < 0:  # it crashed; ours must not
            return [f"ours: {ours.status}"] if ours.status is None or ours.status < 0 else []
        theirs = theirs._replace(err=AT_CLOSE.sub("", theirs.err))
        return differences(" ".join(command), theirs, ours)

    def after(self, folder):
        """The genuine tool's view of both repaired images: ours must be no worse, and read the same."""
        seen = []
        for side in ("theirs", "ours"):
            check = self.oracle.run("check", "-f", "qcow2", "x.qcow2", cwd=folder / side)
            read = self.oracle.run("convert", "-f", "qcow2", "-O", "raw", "x.qcow2", "x.raw", cwd=folder / side)
            raw = folder / side / "x.raw"
            seen.append((check, read.status, raw.read_bytes() if read.status == 0 else b""))
        theirs, ours = seen
        problems = []
        # The genuine tool moves bitmaps when it closes an image, and does not write counts that it repaired when it stops.
        if RANK[ours[0].status] > RANK[theirs[0].status]:
            problems += differences("genuine check", theirs[0], ours[0])
        for what in ("errors", "leaked clusters") if not self.has_bitmaps else ():
            if found(ours[0], what) > found(theirs[0], what):
                problems += differences(f"genuine check: more {what}", theirs[0], ours[0])
        if theirs[1] == 0 and theirs[1:] != ours[1:]:
            problems.append(f"contents differ; status of convert {theirs[1]} and {ours[1]}")
        return problems


def found(check, what):
    match = re.search(rf"(\d+) {what} were found", check.out)
    return int(match.group(1)) if match else 0
