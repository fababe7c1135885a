# SPDX-License-Identifier: Apache-2.0
"""What a run left in a folder: which files, what the images among them are, what a guest would read."""

import itertools
import json
import os
import re

from .tool import differences, without_length


def same_bytes(left, right):
    with open(left, "rb") as one, open(right, "rb") as other:
        place = 0
        while True:
            a, b = one.read(1 << 20), other.read(1 << 20)
            if a != b:
                where = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
                return [f"{left.name} and {right.name} differ at {place + where}"]
            if not a:
                return []
            place += len(a)


def listing(folder):
    """Every file with its path."""
    return {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()}


def segments(path):
    """What a file holds besides holes; images of exabytes fit into memory that way."""
    with open(path, "rb") as file:
        end = 0
        while True:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError:  # nothing but a hole follows
                return
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            file.seek(start)
            yield start, file.read(end - start)


def equal(left, right):
    """The same bytes, and holes in the same places."""
    return left.stat().st_size == right.stat().st_size and all(a == b for a, b in itertools.zip_longest(segments(left), segments(right)))


def without_date(text):
    return re.sub(r'("date-n?sec": )\d+', r"\1*", text)


def own_layer(path, image_format):
    """The image without what stands below it, which may not even exist."""
    more = {"qcow2": {"backing": None, "encrypt.key-secret": "s"}, "luks": {"key-secret": "s"}}.get(image_format, {})
    return "json:" + json.dumps({"driver": image_format, "file": {"driver": "file", "filename": str(path)}, **more})


class Outcome:
    """Compares what two tools left. key is what opens encrypted images. exact: an image's file has to have the same
    length, too. new_keys: what is in LUKS images is noise, by another key each."""

    def __init__(self, oracle, key, exact=False, new_keys=False):
        self.oracle = oracle
        self.new_keys = new_keys
        self.key = key
        self.exact = exact

    def differences(self, theirs, ours):
        wanted, got = listing(theirs), listing(ours)
        problems = [f"only the genuine tool leaves {name}" for name in wanted.keys() - got.keys()]
        problems += [f"only ours leaves {name}" for name in got.keys() - wanted.keys()]
        for name in sorted(wanted.keys() & got.keys()):
            if not equal(wanted[name], got[name]):
                problems += self.same_file(theirs, ours, name)
        return problems

    def same_file(self, theirs, ours, name):
        left, right = (self.oracle.run("info", "--output=json", f"./{name}", cwd=folder).plain() for folder in (theirs, ours))
        if left.status or right.status:
            return differences(f"info of the resulting {name}", left, right) + same_bytes(theirs / name, ours / name)
        image_format = json.loads(left.out)["format"]
        if not self.exact and image_format != "raw":
            left, right = (result._replace(out=without_date(without_length(result.out))) for result in (left, right))
        problems = differences(f"info of the resulting {name}", left, right)
        if image_format == "luks" and self.new_keys:
            return problems
        one, other = (own_layer(folder / name, image_format) for folder in (theirs, ours))
        compared = self.oracle.run("compare", *self.key, one, other, cwd=theirs)
        if compared.status > 1:  # too broken to be read
            problems += same_bytes(theirs / name, ours / name)
        elif compared.status:
            problems.append(f"the resulting {name}: {compared.out}{compared.err}")
        return problems
