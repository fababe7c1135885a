# SPDX-License-Identifier: Apache-2.0
"""Images of formats that no tool here creates, made by the formats' descriptions."""

import base64
import bz2
import hashlib
import lzma
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


def adc(data):
    """Apple Data Compression: runs of one byte are copied, all else is literal."""
    out, at = b"", 0
    while at < len(data):
        run = 1
        while run < 67 and at + run < len(data) and data[at + run] == data[at]:
            run += 1
        if run > 5:  # the byte, and a copy of what lies one byte back
            wide = run % 2
            copies = run - 1 if wide else min(run - 1, 18)
            out += bytes((0x80, data[at])) + (bytes((0x40 | copies - 4, 0, 0)) if wide else bytes((copies - 3 << 2, 0)))
            at += 1 + copies
        else:
            literal = data[at : at + 128]
            cut = next((i for i in range(1, len(literal) - 6) if literal[i : i + 6] == literal[i : i + 1] * 6), len(literal))
            out += bytes((0x7F + cut,)) + literal[:cut]
            at += cut
    return out


DMG_PACKERS = {1: lambda data: data, 0x80000004: adc, 0x80000005: zlib.compress, 0x80000006: bz2.compress, 0x80000008: lambda data: lzma.compress(data, lzma.FORMAT_XZ)}
DMG_TYPES = {"raw": (1,), "adc": (0x80000004,), "zlib": (0x80000005,), "bzip2": (0x80000006,), "xz": (0x80000008,), "all": tuple(DMG_PACKERS), "old": (1, 0x80000005)}


