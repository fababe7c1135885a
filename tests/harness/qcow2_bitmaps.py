# SPDX-License-Identifier: Apache-2.0
"""The persistent dirty bitmaps of a qcow2 file, read by the specification alone."""

import struct

EXTENSION = 0x23852875
ALL_ONES = 1
IN_USE = 1


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


def bitmaps(path):
    """Name to (granularity in bytes, flags, dirty bits); those in use have no bits that mean anything."""
    data = path.read_bytes()
    cluster = 1 << struct.unpack_from(">I", data, 20)[0]
    result = {}
    for kind, content in extensions(data):
        if kind != EXTENSION:
            continue
        count, _, _, at = struct.unpack(">IIQQ", content)
        for _ in range(count):
            table, entries, flags, _, granularity, name_size, extra = struct.unpack_from(">QIIBBHI", data, at)
            name = data[at + 24 + extra:at + 24 + extra + name_size].decode()
            at += -(-(24 + extra + name_size) // 8) * 8
            result[name] = (1 << granularity, flags, None if flags & IN_USE else bits_of(data, cluster, table, entries))
    return result
