# SPDX-License-Identifier: Apache-2.0
"""The formats, a row for each variant: what is made of it, and where its header has fields that can be damaged."""

from typing import NamedTuple

KIB, MIB = 1024, 1024 * 1024


class Row(NamedTuple):
    """One variant of a format. Fields are (offset, bytes) of numbers in the image's file."""

    format: str
    options: str = ""
    size: int = 5 * MIB + 3 * 512
    fields: tuple = ()
    order: str = "little"
    creates: bool = True  # else images come from samples.py
    preallocates: bool = True  # preallocation=full and falloc do what they say, where the genuine tool does nothing
    own: tuple = ()  # commands that know more of the image than the genuine tool, on purpose

    @property
    def name(self):
        return f"{self.format} {self.options}".strip()


def words(start, count, width=4):
    return tuple((start + i * width, width) for i in range(count))


VDI = words(0x40, 5) + words(0x154, 7) + ((0x170, 8),) + words(0x178, 4) + words(0x188, 16) + words(0x200, 8)

BOCHS = words(0x40, 8)
CLOOP = words(0x80, 2) + words(0x88, 10, 8)

ROWS = (
    Row("vdi", fields=VDI),
    Row("vdi", "static=on", fields=VDI),
    Row("vdi", size=0, fields=VDI),
    Row("vdi", size=1000),
    Row("bochs", fields=BOCHS, creates=False, own=("map", "measure")),
    Row("bochs", "version=1,extent=65536", fields=BOCHS, creates=False, own=("map", "measure")),
    Row("cloop", fields=CLOOP, order="big", creates=False, own=("map",)),
    Row("cloop", "block=524288", fields=CLOOP, order="big", creates=False, own=("map",)),
)
