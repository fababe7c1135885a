# SPDX-License-Identifier: Apache-2.0
"""The persistent dirty bitmaps of a qcow2 file, read by the specification alone."""

import struct

EXTENSION = 0x23852875
ALL_ONES = 1
IN_USE = 1
ENTRY = ">QIIBBHI"
ENTRY_SIZE = struct.calcsize(ENTRY)
FLAGS_AT = 12


def extensions(data):
    """The header extensions as (type, data)."""
    version, = struct.unpack_from(">I", data, 4)
    at = struct.unpack_from(">I", data, 100)[0] if version >= 3 else 72
    while True:
        kind, length = struct.unpack_from(">II", data, at)
        if kind == 0:
            return
        yield kind, data[at + 8:at + 8 + length]
        at += 8 + -(-length // 8) * 8


def bits_of(data, cluster, table, entries):
    """The numbers of the bits that are set."""
    found = []
    for number, entry in enumerate(struct.unpack_from(f">{entries}Q", data, table)):
        first = number * cluster * 8
        if entry == ALL_ONES:
            found += range(first, first + cluster * 8)
        elif entry:
            piece = data[entry:entry + cluster]
            found += [first + byte * 8 + bit for byte, value in enumerate(piece) if value for bit in range(8) if value >> bit & 1]
    return found


def directory(data):
    """Where each entry lies, and its fixed part."""
    for kind, content in extensions(data):
        if kind != EXTENSION:
            continue
        count, _, _, at = struct.unpack(">IIQQ", content)
        for _ in range(count):
            fields = struct.unpack_from(ENTRY, data, at)
            yield at, fields
            at += -(-(ENTRY_SIZE + fields[6] + fields[5]) // 8) * 8


def bitmaps(path):
    """Name to (granularity in bytes, flags, dirty bits); those in use have no bits that mean anything."""
    data = path.read_bytes()
    cluster = 1 << struct.unpack_from(">I", data, 20)[0]
    result = {}
    for at, (table, entries, flags, _, granularity, name_size, extra) in directory(data):
        name = data[at + ENTRY_SIZE + extra:at + ENTRY_SIZE + extra + name_size].decode()
        result[name] = (1 << granularity, flags, None if flags & IN_USE else bits_of(data, cluster, table, entries))
    return result


def set_in_use(path):
    """As a writer leaves all of them that the power failed for."""
    data = bytearray(path.read_bytes())
    for at, (_, _, flags, *_) in list(directory(data)):
        struct.pack_into(">I", data, at + FLAGS_AT, flags | IN_USE)
    path.write_bytes(data)
