# SPDX-License-Identifier: Apache-2.0
"""Fills images with the genuine tools: what a kind of content is made of, and what the kinds of chains look like."""

import pathlib
import random

from matrix import KIB, cluster_bytes

WORDS = ("disk", "image", "cluster", "table", "offset", "backing", "snapshot", "refcount", "header", "sector", "\n")


def random_bytes(size, seed):
    return random.Random(seed).randbytes(size)


def text_bytes(size, seed):
    source = random.Random(seed)
    return " ".join(source.choices(WORDS, k=size // 4)).encode()[:size].ljust(size, b".")


def write_samples(folder):
    """Files of which pieces are written into images."""
    (folder / "random").write_bytes(random_bytes(256 * KIB, 1))
    (folder / "text").write_bytes(text_bytes(256 * KIB, 2))


def clip(pieces, size):
    """Only what lies inside the image, in whole sectors."""
    size = size // 512 * 512
    return [(verb, offset, min(length, size - offset)) for verb, offset, length in pieces if offset < size]


def mix(size, samples):
    pieces = [("write -P 17", 0, 3 * KIB), (f"write -s {samples}/text", 64 * KIB, 192 * KIB), ("write -z", 128 * KIB, 40 * KIB),
              (f"write -s {samples}/random", 512 * KIB + 512, 100 * KIB), ("write -P 0", 700 * KIB, 128 * KIB),
              ("write -z -u", 1024 * KIB, 256 * KIB), ("write -P 33", 2048 * KIB - 512, 1024), ("write -P 7", max(size // 512 - 3, 0) * 512, 1536)]
    return clip(pieces, size)


def fill(verb, size):
    return clip([(verb, 0, min(size, 1536 * KIB)), (verb, max(size - 96 * KIB, 0) // 512 * 512, 96 * KIB)], size)


def discards(size, samples):
    return fill(f"write -s {samples}/random", size) + clip([("discard", 64 * KIB, 192 * KIB), ("discard", 512 * KIB, 700), ("discard", 300 * KIB, 5 * KIB)], size) + \
        clip([("write -P 9", 128 * KIB, 1024), ("write -z -u", 1024 * KIB, 128 * KIB)], size)


def pieces_of(content, size, samples):
    kinds = {"mix": lambda: mix(size, samples), "empty": list, "zeros": lambda: fill("write -z", size) + clip([("write -P 0", 200 * KIB, 64 * KIB)], size),
             "random": lambda: fill(f"write -s {samples}/random", size), "text": lambda: fill(f"write -s {samples}/text", size),
             "discards": lambda: discards(size, samples)}
    return kinds[content]()


def commands(pieces):
    return [f"{verb} {offset} {length // 512 * 512}" for verb, offset, length in pieces if length >= 512]


class Maker:
    """Makes the image of a spec, and what stands below it, in a folder."""

    def __init__(self, tool, folder):
        self.tool = tool
        self.folder = pathlib.Path(folder)
        self.samples = self.folder / "samples"
        self.samples.mkdir()
        write_samples(self.samples)

    def write(self, image, image_format, pieces):
        script = commands(pieces)
        if script:
            self.tool.io(image, *script, cwd=self.folder, options=("-d", "unmap", "-f", image_format))

    def create(self, image, image_format, size, *args):
        self.tool.must("create", "-q", "-f", image_format, *args, image, size, cwd=self.folder)

    def base(self, name, image_format, size, *args, content="text", below=()):
        """One link of a chain; its content begins at 32 KiB, so that the first clusters show through."""
        self.create(name, image_format, size, *args, *below)
        self.write(name, image_format, [(verb, offset + 32 * KIB, length) for verb, offset, length in
                                        pieces_of(content, max(size - 32 * KIB, 0), self.samples)])

    def chain(self, kind, size):
        """Makes the base images; what create needs to put an image on top of them."""
        if kind == "none":
            return []
        other = {"smaller": size // 2 // 512 * 512 + 512, "larger": size + 128 * KIB + 512}.get(kind, size)
        if kind in ("raw", "folder"):
            return self.flat(kind, other)
        if kind == "three":
            self.base("lowest.raw", "raw", other, content="random")
            self.base("base.qcow2", "qcow2", other, "-o", "cluster_size=4k", content="discards", below=("-b", "lowest.raw", "-F", "raw"))
        else:
            options = {"v2": ("-o", "compat=0.10"), "extended": ("-o", "extended_l2=on,cluster_size=32k")}.get(kind, ())
            self.base("base.qcow2", "qcow2", other, *options)
        if kind == "compressed":
            self.tool.must("convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd", "base.qcow2", "packed.qcow2", cwd=self.folder)
            return ["-b", "packed.qcow2", "-F", "qcow2"]
        if kind == "json":
            return ["-b", 'json:{"driver":"qcow2","file":{"driver":"file","filename":"base.qcow2"}}', "-F", "qcow2"]
        return ["-b", "base.qcow2", "-F", "qcow2"]

    def flat(self, kind, size):
        name = "base.raw"
        if kind == "folder":
            (self.folder / "below").mkdir()
            name = "below/base.raw"
        self.base(name, "raw", size)
        return ["-b", name, "-F", "raw"]

    def fill(self, spec, image):
        """Writes the content of a spec into the image that was created for it."""
        size = spec.size
        if spec.content == "compressed":
            self.compressed(spec, image)
        elif spec.content == "snapshots":
            self.write(image, spec.format, pieces_of("text", size, self.samples))
            self.tool.must("snapshot", "-c", "one", image, cwd=self.folder)
            self.write(image, spec.format, pieces_of("mix", size, self.samples))
            self.tool.must("snapshot", "-c", "two words", image, cwd=self.folder)
            self.write(image, spec.format, clip([("write -P 99", 32 * KIB, 5 * KIB), ("discard", 64 * KIB, 64 * KIB)], size))
        elif spec.content == "bitmaps":
            self.tool.must("bitmap", "--add", image, "first", cwd=self.folder)
            self.write(image, spec.format, pieces_of("mix", size, self.samples))
            self.tool.must("bitmap", "--add", "-g", "32k", "--disable", image, "second", cwd=self.folder)
        else:
            self.write(image, spec.format, pieces_of(spec.content, size, self.samples))

    def compressed(self, spec, image):
        cluster = cluster_bytes(spec.option("cluster_size", "64k"))
        places = [0, 1, 2, 5, 6, 9, 11]
        script = [f"write -c -s {self.samples}/{'random' if place == 5 else 'text'} {place * cluster} {cluster}"
                  for place in places if (place + 1) * cluster <= spec.size]
        if not script:
            script = [f"write -c -P 5 0 {spec.size}"]
        script += commands(clip([("write -P 77", 2 * cluster + 512, 1024)], spec.size))
        self.tool.io(image, *script, cwd=self.folder)
