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
    suffix: str = ""  # of the images' names, where the genuine tool goes by it
    alone: bool = False  # the genuine tool does not read all of it
    told: bool = False  # qemu-img does not recognize it
    layout: bool = True  # an empty image is as long as the genuine tool's
    seven_zip: str = ""  # the ending of file names by which 7z knows the format
    libyal: bool = False  # it reads the variant
    packs: bool = False  # clusters may be compressed
    base: str = ""  # a format that its backing file can have
    damaged: str = ""  # which file of a sample the fields are of, by what follows its name
    own: tuple = ()  # commands that know more of the image than the genuine tool, on purpose

    @property
    def name(self):
        return f"{self.format} {self.options}".strip()


def words(start, count, width=4):
    return tuple((start + i * width, width) for i in range(count))


VDI = words(0x40, 5) + words(0x154, 7) + ((0x170, 8),) + words(0x178, 4) + words(0x188, 16) + words(0x200, 8)

VMDK = words(4, 2) + words(12, 4, 8) + ((44, 4),) + words(48, 3, 8) + ((77, 2),) + words(0x200, 90) + words(21 * 512, 3)
QED = words(0, 4) + words(16, 5, 8) + words(56, 2) + words(65536, 4, 8) + words(5 * 65536, 8, 8)
QED_SMALL = words(0, 4) + words(16, 5, 8) + words(56, 2) + words(4096, 4, 8) + words(3 * 4096, 8, 8)
PARALLELS = words(16, 5) + ((36, 8), (44, 4), (48, 4), (56, 8)) + words(64, 8)
NO_BACKING = ("rebase", "measure -O")  # the genuine tool's words for a driver that tells nothing of its clusters
QCOW = words(0, 2) + ((8, 8), (16, 4), (24, 8), (32, 1), (33, 1), (36, 4), (40, 8)) + words(48, 4, 8) + words(4096, 12, 8)
BOCHS = words(0x40, 8)
CLOOP = words(0x80, 2) + words(0x88, 10, 8)

VPC = ((0x8, 4), (0x10, 8), (0x1C, 4), (0x30, 8), (0x38, 2), (0x3A, 1), (0x3B, 1)) + words(0x200, 2) + ((0x210, 8), (0x218, 4), (0x21C, 4), (0x220, 4)) + words(0x600, 4)
VPC_FIXED = tuple((5257216 + offset, width) for offset, width in ((0x8, 4), (0x1C, 4), (0x30, 8), (0x38, 2), (0x3A, 1), (0x3B, 1), (0x3C, 4)))
VHDX_BAT = words(0x200000, 5, 8)
VHDX_HEADER = ((0x20008, 8), (0x20040, 2), (0x20042, 2), (0x20044, 4), (0x20048, 8))
VHDX = VHDX_BAT + VHDX_HEADER + ((0x30008, 4), (0x30020, 8), (0x30028, 4), (0x30040, 8), (0x30048, 4)) + ((0x30000A, 2),) + words(0x300030, 3) + words(0x310000, 2) + ((0x310008, 8),) + words(0x310020, 2)
LARGE = ("create -f vmdk made 1E",)  # the genuine tool makes an image that it can't open
# ... says that it failed when it did not, and where clusters lie that it does not read
QCOW_OWN = ("create -f qcow made 1E", "convert -c", "map -f qcow")

