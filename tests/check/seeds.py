# SPDX-License-Identifier: Apache-2.0
"""Good images of every kind, made by the genuine tool: what gets damaged."""

import random

SIZE = 3 << 20
KINDS = {
    "plain": {},
    "small clusters": {"cluster_size": "512"},
    "large clusters": {"cluster_size": "2M"},
    "version 2": {"compat": "0.10", "cluster_size": "4k"},
    "width 1": {"refcount_bits": "1", "cluster_size": "4k"},
    "width 2": {"refcount_bits": "2", "cluster_size": "1k"},
    "width 4": {"refcount_bits": "4", "cluster_size": "4k"},
    "width 8": {"refcount_bits": "8", "cluster_size": "512"},
    "width 32": {"refcount_bits": "32", "cluster_size": "4k"},
    "width 64": {"refcount_bits": "64", "cluster_size": "4k"},
    "extended": {"extended_l2": "on", "cluster_size": "16k"},
    "zstd": {"compression_type": "zstd", "cluster_size": "4k"},
    "lazy": {"lazy_refcounts": "on", "cluster_size": "4k"},
    "preallocated": {"preallocation": "metadata", "cluster_size": "4k"},
    "data file": {"data_file": "data.raw", "cluster_size": "4k"},
    "bitmaps": {"cluster_size": "4k"},
    "bitmaps, small clusters": {"cluster_size": "512"},
    "raw data file": {"data_file": "data.raw", "data_file_raw": "on", "cluster_size": "4k"},
}
# The genuine tool loses the snapshots of an image that has bitmaps when check opens it for writing.
WITH_BITMAPS = ("bitmaps", "bitmaps, small clusters", "raw data file")
WITHOUT_SNAPSHOTS = ("width 1", "data file", *WITH_BITMAPS)
WITHOUT_COMPRESSION = ("width 2", "width 4", "data file", "raw data file")


def content(path, number):
    """A sparse raw image: runs of text, noise and nothing."""
    source = random.Random(number)
    data = bytearray(SIZE)
    for _ in range(14):
        start, length = source.randrange(SIZE), source.choice((512, 4096, 20000, 200000))
        piece = source.randbytes(length) if source.random() < 0.5 else b"instar " * (length // 7)
        data[start:start + length] = piece[:max(0, SIZE - start)]
    path.write_bytes(data[:SIZE])


def make(tool, folder, kind):
    """Makes KIND.qcow2 (with spaces as _) in `folder`; its path. A data file is data.raw beside it."""
    options = ",".join(f"{name}={value}" for name, value in KINDS[kind].items())
    image = folder / (kind.replace(" ", "_") + ".qcow2")
    raw = folder / "content.raw"
    content(raw, 1)
    arguments = ["-o", options] if options else []
    if kind not in WITHOUT_COMPRESSION and kind != "preallocated":
        arguments.append("-c")
    tool.must("convert", "-O", "qcow2", *arguments, raw.name, image.name, cwd=folder)
    if kind in WITH_BITMAPS:
        tool.must("bitmap", "--add", "-g", "512", image.name, "b0", cwd=folder)
        tool.must("bitmap", "--add", "--disable", image.name, "b1", cwd=folder)
    written = iter(((9, 200000, 65), (5, 300000, 66), (7, 150000, 67)))
    overwrite(tool, image, *next(written))
    if kind not in WITHOUT_SNAPSHOTS:
        tool.must("snapshot", "-c", "first", image.name, cwd=folder)
        overwrite(tool, image, *next(written))
    if kind not in WITHOUT_SNAPSHOTS and kind != "width 2":
        tool.must("snapshot", "-c", "second", image.name, cwd=folder)
        overwrite(tool, image, *next(written))
    return image


def overwrite(tool, image, count, step, pattern):
    """Plain clusters here and there, some of them in part."""
    step = step // 512 * 512
    tool.must("bench", "-q", "-w", "-t", "unsafe", "-f", "qcow2", "-c", count, "-s", 9728, "-S", step, "-o", 10240, "--pattern", pattern, image.name,
              cwd=image.parent)
