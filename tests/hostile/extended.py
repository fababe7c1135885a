# SPDX-License-Identifier: Apache-2.0
"""A small image with extended L2 entries, of 16 KiB clusters, which the builder's layout doesn't fit."""

import struct

BITS = 14
CLUSTER = 1 << BITS
L2 = 4 * CLUSTER
DATA = 5 * CLUSTER


def image(entries, clusters=2):
    """entries: (L2 entry, bitmap) of the first guest clusters; data clusters are filled with letters."""
    data = bytearray(DATA + clusters * CLUSTER)
    header = struct.pack(">IIQIIQIIQQIIQQQQII", 0x514649FB, 3, 0, 0, BITS, 1 << 20, 0, 1, 3 * CLUSTER, CLUSTER, 1, 0, 0, 16, 0, 0, 4, 112)
    data[:len(header)] = header
    struct.pack_into(">Q", data, CLUSTER, 2 * CLUSTER)
    struct.pack_into(f">{5 + clusters}H", data, 2 * CLUSTER, *[1] * (5 + clusters))
    struct.pack_into(">Q", data, 3 * CLUSTER, L2 | 1 << 63)
    for number, entry in enumerate(entries):
        struct.pack_into(">QQ", data, L2 + 16 * number, *entry)
    for number in range(clusters):
        data[DATA + number * CLUSTER:DATA + (number + 1) * CLUSTER] = bytes([0x61 + number]) * CLUSTER
    return data