ROWS = (
    Row("vdi", fields=VDI),
    Row("vdi", "static=on", fields=VDI),
    Row("vdi", size=0, fields=VDI),
    Row("vdi", size=1000),
    Row("vpc", fields=VPC, order="big", seven_zip="vhd", libyal=True),
    Row("vpc", "force_size=on", size=1000, seven_zip="vhd"),
    Row("vpc", "subformat=fixed", fields=VPC_FIXED, order="big", told=True, seven_zip="vhd", libyal=True),
    Row("vpc", size=0),
    Row("vhdx", "block_size=1M", fields=VHDX, own=("map", "measure"), libyal=True),
    Row("vhdx", size=1000, own=("map", "measure"), seven_zip="vhdx"),
    Row("vhdx", "subformat=fixed,block_size=2M", fields=VHDX, own=("map", "measure"), libyal=True),
    Row("vhdx", "block_state_zero=off,log_size=3M", size=5 * MIB + 4 * KIB, own=("map", "measure"), seven_zip="vhdx"),
    Row("vmdk", fields=VMDK, own=LARGE, seven_zip="vmdk", libyal=True, base="vmdk"),
    Row("vmdk", "zeroed_grain=on,adapter_type=lsilogic,compat6=on", fields=VMDK, own=LARGE, base="vmdk"),
    Row("vmdk", "subformat=monolithicFlat,hwversion=9,toolsversion=11", fields=words(0, 120), own=LARGE, libyal=True),
    Row("vmdk", "subformat=twoGbMaxExtentSparse,adapter_type=buslogic", fields=words(0, 120), own=LARGE, libyal=True),
    Row("vmdk", "subformat=twoGbMaxExtentFlat,adapter_type=legacyESX", fields=words(0, 120), own=LARGE, libyal=True),
    Row("vmdk", "subformat=streamOptimized", fields=VMDK, preallocates=False, own=(*LARGE, "bench"), libyal=True),
    Row("vmdk", "kind=vmfs", fields=words(0, 60), creates=False, own=LARGE),
    Row("vmdk", "kind=vmfsSparse", fields=words(4, 6) + words(4 * 512, 2) + words(5 * 512, 4), damaged="-extent", creates=False, own=LARGE),
    Row("vmdk", "kind=vmfsSparse,grain=8", creates=False, own=LARGE),
    Row("vmdk", "kind=seSparse", fields=words(0, 26, 8) + words(512, 5, 8) + words(1024, 2, 8) + words(1536, 5, 8), damaged="-extent", creates=False, own=LARGE),
    Row("vmdk", "kind=v3", fields=VMDK, creates=False, own=LARGE),
    Row("vmdk", "kind=chain", creates=False, own=LARGE),
    Row("qed", fields=QED, preallocates=False, base="raw"),
    Row("qed", "cluster_size=4k,table_size=2", fields=QED_SMALL, preallocates=False, base="raw"),
    Row("qed", size=0, preallocates=False),
    Row("parallels", fields=PARALLELS, own=NO_BACKING),
    Row("parallels", "cluster_size=64k", fields=PARALLELS, own=NO_BACKING),
    Row("parallels", "cluster_size=1000", own=NO_BACKING),
    Row("parallels", size=0, preallocates=False, own=NO_BACKING),
    Row("parallels", "version=1", fields=PARALLELS, creates=False, own=NO_BACKING),
    Row("parallels", "version=2,tracks=128,bitmap=1", creates=False, own=(*NO_BACKING, "check")),
    Row("qcow", fields=QCOW, order="big", preallocates=False, seven_zip="qcow", base="raw", own=QCOW_OWN),
    Row("qcow", size=2 * MIB, preallocates=False, libyal=True, packs=True, own=QCOW_OWN),
    Row("qcow", size=512, preallocates=False, own=QCOW_OWN),
    Row("bochs", fields=BOCHS, creates=False, own=("map", "measure")),
    Row("bochs", "version=1,extent=65536", fields=BOCHS, creates=False, own=("map", "measure")),
    Row("cloop", fields=CLOOP, order="big", creates=False, own=("map",)),
    Row("cloop", "block=524288", fields=CLOOP, order="big", creates=False, own=("map",)),
    Row("dmg", "pack=raw", creates=False, own=("map", "measure"), suffix=".dmg"),
    Row("dmg", "pack=zlib,chunk=262144", creates=False, own=("map", "measure"), suffix=".dmg"),
    Row("dmg", "pack=old,fork=1", creates=False, own=("map", "measure"), suffix=".dmg"),
    Row("dmg", "pack=all,tables=3", creates=False, own=("map", "measure"), suffix=".dmg", alone=True),
)

# What other suites look at, and what shares no code with either tool.
READ_BY_OTHERS = (
    Row("qcow2", seven_zip="qcow2", libyal=True),
    Row("qcow2", "compat=0.10,cluster_size=4k", libyal=True),
    Row("qcow2", "cluster_size=2M,lazy_refcounts=on", libyal=True),
)
