# SPDX-License-Identifier: Apache-2.0
"""Images of formats that no tool here creates, made by the formats' descriptions."""

import struct
import sys
import zlib

CLOOP_TEXT = b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n"
SECTOR = 512


def bochs(data, version=2, extent=4096):
    """Extents that are all zero are left out, and so are sectors of others, by the bitmap."""
    sectors = [data[i : i + SECTOR].ljust(SECTOR, b"\0") for i in range(0, len(data), SECTOR)]
    each = extent // SECTOR
    groups = [sectors[i : i + each] for i in range(0, len(sectors), each)]
    catalog, extents = [], []
    for group in groups:
        written = [any(sector) for sector in group]
        catalog.append(len(extents) if any(written) else 0xFFFFFFFF)
        if any(written):
            bitmap = sum(bit << i for i, bit in enumerate(written)).to_bytes(SECTOR, "little")
            extents.append(bitmap + b"".join(group).ljust(extent, b"\0"))
    size = len(sectors) * SECTOR
    disk = struct.pack("<IQ", 0, size) if version == 2 else struct.pack("<QI", size, 0)
    header = struct.pack("<32s16s16s5I", b"Bochs Virtual HD Image", b"Redolog", b"Growing", version << 16, SECTOR, len(catalog), max(each // 8, 1), extent) + disk
    return header.ljust(SECTOR, b"\0") + struct.pack(f"<{len(catalog)}I", *catalog) + b"".join(extents)


def cloop(data, block=65536):
    blocks = [zlib.compress(data[i : i + block].ljust(block, b"\0")) for i in range(0, len(data), block)]
    at = 128 + 8 + 8 * (len(blocks) + 1)
    offsets = [at]
    for packed in blocks:
        offsets.append(offsets[-1] + len(packed))
    return CLOOP_TEXT.ljust(128, b"\0") + struct.pack(">II", block, len(blocks)) + struct.pack(f">{len(offsets)}Q", *offsets) + b"".join(blocks)


MAKERS = {"bochs": bochs, "cloop": cloop}


def make(name, data, options=""):
    """@param options keyword=number, separated by commas"""
    return MAKERS[name](data, **{key: int(value) for key, value in (pair.split("=") for pair in options.split(",") if pair)})


if __name__ == "__main__":  # samples.py FORMAT OPTIONS INPUT OUTPUT
    with open(sys.argv[3], "rb") as source, open(sys.argv[4], "wb") as target:
        target.write(make(sys.argv[1], source.read(), sys.argv[2]))
