# SPDX-License-Identifier: Apache-2.0
"""LUKS volumes whose headers lie, or cost much: described, opened with a password, and changed. Version 2 is raw to the
genuine tool, and what version 1 says wrongly has unit tests that compare the texts: here it is about time and memory."""

import hashlib
import json
import struct

from harness.tool import Tool
from probe import LIMITS, WALL_SECONDS, ended_badly

SECRET = ("--object", "secret,id=s,data=abc")
OPENED = "driver=luks,key-secret=s,file.filename=image"
COMMANDS = (
    ("info", "image"), ("info", "--output=json", "-f", "luks", "image"), ("info", *SECRET, "--image-opts", OPENED), ("measure", "-O", "qcow2", *SECRET, "--image-opts", OPENED),
    ("convert", *SECRET, "--image-opts", OPENED, "-O", "raw", "out"), ("convert", *SECRET, "-O", "raw", "-n", "--target-image-opts", "other", OPENED),
    ("amend", *SECRET, "--image-opts", OPENED, "-o", "state=inactive,old-secret=s"), ("check", *SECRET, "--image-opts", OPENED),
)
SEGMENT = {"type": "crypt", "offset": "16777216", "size": "dynamic", "iv_tweak": "0", "encryption": "aes-xts-plain64", "sector_size": 512}
BASE64 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


def copy_of(size, offset, text, sequence=1):
    """One of the two headers."""
    binary = struct.pack(">6sHQQ48s32s64s40s48sQ", b"LUKS\xba\xbe" if offset == 0 else b"SKUL\xba\xbe", 2, size, sequence, b"", b"sha256", b"", b"uuid", b"", offset).ljust(448, b"\0")
    whole = bytearray((binary.ljust(4096, b"\0") + text).ljust(size, b"\0"))
    whole[448:512] = hashlib.sha256(whole).digest().ljust(64, b"\0")
    return bytes(whole)


def version2(metadata, size=16 << 10):
    text = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
    return lambda folder: (folder / "image").write_bytes((copy_of(size, 0, text) + copy_of(size, size, text)).ljust((16 << 20) + 65536, b"\0"))


def volume(kdf=None, slots=1, iterations=1000, area=None, **changes):
    """Metadata of a volume that can be opened, but for the password."""
    kdf = {"type": "argon2id", "time": 4, "memory": 64, "cpus": 1, "salt": BASE64, **(kdf or {})}
    slot = {"type": "luks2", "key_size": 64, "af": {"type": "luks1", "stripes": 4000, "hash": "sha256"}, "kdf": kdf}
    places = [{"type": "raw", "offset": str(32768 + i * 262144), "size": "258048", "encryption": "aes-xts-plain64", "key_size": 64, **(area or {})} for i in range(slots)]
    digest = {"type": "pbkdf2", "keyslots": [str(i) for i in range(slots)], "segments": ["0"], "hash": "sha256", "iterations": iterations, "salt": BASE64, "digest": BASE64}
    return {"keyslots": {str(i): {**slot, "area": places[i]} for i in range(slots)}, "tokens": {}, "segments": {"0": SEGMENT}, "digests": {"0": digest},
            "config": {"json_size": "12288", "keyslots_size": "16744448"}, **changes}


def version1(iterations=1000, active=1, offset=8, stripes=4000, payload=4096):
    slots = b"".join(struct.pack(">II32sII", 0xAC71F3 if i < active else 0xDEAD, iterations, b"", offset + i * 512, stripes) for i in range(8))
    head = struct.pack(">6sH32s32s32sII20s32sI40s", b"LUKS\xba\xbe", 1, b"aes", b"xts-plain64", b"sha256", payload, 64, b"", b"", iterations, b"uuid")
    return lambda folder: (folder / "image").write_bytes((head + slots).ljust(payload * 512 + 65536, b"\0"))


def long_lists():
    """Every slot would be looked for in the whole of a list."""
    slots = b",".join(b'"%d":{}' % i for i in range(180_000))
    listed = b",".join([b'"a"'] * 490_000)
    digest = {key: value for key, value in volume()["digests"]["0"].items() if key != "keyslots"}
    parts = [json.dumps(part).encode() for part in ({"segments": {"0": SEGMENT}}, digest)]
    return b'%s,"keyslots":{%s},"digests":{"0":%s,"keyslots":[%s]}}}' % (parts[0][:-1], slots, parts[1][:-1], listed)


def images():
    """(name, what makes it)"""
    largest = 4 << 20
    yield "version 2, as it should be", version2(volume())
    yield "version 2, 256 KiB of memory, 32 slots", version2(volume({"memory": 256, "time": 1}, slots=32))
    for memory in (1 << 31, (1 << 64) - 1, (1 << 20) + 1):
        yield f"version 2, {memory} KiB of memory", version2(volume({"memory": memory}))
    yield "version 2, passes without end", version2(volume({"memory": 65536, "time": (1 << 32) - 1}))
    yield "version 2, 32 slots that take long", version2(volume({"type": "pbkdf2", "hash": "sha512", "iterations": 1 << 28}, slots=32))
    yield "version 2, a digest that takes long", version2(volume(iterations=1 << 40))
    yield "version 2, a million lanes", version2(volume({"cpus": 1 << 20, "memory": 1 << 20}))
    yield "version 2, an area far away", version2(volume(area={"offset": str(1 << 62), "size": str(1 << 62)}))
    yield "version 2, a payload far away", version2(volume(segments={"0": {**SEGMENT, "offset": str(1 << 62)}}))
    yield "version 2, brackets", version2(b"[" * (largest - 4097), largest)
    yield "version 2, long lists", version2(long_lists(), largest)
    yield "version 2, no text", version2(b"", largest)
    yield "version 1, as it should be", version1()
    yield "version 1, passwords that take long", version1(iterations=(1 << 32) - 1, active=8)
    yield "version 1, material far away", version1(offset=(1 << 32) - 5000)
    yield "version 1, stripes", version1(stripes=(1 << 32) - 1)


class Volume:
    """All commands over one volume."""

    def __init__(self, tool, make):
        self.tool = Tool("instar", tool.program.replace("qemu-img", "instar"))
        self.make = make

    def __call__(self, folder):
        self.make(folder)
        (folder / "other").write_bytes(bytes(65536))
        for command in COMMANDS:
            done = self.tool.run(*command, cwd=folder, prefix=LIMITS, timeout=WALL_SECONDS)
            yield " ".join(command[:1] + command[-1:]), ended_badly(done)
