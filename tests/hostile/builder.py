# SPDX-License-Identifier: Apache-2.0
"""Builds small qcow2 images byte by byte, so that each field can be made wrong. Names are those of the specification."""

import struct
import zlib

CLUSTER_BITS = 12
CLUSTER = 1 << CLUSTER_BITS
REFTABLE, REFBLOCK, L1, L2, DATA = (CLUSTER * number for number in (1, 2, 3, 4, 5))
CLUSTERS = 4  # of data
SIZE = 1 << 20
COPIED, COMPRESSED, ZERO = 1 << 63, 1 << 62, 1
HEADER = {  # name: (offset, struct format)
    "magic": (0, ">I"), "version": (4, ">I"), "backing_file_offset": (8, ">Q"), "backing_file_size": (16, ">I"),
    "cluster_bits": (20, ">I"), "size": (24, ">Q"), "crypt_method": (32, ">I"), "l1_size": (36, ">I"), "l1_table_offset": (40, ">Q"),
    "refcount_table_offset": (48, ">Q"), "refcount_table_clusters": (56, ">I"), "nb_snapshots": (60, ">I"), "snapshots_offset": (64, ">Q"),
    "incompatible_features": (72, ">Q"), "compatible_features": (80, ">Q"), "autoclear_features": (88, ">Q"), "refcount_order": (96, ">I"),
    "header_length": (100, ">I"), "compression_type": (104, ">B"),
}
EXTENSION = {"end": 0, "backing format": 0xE2792ACA, "feature names": 0x6803F857, "bitmaps": 0x23852875, "encryption": 0x0537BE77, "data file": 0x44415441}


class Image:
    """An image in memory: a valid one of four data clusters at first."""

    def __init__(self, version=3, **fields):
        self.data = bytearray(DATA + CLUSTERS * CLUSTER)
        values = {"magic": 0x514649FB, "version": version, "cluster_bits": CLUSTER_BITS, "size": SIZE, "l1_size": 1, "l1_table_offset": L1,
                  "refcount_table_offset": REFTABLE, "refcount_table_clusters": 1}
        if version >= 3:
            values.update(refcount_order=4, header_length=112)
        self.extension_end = 112 if version >= 3 else 72
        self.set(**values)
        self.put(REFTABLE, ">Q", REFBLOCK)
        self.put(REFBLOCK, f">{DATA // CLUSTER + CLUSTERS}H", *[1] * (DATA // CLUSTER + CLUSTERS))
        self.put(L1, ">Q", L2 | COPIED)
        for number in range(CLUSTERS):
            self.l2(number, (DATA + number * CLUSTER) | COPIED)
            self.write(DATA + number * CLUSTER, bytes([0x41 + number]) * CLUSTER)
        self.set(**fields)

    def set(self, **fields):
        for name, value in fields.items():
            offset, form = HEADER[name]
            self.put(offset, form, value)
        return self

    def put(self, offset, form, *values):
        self.write(offset, struct.pack(form, *values))
        return self

    def write(self, offset, data):
        if offset + len(data) > len(self.data):
            self.data.extend(bytes(offset + len(data) - len(self.data)))
        self.data[offset:offset + len(data)] = data
        return self

    def l2(self, number, entry):
        return self.put(L2 + 8 * number, ">Q", entry)

    def refcount(self, cluster, count):
        return self.put(REFBLOCK + 2 * cluster, ">H", count)

    def cluster(self, data=b""):
        """Appends a cluster that is in use; its offset."""
        offset = -(-len(self.data) // CLUSTER) * CLUSTER
        self.write(offset, data.ljust(CLUSTER, b"\0"))
        for number in range(offset // CLUSTER, len(self.data) // CLUSTER):
            self.refcount(number, 1)
        return offset

    def extension(self, kind, data, length=None):
        """A header extension; length if another one than that of the data is to stand there."""
        code = EXTENSION.get(kind, kind)
        self.put(self.extension_end, ">II", code, len(data) if length is None else length)
        self.write(self.extension_end + 8, data)
        self.extension_end += 8 + -(-len(data) // 8) * 8
        return self

    def backing(self, name, form="qcow2"):
        name = name if isinstance(name, bytes) else name.encode()
        if form:
            self.extension("backing format", form.encode())
        self.extension("end", b"")
        self.set(backing_file_offset=self.extension_end, backing_file_size=len(name))
        return self.write(self.extension_end, name)

    def data_file(self, name, raw=False):
        name = name if isinstance(name, bytes) else name.encode()
        self.set(incompatible_features=4, autoclear_features=2 if raw else 0)
        return self.extension("data file", name).extension("end", b"")

    def without_data(self):
        """Nothing allocated: all is read from the backing file."""
        for number in range(CLUSTERS):
            self.l2(number, 0)
        self.put(REFBLOCK + 2 * (DATA // CLUSTER), f">{CLUSTERS}H", *[0] * CLUSTERS)
        del self.data[DATA:]
        return self

    def compressed(self, number, stream, offset=None, sectors=None):
        """Makes guest cluster number a compressed one; offset and additional sectors may be told wrongly."""
        place = self.cluster(stream)
        shift = 62 - (CLUSTER_BITS - 8)
        place = place if offset is None else offset
        more = (place % 512 + len(stream) - 1) // 512 if sectors is None else sectors
        return self.l2(number, COMPRESSED | more << shift | place)

    def extended(self):
        """Turns the image into one with extended L2 entries; cluster 0 has all its subclusters allocated."""
        self.data = bytearray(self.data)
        self.set(incompatible_features=16, cluster_bits=16)
        return self

    def snapshots(self, *entries):
        offset = self.cluster(b"".join(entries))
        return self.set(nb_snapshots=len(entries), snapshots_offset=offset)

    def save(self, path):
        path.write_bytes(self.data)


def deflated(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -12)
    return packer.compress(data) + packer.flush()


def snapshot(identity=b"1", name=b"one", **wrong):
    """One entry of the snapshot table, padded to eight bytes."""
    fields = {"l1_table_offset": L1, "l1_size": 1, "id_str_size": len(identity), "name_size": len(name), "date_sec": 1, "date_nsec": 0,
              "vm_clock": 0, "vm_state_size": 0, "extra_data_size": 16, **wrong}
    entry = struct.pack(">QIHHIIQII", *fields.values())
    entry += struct.pack(">QQ", 0, SIZE) + identity + name
    return entry.ljust(-(-len(entry) // 8) * 8, b"\0")


def overlay(below, form="qcow2", **fields):
    """An image that has nothing of its own above the named one."""
    return Image(**fields).without_data().backing(below, form)
