# SPDX-License-Identifier: Apache-2.0
"""Checksums that an image holds of its own header, so that damage gets past them."""

POLYNOMIAL = 0x82F63B78  # CRC-32C


def crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


CRC = crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def renew(name, image):
    """In place."""
    if name == "vpc":
        for offset, length, at in ((0, 512, 64), (len(image) - 512, 512, 64), (512, 1024, 36)):
            if image[offset : offset + 8] in (b"conectix", b"cxsparse"):
                image[offset + at : offset + at + 4] = bytes(4)
                image[offset + at : offset + at + 4] = (~sum(image[offset : offset + length]) & 0xFFFFFFFF).to_bytes(4, "big")
    if name == "vhdx":
        for offset, length in ((0x10000, 0x1000), (0x20000, 0x1000), (0x30000, 0x10000)):
            image[offset + 4 : offset + 8] = bytes(4)
            image[offset + 4 : offset + 8] = crc32c(image[offset : offset + length]).to_bytes(4, "little")
