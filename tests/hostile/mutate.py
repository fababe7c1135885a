# SPDX-License-Identifier: Apache-2.0
"""Mutated images: valid ones of all kinds in whose headers and tables some fields are changed. The seed and the number
of a mutation decide what it is, so that each can be made again."""

import random
import struct
import time

import extended
import probe
from builder import CLUSTER, COPIED, DATA, L1, L2, REFBLOCK, REFTABLE, Image, deflated, overlay, snapshot
from malformed import bitmap_entry, plain_offsets, with_bitmap, zstd_raw

COMMANDS = (("info", "--output=json", "image"), ("map", "--output=json", "image"), ("convert", "-O", "raw", "image", "out"),
            ("convert", "-n", "-O", "qcow2", "other", "image"))
RARE = (("measure", "-O", "qcow2", "image"), ("compare", "image", "other"), ("info", "--backing-chain", "image"), ("convert", "-l", "one", "-c", "-O", "qcow2", "image", "out"),
        ("map", "image"), ("create", "-f", "qcow2", "-b", "image", "-F", "qcow2", "out"))
LARGEST = 1 << 36  # bytes of virtual size with which the commands that visit all of it are run
BATCHES = 20


def seeds():
    """(image, places of tables) of every kind."""
    tables = [(0, 112), (REFTABLE, 32), (REFBLOCK, 64), (L1, 16), (L2, 128)]
    words = deflated(b"some words " * 372 + b"xxxx")
    yield Image(), tables
    yield Image(version=2), tables
    yield Image().compressed(5, words).compressed(6, words), tables + [(DATA + 4 * CLUSTER, 600)]
    yield Image(incompatible_features=8, compression_type=1).compressed(5, zstd_raw(b"z" * CLUSTER)), tables + [(DATA + 4 * CLUSTER, 40)]
    yield Image().snapshots(snapshot(), snapshot(b"2", b"two")), tables + [(DATA + 4 * CLUSTER, 140)]
    yield with_bitmap(bitmap_entry()), tables + [(112, 40), (DATA + 4 * CLUSTER, 32)]
    yield overlay("base", "raw"), tables + [(112, 60)]
    yield plain_offsets(Image()).data_file("base"), tables + [(112, 40)]
    yield Image(refcount_order=0), tables
    spread = Image()
    spread.data = extended.image([(extended.DATA | COPIED, 0xFFFF), (0, 0xFF << 32), (extended.DATA + extended.CLUSTER | COPIED, 0xFF00FF)])
    step = extended.CLUSTER
    yield spread, [(0, 112), (step, 32), (2 * step, 32), (3 * step, 16), (4 * step, 128)]


def mutated(seed, number):
    """The image of one mutation."""
    source = random.Random(f"{seed}:{number}")
    image, places = source.choice(list(seeds()))
    for _ in range(source.choice((1, 1, 1, 2, 3, 5, 8))):
        change(source, image, places)
    if source.random() < 0.05:
        del image.data[source.randrange(len(image.data)):]
    return bytes(image.data), source


def change(source, image, places):
    start, length = source.choice(places)
    width = source.choice((1, 2, 4, 8))
    offset = start + source.randrange(length) // width * width
    old = int.from_bytes(image.data[offset:offset + width], "big")
    bits = 8 * width
    new = source.choice((lambda: source.getrandbits(bits), lambda: old ^ 1 << source.randrange(bits), lambda: old + source.choice((-1, 1, 8, 512, CLUSTER)),
                         lambda: source.choice((0, 1, (1 << bits) - 1, 1 << bits - 1, (1 << bits - 1) - 1)), lambda: source.choice((L1, L2, REFBLOCK, REFTABLE, DATA, CLUSTER)),
                         lambda: source.getrandbits(bits) & source.getrandbits(bits) & source.getrandbits(bits)))()
    image.write(offset, (new % (1 << bits)).to_bytes(width, "big"))


def virtual_size(data):
    return struct.unpack_from(">Q", data, 24)[0] if len(data) >= 32 else 0


class Single:
    """One mutation, by all commands."""

    def __init__(self, tool, seed, number):
        self.tool = tool
        self.seed = seed
        self.number = number

    def __call__(self, folder):
        yield "", self.problems(folder)

    def problems(self, folder):
        data, source = mutated(self.seed, self.number)
        (folder / "image").write_bytes(data)
        (folder / "base").write_bytes(b"b" * 8192)
        (folder / "other").write_bytes(b"o" * 65536)
        commands = COMMANDS + (source.choice(RARE),) if virtual_size(data) <= LARGEST else COMMANDS[:1]
        found = []
        for command in commands:
            result = self.tool.run(*command, cwd=folder, prefix=probe.LIMITS, timeout=probe.WALL_SECONDS)
            found += [f"mutation {self.number} (seed {self.seed}): {' '.join(command)}: {problem}" for problem in probe.ended_badly(result)]
            (folder / "out").unlink(missing_ok=True)
            if (folder / "image").stat().st_size > LARGEST:
                break  # a write went far out; some kernels take minutes to look for data in such a file on a tmpfs
        return found


class Batch:
    """Every step-th mutation from a number on, until a part of the time is over."""

    def __init__(self, tool, seed, first, step, seconds):
        self.tool = tool
        self.seed = seed
        self.numbers = first, step
        self.seconds = seconds

    def __call__(self, folder):
        number, step = self.numbers
        found, count, end = [], 0, time.monotonic() + self.seconds
        while time.monotonic() < end and len(found) < 20:
            found += Single(self.tool, self.seed, number).problems(folder)
            number += step
            count += 1
        yield f"{count} images", found


def campaign(tool, options):
    seconds = options.seconds * options.j / BATCHES
    if options.mutation is not None:
        return [(f"mutation {options.mutation}", Single(tool, options.seed, options.mutation))]
    return [(f"mutations from {first}", Batch(tool, options.seed, first, BATCHES, seconds)) for first in range(BATCHES)]
