# SPDX-License-Identifier: Apache-2.0
"""The small images that random command lines work on: made once by the genuine tools, copied for each case."""

import os
import struct
from typing import NamedTuple

SECRET = "secret,id=s,data=pw"
KEY = ("--object", SECRET)
SIZE = 1 << 20
TEXT = "not an image\n"
COPIED = 1 << 63
LAST_FEATURE_BYTE = 79  # of the incompatible features, in a qcow2 header
SAMPLE = b"The quick brown fox. " * 5000


class Image(NamedTuple):
    """What a fixture is: its format, what create is told, what it is filled with, the files that it needs."""

    format: str
    options: tuple = ()
    content: str = "data"
    needs: tuple = ()
    size: int = SIZE

    @property
    def encrypted(self):
        return KEY[1] in self.options


def over(base, image_format="qcow2", *needs, content="patch", size=SIZE, options=()):
    return Image("qcow2", ("-b", base, "-F", image_format, *options), content, (base, *needs), size)


IMAGES = {
    "a.raw": Image("raw"),
    "b.raw": Image("raw", content="patch"),
    "holes.raw": Image("raw", content="patch", size=3 << 20),
    "odd.raw": Image("raw", content="", size=1000),
    "void.raw": Image("raw", content="", size=0),
    "note.txt": Image("raw", content="text", size=0),
    "v3.qcow2": Image("qcow2"),
    "same.qcow2": Image("qcow2", ("-o", "cluster_size=4k")),
    "void.qcow2": Image("qcow2", content=""),
    "v2.qcow2": Image("qcow2", ("-o", "compat=0.10")),
    "lazy.qcow2": Image("qcow2", ("-o", "lazy_refcounts=on,refcount_bits=1,cluster_size=512")),
    "sub.qcow2": Image("qcow2", ("-o", "extended_l2=on,cluster_size=32k"), "patch"),
    "big.qcow2": Image("qcow2", ("-o", "cluster_size=2M"), size=5 << 20),
    "pre.qcow2": Image("qcow2", ("-o", "preallocation=metadata"), "patch"),
    "zlib.qcow2": Image("qcow2", content="compressed"),
    "zstd.qcow2": Image("qcow2", ("-o", "compression_type=zstd"), "compressed"),
    "over.qcow2": over("v3.qcow2"),
    "top.qcow2": over("over.qcow2", "qcow2", "v3.qcow2", content="more"),
    "onraw.qcow2": over("a.raw", "raw"),
    "longer.qcow2": over("v2.qcow2", size=(1 << 20) + 70000 // 512 * 512, options=("-o", "compat=v2")),
    "onodd.qcow2": over("odd.raw", "raw", size=SIZE),
    "gone.qcow2": Image("qcow2", ("-u", "-b", "nofile.raw", "-F", "raw"), ""),
    "snap.qcow2": Image("qcow2", content="snapshots"),
    "bits.qcow2": Image("qcow2", content="bitmaps"),
    "data.qcow2": Image("qcow2", ("-o", "data_file=data.bin"), "data", ("data.bin",)),
    "plain.qcow2": Image("qcow2", ("-o", "data_file=plain.bin,data_file_raw=on"), "patch", ("plain.bin",)),
    "leaks.qcow2": Image("qcow2", content="leaks"),
    "broken.qcow2": Image("qcow2", content="broken"),
    "corrupt.qcow2": Image("qcow2", content="corrupt"),
    "dirty.qcow2": Image("qcow2", ("-o", "lazy_refcounts=on"), "dirty"),
    "cut.qcow2": Image("qcow2", content="cut"),
    "luks.qcow2": Image("qcow2", (*KEY, "-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10"), "encrypted"),
    "aes.qcow2": Image("qcow2", (*KEY, "-o", "encrypt.format=aes,encrypt.key-secret=s"), "encrypted"),
}
WRITES = {
    "data": ["write -P 65 0 64k", "write -P 66 192k 100k", "write -z 512k 128k"],
    "patch": ["write -P 67 64k 512", "write -P 0 128k 64k", "write -P 66 192k 64k"],
    "more": ["write -P 68 512k 64k", "write -z 0 64k"],
}


class Fixtures:
    """Makes them all in a folder."""

    def __init__(self, oracle, folder):
        self.oracle = oracle
        self.folder = folder
        folder.mkdir()
        (folder / "sample").write_bytes(SAMPLE)
        for name, image in IMAGES.items():
            self.oracle.must("create", "-q", "-f", image.format, *image.options, name, image.size, cwd=folder)
            getattr(self, f"fill_{image.content}", self.write)(name, image)

    def write(self, name, image):
        if image.content:
            self.oracle.io(name, *WRITES[image.content], cwd=self.folder, options=("-d", "unmap", "-f", image.format))

    def fill_text(self, name, _image):
        (self.folder / name).write_text(TEXT, encoding="ascii")

    def fill_compressed(self, name, _image):
        self.oracle.io(name, "write -c -s sample 0 64k", "write -c -s sample 128k 64k", "write -P 3 192k 64k", cwd=self.folder)

    def fill_snapshots(self, name, _image):
        for number, tag in enumerate(("one", "two words", "2")):
            self.oracle.io(name, f"write -P {number + 1} {number * 64}k 64k", cwd=self.folder)
            self.oracle.must("snapshot", "-c", tag, name, cwd=self.folder)
        self.oracle.io(name, "write -P 9 64k 128k", cwd=self.folder)

    def fill_bitmaps(self, name, _image):
        for options in (("one",), ("-g", "32k", "two"), ("--disable", "off")):
            self.oracle.must("bitmap", "--add", *options[:-1], name, options[-1], cwd=self.folder)
        self.oracle.io(name, *WRITES["data"], cwd=self.folder)

    def fill_encrypted(self, name, image):
        spec = f"driver={image.format},file.filename={name},encrypt.key-secret=s"
        self.oracle.io(spec, "write -P 70 0 64k", "write -P 71 256k 4k", cwd=self.folder, options=(*KEY, "--image-opts"))

    def fill_leaks(self, name, _image):
        """Forgets an L2 entry: its cluster is counted and not used."""
        self.poke(name, lambda data: struct.pack_into(">Q", data, self.second_level(data), 0))

    def fill_broken(self, name, _image):
        """A cluster that is used once, and not marked so."""
        def change(data):
            entry, = struct.unpack_from(">Q", data, self.second_level(data))
            struct.pack_into(">Q", data, self.second_level(data), entry & ~COPIED)
        self.poke(name, change)

    def fill_corrupt(self, name, _image):
        self.poke(name, lambda data: data.__setitem__(LAST_FEATURE_BYTE, 2))

    def fill_dirty(self, name, _image):
        self.poke(name, lambda data: data.__setitem__(LAST_FEATURE_BYTE, 1))

    def fill_cut(self, name, _image):
        self.poke(name, lambda data: data.__delitem__(slice(300000, None)))

    def poke(self, name, change):
        """Changes an image that has data."""
        self.oracle.io(name, *WRITES["data"], cwd=self.folder)
        path = self.folder / name
        data = bytearray(path.read_bytes())
        change(data)
        path.write_bytes(data)

    @staticmethod
    def second_level(data):
        """Where the first L2 table lies."""
        return struct.unpack_from(">Q", data, struct.unpack_from(">Q", data, 40)[0])[0] & 0x00fffffffffffe00

    def copy(self, names, folder):
        """The named images and what they need, with their holes."""
        folder.mkdir()
        for name in {file for name in names for file in (name, *IMAGES[name].needs)}:
            copy_sparse(self.folder / name, folder / name)


def copy_sparse(source, target):
    with open(source, "rb") as left, open(target, "wb") as right:
        size = os.fstat(left.fileno()).st_size
        right.truncate(size)
        start = 0
        while start < size:
            try:
                start = os.lseek(left.fileno(), start, os.SEEK_DATA)
            except OSError:  # nothing but a hole follows
                return
            end = os.lseek(left.fileno(), start, os.SEEK_HOLE)
            os.lseek(right.fileno(), start, os.SEEK_SET)
            while start < end:
                start += os.sendfile(right.fileno(), left.fileno(), start, end - start)
