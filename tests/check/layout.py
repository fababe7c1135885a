# SPDX-License-Identifier: Apache-2.0
"""Where the tables of a qcow2 image lie: parsed with just enough care for images that the genuine tool made."""

import struct

COPIED, COMPRESSED, ZERO = 1 << 63, 1 << 62, 1
OFFSET = 0x00FFFFFFFFFFFE00
MOST = 1 << 20  # bytes that a change may lie behind the end


class Layout:
    """An image in memory, and its tables by number."""

    def __init__(self, data):
        self.data = bytearray(data)
        (self.cluster_bits,) = struct.unpack_from(">I", self.data, 20)
        self.cluster = 1 << self.cluster_bits
        (self.version,) = struct.unpack_from(">I", self.data, 4)
        self.l1_size, self.l1 = struct.unpack_from(">IQ", self.data, 36)
        self.reftable, self.reftable_clusters, self.snapshot_count, self.snapshots = struct.unpack_from(">QIIQ", self.data, 48)
        self.order = struct.unpack_from(">I", self.data, 96)[0] if self.version >= 3 else 4
        self.incompatible = self.u64(72) if self.version >= 3 else 0
        self.entry = 16 if self.incompatible & 16 else 8

    def u64(self, offset):
        return struct.unpack_from(">Q", self.data, offset)[0] if offset + 8 <= len(self.data) else 0

    def put(self, offset, value):
        if offset > len(self.data) + MOST:
            return
        if offset + 8 > len(self.data):
            self.data.extend(bytes(offset + 8 - len(self.data)))
        struct.pack_into(">Q", self.data, offset, value)

    def put_bytes(self, offset, data):
        if offset > len(self.data) + MOST:
            return
        if offset + len(data) > len(self.data):
            self.data.extend(bytes(offset + len(data) - len(self.data)))
        self.data[offset:offset + len(data)] = data

    def l1_entries(self, offset=None, size=None):
        """Places of the entries that are not zero."""
        offset, size = (self.l1, self.l1_size) if offset is None else (offset, size)
        size = min(size, len(self.data) // 8)
        return [offset + 8 * i for i in range(size) if self.u64(offset + 8 * i)]

    def l2_entries(self, l1=None, size=None):
        """Places of the L2 entries in use."""
        places = []
        for at in self.l1_entries(l1, size):
            table = self.u64(at) & OFFSET
            places += [table + i for i in range(0, self.cluster, self.entry) if self.u64(table + i)]
        return places

    def refblocks(self):
        """Places of the refcount table's entries in use."""
        size = self.reftable_clusters * self.cluster // 8
        return [self.reftable + 8 * i for i in range(size) if self.u64(self.reftable + 8 * i)]

    def refcount_place(self, number):
        """Byte and shift of a cluster's count; None where there is no block."""
        per_block = self.cluster * 8 >> self.order
        block = self.u64(self.reftable + 8 * (number // per_block))
        if not block:
            return None
        bit = (number % per_block) << self.order
        return block + bit // 8, bit % 8

    def refcount(self, number):
        place = self.refcount_place(number)
        if place is None:
            return 0
        width = 1 << self.order
        if place[0] + 8 > len(self.data):
            return 0
        if width < 8:
            return self.data[place[0]] >> place[1] & ((1 << width) - 1)
        return int.from_bytes(self.data[place[0]:place[0] + width // 8], "big")

    def set_refcount(self, number, value):
        place = self.refcount_place(number)
        if place is None:
            return
        width = 1 << self.order
        if place[0] + 8 > len(self.data):
            return
        if width < 8:
            mask = ((1 << width) - 1) << place[1]
            self.data[place[0]] = self.data[place[0]] & ~mask | (value << place[1]) & mask
        else:
            self.put_bytes(place[0], (value & ((1 << width) - 1)).to_bytes(width // 8, "big"))

    def clusters(self):
        return -(-len(self.data) // self.cluster)

    def snapshot_entries(self):
        """Offset, L1 offset and L1 size of each snapshot."""
        entries, at = [], self.snapshots
        for _ in range(min(self.snapshot_count, 8)):
            if at + 48 > len(self.data):
                break
            at = -(-at // 8) * 8
            l1, size, id_size, name_size = struct.unpack_from(">QIHH", self.data, at)
            (extra,) = struct.unpack_from(">I", self.data, at + 36)
            entries.append((at, l1, size))
            at += 40 + extra + id_size + name_size
        return entries

    def bitmap_directory(self):
        """Offset and size of the bitmap directory, or None."""
        at = struct.unpack_from(">I", self.data, 100)[0] if self.version >= 3 else 72
        while at + 8 <= self.cluster:
            kind, length = struct.unpack_from(">II", self.data, at)
            if kind == 0:
                return None
            if kind == 0x23852875:
                size, offset = struct.unpack_from(">QQ", self.data, at + 16)
                return offset, size
            at += 8 + -(-length // 8) * 8
        return None