def dmg(data, pack="zlib", chunk=65536, tables=2, fork=0):
    """Zeroes become chunks of that type. @param fork 1: a resource fork instead of XML"""
    sectors = -(-len(data) // SECTOR)
    data = data.ljust(sectors * SECTOR, b"\0")
    each = -(-len(data) // tables // chunk) * chunk or chunk
    body, blocks, number = b"", [], 0
    for start in range(0, len(data), each):
        entries = b""
        part = data[start : start + each]
        for at in range(0, len(part), chunk):
            piece = part[at : at + chunk]
            kind = DMG_TYPES[pack][number % len(DMG_TYPES[pack])] if any(piece) else number % 2 * 2
            packed = DMG_PACKERS[kind](piece) if any(piece) else b""
            entries += struct.pack(">IIQQQQ", kind, 0, at // SECTOR, len(piece) // SECTOR, len(body), len(packed))
            body += packed
            number += 1
        entries += struct.pack(">IIQQQQ", 0xFFFFFFFF, 0, len(part) // SECTOR, 0, len(body), 0)
        header = struct.pack(">4sIQQQ", b"mish", 1, start // SECTOR, len(part) // SECTOR, 0).ljust(200, b"\0")
        blocks.append(header + struct.pack(">I", len(entries) // 40) + entries)
    if fork:
        data_area = b"".join(struct.pack(">I", len(block)) + block for block in blocks)
        tail = struct.pack(">IIII", 256, 256 + len(data_area), len(data_area), 0).ljust(256, b"\0") + data_area
        where = (len(body), len(tail), 0, 0)
    else:
        items = "".join(f"<dict><key>Data</key><data>\n{base64.encodebytes(block).decode()}</data></dict>" for block in blocks)
        tail = f'<?xml version="1.0"?><plist><dict><key>resource-fork</key><dict><key>blkx</key><array>{items}</array></dict></dict></plist>'.encode()
        where = (0, 0, len(body), len(tail))
    koly = struct.pack(">4sIIIQQQQQII", b"koly", 4, 512, 1, 0, 0, len(body), where[0], where[1], 1, 1).ljust(0xD8, b"\0")
    koly += struct.pack(">QQ", where[2], where[3])
    koly = koly.ljust(0x1E8, b"\0") + struct.pack(">IQ", 1, sectors)
    return body + tail + koly.ljust(512, b"\0")


def parallels(data, tracks=63, version=1, bitmap=0):
    """Clusters that are all zero are left out; those of version 1 follow the table at once. @param bitmap 1: a format extension behind the clusters"""
    size, unit = tracks * SECTOR, tracks if version == 2 else 1
    clusters = [data[i : i + size].ljust(size, b"\0") for i in range(0, len(data), size)]
    begin = -(-(64 + 4 * len(clusters)) // (unit * SECTOR)) * unit
    table, body = [], b""
    for cluster in clusters:
        table.append((begin + len(body) // SECTOR) // unit if any(cluster) else 0)
        body += cluster if any(cluster) else b""
    sectors = -(-len(data) // SECTOR)
    if bitmap:
        ones = struct.pack("<Q16sIIQ", sectors, bytes(range(16)), 128, 1, 1)
        features = (struct.pack("<QQII", 0x20385FAE252CB34A, 0, len(ones), 0) + ones).ljust(size - 24, b"\0")
        extension = struct.pack("<Q", 0xAB234CEF23DCEA87) + hashlib.md5(features).digest() + features
    where = begin + len(body) // SECTOR if bitmap else 0
    magic = b"WithouFreSpacExt" if version == 2 else b"WithoutFreeSpace"
    header = struct.pack("<16s5IQ3IQ", magic, 2, 16, sectors // 512, tracks, len(table), sectors, 0x312E3276, begin if version == 2 else 0, 0, where)
    return (header + struct.pack(f"<{len(table)}I", *table)).ljust(begin * SECTOR, b"\0") + body + (extension if bitmap else b"")


VMDK_DESCRIPTOR = """# Disk DescriptorFile
version=1
CID={cid:08x}
parentCID={parent:08x}
createType="{kind}"
{hint}
# Extent description
{extents}

# The Disk Data Base
#DDB

ddb.adapterType = "lsilogic"
"""
NO_PARENT = 0xFFFFFFFF


def vmdk_descriptor(kind, extents, cid=0x1234ABCD, parent=NO_PARENT, hint=""):
    return VMDK_DESCRIPTOR.format(kind=kind, extents=extents, cid=cid, parent=parent, hint=hint and f'parentFileNameHint="{hint}"').encode()


def grains_of(data, grain):
    """The numbers of those that are not all zero, with their bytes."""
    pieces = (data[at : at + grain].ljust(grain, b"\0") for at in range(0, len(data), grain))
    return [(number, piece) for number, piece in enumerate(pieces) if any(piece)]


def tables_of(grains, count, per_table, first, step, entry):
    """Tables of entries for `count` grains; table by table, None where nothing is. @param entry makes one of a grain's place"""
    tables = [None] * -(-count // per_table)
    for index, (number, _) in enumerate(grains):
        table = tables[number // per_table] = tables[number // per_table] or [0] * per_table
        table[number % per_table] = entry(first + index * step)
    return tables


def vmfs_sparse(data, grain=1):
    """A COWD extent: header, directory and tables, then grains of `grain` sectors. Only tables with something in them are there."""
    sectors = -(-len(data) // SECTOR)
    grains = grains_of(data, grain * SECTOR)
    count = -(-sectors // grain)
    directory = -(-count // 4096)
    tables_at = 4 + -(-directory * 4 // SECTOR)
    used = len({number // 4096 for number, _ in grains})
    tables = tables_of(grains, count, 4096, tables_at + used * 32, grain, lambda sector: sector)
    offsets, at = [], tables_at
    for table in tables:
        offsets.append(at if table else 0)
        at += 32 if table else 0
    header = struct.pack("<4s6I", b"COWD", 1, 3, sectors, grain, 4, directory).ljust(4 * SECTOR, b"\0")
    body = header + struct.pack(f"<{directory}I", *offsets).ljust((tables_at - 4) * SECTOR, b"\0")
    body += b"".join(struct.pack("<4096I", *table) for table in tables if table)
    return body + b"".join(piece for _, piece in grains)


def se_sparse(data):
    """Constant and volatile header, directory, tables of 4096 entries, grains of 4 KiB."""
    sectors = -(-len(data) // SECTOR)
    grains = grains_of(data, 8 * SECTOR)
    count = -(-sectors // 8)
    tables = tables_of(grains, count, 4096, 0, 1, lambda number: 3 << 60 | (number & 0xFFF) << 48 | number >> 12)
    directory_sectors = -(-len(tables) * 8 // SECTOR)
    used = [table for table in tables if table]
    tables_at = 2 + directory_sectors
    grains_at = -(-(tables_at + len(used) * 64) // 8) * 8
    entries, number = [], 0
    for table in tables:
        entries.append(0x1000000000000000 | number if table else 0)
        number += bool(table)
    header = struct.pack("<10Q", 0xCAFEBABE, 0x0000000200000001, sectors, 8, 64, 0, 0, 0, 0, 0)
    header += struct.pack("<16Q", 1, 1, 0, 0, 0, 0, 2, directory_sectors, tables_at, len(used) * 64, 0, 0, 0, 0, grains_at, len(grains) * 8)
    body = header.ljust(SECTOR, b"\0") + struct.pack("<4Q", 0xCAFECAFE, len(used), 0, 0).ljust(SECTOR, b"\0")
    body += struct.pack(f"<{len(entries)}Q", *entries).ljust(directory_sectors * SECTOR, b"\0")
    body += b"".join(struct.pack("<4096Q", *table) for table in used)
    return body.ljust(grains_at * SECTOR, b"\0") + b"".join(piece for _, piece in grains)


def hosted_sparse(data, version=3, cid=0x1234ABCD, parent=NO_PARENT, hint=""):
    """A monolithic extent with its descriptor inside: one directory, all tables, grains of 64 KiB."""
    sectors = -(-len(data) // SECTOR)
    grains = grains_of(data, 65536)
    count = -(-sectors // 128)
    directory = -(-count // 512)
    tables_at = 21 + -(-directory * 4 // SECTOR)
    overhead = -(-(tables_at + directory * 4) // 128) * 128
    tables = tables_of(grains, count, 512, overhead, 128, lambda sector: sector)
    header = struct.pack("<4sIIQQQQIQQQB4sH", b"KDMV", version, 1, sectors, 128, 1, 20, 512, 0, 21, overhead, 0, b"\n \r\n", 0)
    text = vmdk_descriptor("monolithicSparse", f'RW {sectors} SPARSE "image.vmdk"', cid, parent, hint)
    body = header.ljust(SECTOR, b"\0") + text.ljust(20 * SECTOR, b"\0")
    body += struct.pack(f"<{directory}I", *(tables_at + i * 4 for i in range(directory))).ljust((tables_at - 21) * SECTOR, b"\0")
    body += b"".join(struct.pack("<512I", *(table or [0] * 512)) for table in tables)
    return body.ljust(overhead * SECTOR, b"\0") + b"".join(piece for _, piece in grains)


def vmdk(data, kind="vmfs", **options):
    """All files of an image, by what follows the image's name."""
    sectors = -(-len(data) // SECTOR)
    if kind == "v3":
        return {"": hosted_sparse(data, **options)}
    if kind == "chain":  # the parent has all but the first MiB; a grain of zeroes hides nothing
        middle = 1 << 20
        cid = 0x55AA1234
        wrong = options.get("wrong", 0)
        return {"": hosted_sparse(data[:middle].ljust(len(data), b"\0"), 1, 0x1111, cid + wrong, "image-base"), "-base": hosted_sparse(bytes(middle) + data[middle:], 1, cid)}
    extent, line = {"vmfs": (data.ljust(sectors * SECTOR, b"\0"), "VMFS"), "vmfsSparse": (None, "VMFSSPARSE"), "seSparse": (None, "SESPARSE")}[kind]
    if extent is None:
        extent = vmfs_sparse(data, **options) if kind == "vmfsSparse" else se_sparse(data)
    return {"": vmdk_descriptor(kind, f'RW {sectors} {line} "image-extent"'), "-extent": extent}


MAKERS = {"vmdk": vmdk, "bochs": bochs, "cloop": cloop, "dmg": dmg, "parallels": parallels}


def make(name, data, options=""):
    """The files of an image, by what follows its name. @param options keyword=value, separated by commas"""
    given = (pair.split("=") for pair in options.split(",") if pair)
    made = MAKERS[name](data, **{key: int(value) if value.isdigit() else value for key, value in given})
    return made if isinstance(made, dict) else {"": made}


if __name__ == "__main__":  # samples.py FORMAT OPTIONS INPUT OUTPUT
    with open(sys.argv[3], "rb") as source, open(sys.argv[4], "wb") as target:
        target.write(make(sys.argv[1], source.read(), sys.argv[2])[""])
