# SPDX-License-Identifier: Apache-2.0
"""Malformed images. Each entry of images() is a name and a function that makes "image" (and what it refers to) in a folder."""

import os
import struct

import extended
from builder import CLUSTER, COPIED, DATA, L1, L2, REFBLOCK, REFTABLE, SIZE, ZERO, Image, deflated, overlay, snapshot

HUGE = ((1 << 63) - 1, 1 << 63, (1 << 64) - 1, (1 << 64) - 512, 1 << 56, (1 << 62) - CLUSTER)
LARGE = ((1 << 31) - 1, 1 << 31, (1 << 32) - 1)


# Where there is nothing to compare with: the genuine tool hangs, or runs until its files or its memory end; it has no
# limit to the length of chains; it knows version 1 as another format, which is not ours.
ALONE = ("a fifo", "base is a fifo", "data file is a fifo", "its own base", "a cycle", "base is json of the image itself", "snapshots, 65536",
         "a chain of 201", "a chain of 2000", "version = 0x1")


def saved(image):
    return lambda folder: image.save(folder / "image")


def with_bytes(data):
    return lambda folder: (folder / "image").write_bytes(data)


def field(name, *values):
    for value in values:
        yield f"{name} = {value:#x}", saved(Image(**{name: value}))


def headers():
    good = bytes(Image().data)
    for length in (0, 1, 3, 4, 8, 20, 71, 72, 100, 103, 104, 111, 112, 511, 512, CLUSTER, L1, L2, DATA, DATA + 5):
        yield f"file of {length} bytes", with_bytes(good[:length])
    yield from field("version", 0, 1, 4, 99, 0xFFFFFFFF)
    yield "version 2", saved(Image(version=2))
    yield from field("cluster_bits", 0, 1, 8, 9, 11, 13, 16, 21, 22, 31, 32, 63, 64, 0xFFFFFFFF)
    yield from field("size", 0, 1, 511, 513, SIZE - 1, SIZE + 1, 2 * SIZE, 1 << 21, (1 << 21) + 1, 1 << 40, *HUGE)
    yield from field("crypt_method", 1, 2, 3, 0xFFFFFFFF)
    yield from field("l1_size", 0, 2, 512, 1 << 22, (1 << 22) + 1, *LARGE)
    yield from field("header_length", 0, 1, 71, 72, 96, 103, 104, 105, 108, 111, 120, 512, CLUSTER - 8, CLUSTER, CLUSTER + 8, *LARGE)
    yield from field("refcount_order", 0, 1, 3, 5, 6, 7, 31, 32, 0xFFFFFFFF)
    yield from field("compression_type", 1, 2, 255)
    yield from field("incompatible_features", 1, 2, 3, 4, 8, 16, 32, 1 << 40, 1 << 63, (1 << 64) - 1)
    yield from field("compatible_features", 1, 2, (1 << 64) - 1)
    yield from field("autoclear_features", 1, 2, 3, 4, (1 << 64) - 1)
    yield from field("backing_file_offset", 1, 8, CLUSTER, CLUSTER - 1, *HUGE)
    yield "dirty, corrupt, every table elsewhere", saved(Image(incompatible_features=3, l1_table_offset=1 << 40, refcount_table_offset=1 << 41))
    yield "random bytes after the magic", with_bytes(good[:8] + bytes((i * 89 + 7) % 256 for i in range(4 * CLUSTER)))
    yield "magic only in the second sector", with_bytes(bytes(512) + good)


def tables():
    places = (0, 1, 8, 511, 512, CLUSTER, L2, DATA, DATA + 8, DATA + 4 * CLUSTER, 1 << 30, *HUGE)
    yield from field("l1_table_offset", *places)
    yield from field("refcount_table_offset", *places)
    yield from field("refcount_table_clusters", 0, 2, 2047, 2048, 2049, 1 << 20, *LARGE)
    yield "l1_size * 8 past the end of the file", saved(Image(l1_size=1 << 16))
    yield "L1 table smaller than the size needs", saved(Image(size=1 << 30, l1_size=100))
    yield "size with L1 in a hole", saved(Image(size=1 << 35, l1_size=1 << 14, l1_table_offset=1 << 36))
    for value in (0, 1, 8, 512, L1, L2, REFTABLE, DATA, DATA + 512, DATA + 4 * CLUSTER, 1 << 40, (1 << 56) - CLUSTER, (1 << 56) - 512, 1 << 62):
        for name, copied in (("", 0), (" copied", COPIED)):
            yield f"L1 entry {value:#x}{name}", saved(Image().put(L1, ">Q", value | copied))
            yield f"L2 entry {value:#x}{name}", saved(Image().l2(1, value | copied))
            yield f"L2 entry {value:#x}{name} zero", saved(Image().l2(1, value | copied | ZERO))
        yield f"refcount table entry {value:#x}", saved(Image().put(REFTABLE, ">Q", value))
    yield "L1 entry all ones", saved(Image().put(L1, ">Q", (1 << 64) - 1))
    yield "L2 entry all ones", saved(Image().l2(1, (1 << 64) - 1))
    yield "L2 entry reserved bits", saved(Image().l2(1, (DATA + CLUSTER) | COPIED | 2))
    yield "all L2 entries the same", saved(shared())
    yield "refcounts all zero", saved(Image().put(REFBLOCK, ">16H", *[0] * 16))
    yield "refcounts all 65535", saved(Image().put(REFBLOCK, ">16H", *[65535] * 16))
    yield "version 2 with the zero bit", saved(Image(version=2).l2(1, ZERO).l2(2, (DATA + 2 * CLUSTER) | COPIED | ZERO))
    yield "two refcount table entries, one block", saved(Image().put(REFTABLE, ">QQ", REFBLOCK, REFBLOCK))
    yield "file ends inside a data cluster", with_bytes(bytes(Image().data[:-CLUSTER // 2]))


def shared():
    image = Image()
    for number in range(SIZE // CLUSTER):
        image.l2(number, DATA | COPIED)
    return image


def compressed():
    whole = deflated(b"compressed " * 372 + b"xxxx")
    yield "compressed cluster", saved(Image().compressed(5, whole))
    yield "compressed cluster longer than its data", saved(Image().compressed(5, whole, sectors=15))
    yield "compressed cluster past the end", saved(Image().compressed(5, whole, offset=1 << 40))
    yield "compressed cluster at the very end of offsets", saved(Image().compressed(5, whole, offset=(1 << 58) - 1, sectors=15))
    yield "compressed cluster at the last byte", saved(Image().compressed(5, whole, offset=DATA + 4 * CLUSTER - 1, sectors=15))
    yield "compressed cluster at 0", saved(Image().compressed(5, whole, offset=0, sectors=1))
    yield "compressed cluster at the header", saved(Image().compressed(5, whole, offset=3, sectors=1))
    yield "compressed cluster copied", saved(Image().compressed(5, whole).l2(6, COPIED | 1 << 62 | DATA))
    yield "compressed cluster empty stream", saved(Image().compressed(5, deflated(b"")))
    yield "compressed cluster too short", saved(Image().compressed(5, deflated(b"short")))
    yield "compressed cluster too long", saved(Image().compressed(5, deflated(b"long" * CLUSTER)))
    yield "compressed bomb", saved(Image().compressed(5, deflated(bytes(1 << 21))))
    yield "compressed garbage", saved(Image().compressed(5, b"\xff" * 512))
    yield "compressed zeroes", saved(Image().compressed(5, bytes(512)))
    yield "compressed cut short", saved(Image().compressed(5, random_stream()[:700], sectors=1))
    yield "compressed with a large window", saved(Image().compressed(5, b"\x78\x9c" + whole))
    for name, stream in zstd_streams():
        yield f"zstd {name}", saved(Image(incompatible_features=8, compression_type=1).compressed(5, stream))
    yield "compression type zstd without its feature bit", saved(Image(compression_type=1).compressed(5, whole))
    yield "zstd stream read as deflate", saved(Image().compressed(5, zstd_raw(b"z" * CLUSTER)))
    yield "compressed cluster with a data file", data_file_compressed
    yield "all clusters compressed from one stream", saved(all_compressed(whole))


def random_stream():
    return deflated(bytes((i * i * 31 + (i >> 3) * 17) % 251 for i in range(CLUSTER)))


def all_compressed(stream):
    image = Image().compressed(0, stream)
    entry = bytes(image.data[L2:L2 + 8])
    return image.write(L2, entry * (SIZE // CLUSTER))


def zstd_frame(descriptor, window, blocks, size=b""):
    return b"\x28\xb5\x2f\xfd" + bytes([descriptor]) + window + size + blocks


def zstd_raw(data, window=b"\x10"):
    return zstd_frame(0, window, struct.pack("<I", len(data) << 3 | 1)[:3] + data)


def zstd_streams():
    repeated = struct.pack("<I", CLUSTER << 3 | 3)[:3] + b"r"
    yield "repeated byte", zstd_frame(0, b"\x10", repeated)
    yield "huge window", zstd_frame(0, b"\xff", repeated)
    yield "huge content size", zstd_frame(0xE0, b"", repeated, b"\xff" * 8)
    yield "content too short", zstd_frame(0, b"\x10", struct.pack("<I", 5 << 3 | 3)[:3] + b"r")
    yield "content too long", zstd_frame(0, b"\x58", (struct.pack("<I", 131072 << 3 | 2)[:3] + b"r") * 100 + struct.pack("<I", 8 << 3 | 3)[:3] + b"r")
    yield "two frames", zstd_frame(0, b"\x10", struct.pack("<I", 2048 << 3 | 3)[:3] + b"r") * 2
    yield "unended frame", zstd_frame(0, b"\x10", struct.pack("<I", CLUSTER << 3 | 2)[:3] + b"r")
    yield "skippable frame", struct.pack("<II", 0x184D2A50, 0xFFFFFFF0)
    yield "garbage", b"\x5a" * 300
    yield "zeroes", bytes(300)
    yield "reserved block", zstd_frame(0, b"\x10", struct.pack("<I", 64 << 3 | 7)[:3] + b"r")


def plain_offsets(image):
    """With a data file, a cluster lies where the guest sees it."""
    for number in range(4):
        image.l2(number, number * CLUSTER | COPIED)
    return image


def data_file_compressed(folder):
    plain_offsets(Image()).compressed(5, deflated(b"x" * CLUSTER)).data_file("data").save(folder / "image")
    (folder / "data").write_bytes(bytes(SIZE))


def subclusters():
    data = extended.DATA | COPIED
    full = (1 << 32) - 1
    yield "extended", with_bytes(extended.image([(data, full), (0, full << 32), (data + extended.CLUSTER, 0xFFFF)]))
    yield "extended: allocated and zero at once", with_bytes(extended.image([(data, full << 32 | full)]))
    yield "extended: one subcluster both", with_bytes(extended.image([(data, 1 << 32 | 1)]))
    yield "extended: allocated without a cluster", with_bytes(extended.image([(0, full)]))
    yield "extended: all zero bits and no cluster", with_bytes(extended.image([(0, full << 32)] * 64))
    yield "extended: zero bit in the entry", with_bytes(extended.image([(data | ZERO, full)]))
    yield "extended: unaligned", with_bytes(extended.image([(data + 512, full)]))
    yield "extended: compressed with a bitmap", with_bytes(extended.image([(1 << 62 | extended.DATA, full)]))
    yield "extended: compressed", with_bytes(extended.image([(1 << 62 | extended.DATA, 0)]))
    yield "extended with clusters of 4 KiB", saved(Image(incompatible_features=16))
    yield "extended with clusters of 4 KiB, corrupt", saved(Image(incompatible_features=18))
    yield "extended past the end", with_bytes(extended.image([(1 << 50 | COPIED, full)]))


def snapshots():
    yield "snapshot", saved(Image().snapshots(snapshot()))
    yield "snapshots, 65537", saved(Image().snapshots(snapshot()).set(nb_snapshots=65537))
    yield "snapshots, 65536 past the end", saved(Image().snapshots(snapshot()).set(nb_snapshots=65536))
    yield "snapshots, 2^32 - 1", saved(Image().snapshots(snapshot()).set(nb_snapshots=0xFFFFFFFF))
    for offset in (0, 8, 12, 512, DATA + 4, 1 << 30, *HUGE):
        yield f"snapshot table at {offset:#x}", saved(Image().snapshots(snapshot()).set(snapshots_offset=offset))
    for name, value in (("id_str_size", 65535), ("name_size", 65535), ("extra_data_size", 1025), ("extra_data_size", 0), ("extra_data_size", 8),
                        ("extra_data_size", 1024), ("extra_data_size", 0xFFFFFFFF), ("l1_size", 0), ("l1_size", 1 << 22), ("l1_size", 0xFFFFFFFF),
                        ("l1_table_offset", 1), ("l1_table_offset", 1 << 40), ("l1_table_offset", (1 << 64) - CLUSTER), ("date_sec", 0xFFFFFFFF),
                        ("date_nsec", 0xFFFFFFFF), ("vm_clock", (1 << 64) - 1), ("vm_state_size", 0xFFFFFFFF)):
        yield f"snapshot with {name} {value:#x}", saved(Image().snapshots(snapshot(**{name: value})))
    yield "snapshots of one name", saved(Image().snapshots(snapshot(), snapshot(), snapshot(b"2", b"")))
    yield "snapshot whose name is binary", saved(Image().snapshots(snapshot(b"\x1b[2J", b"a\nb\xff\x80\0c")))
    yield "snapshot with an empty id", saved(Image().snapshots(snapshot(b"", b"")))
    yield "snapshots in the header", saved(Image(nb_snapshots=20, snapshots_offset=8))


def extensions():
    for kind in ("backing format", "feature names", "bitmaps", "encryption", "data file", 0x12345678):
        for length in (1, CLUSTER, 0x7FFFFFFF, 0xFFFFFFF8, 0xFFFFFFFF):
            yield f"extension {kind} of length {length:#x}", saved(Image().extension(kind, b"x" * 8, length))
        yield f"extension {kind} empty", saved(Image().extension(kind, b"").extension("end", b""))
        yield f"extension {kind} twice", saved(Image().extension(kind, b"abcdefgh" * 3).extension(kind, b"ijklmnop" * 3).extension("end", b""))
    yield "extensions up to the end of the cluster", saved(Image().write(112, struct.pack(">II", 0x11111111, 0) * ((CLUSTER - 112) // 8)))
    yield "feature names that never end", saved(Image(incompatible_features=1 << 50).extension("feature names", b"\0\x32" + b"x" * 46 + b"junk").extension("end", b""))
    yield "a named unknown feature", saved(Image(incompatible_features=1 << 50).extension("feature names", b"\0\x32" + b"bold\x1b[1m".ljust(46, b"\0")).extension("end", b""))
    for name, data in (("directory past the end", bitmaps(1, 64, 1 << 40)), ("2^32 - 1 bitmaps", bitmaps(0xFFFFFFFF, 64, DATA)), ("no bitmaps", bitmaps(0, 0, 0)),
                       ("huge directory", bitmaps(1, (1 << 63), DATA)), ("unaligned directory", bitmaps(1, 32, DATA + 8)), ("reserved field", bitmaps(1, 32, DATA, 1))):
        for autoclear in (0, 1):
            yield f"bitmaps: {name}, autoclear {autoclear}", saved(Image(autoclear_features=autoclear).extension("bitmaps", data).extension("end", b""))
    for name, entry in bitmap_entries():
        yield f"bitmap: {name}", saved(with_bitmap(entry))
    yield "encryption header past the end", saved(Image(crypt_method=2).extension("encryption", struct.pack(">QQ", 1 << 40, 4096)).extension("end", b""))
    yield "encryption header empty", saved(Image(crypt_method=2).extension("encryption", struct.pack(">QQ", DATA, 0)).extension("end", b""))
    yield "encryption header of garbage", saved(Image(crypt_method=2).extension("encryption", struct.pack(">QQ", DATA, 4096)).extension("end", b""))
    yield "encryption without a header", saved(Image(crypt_method=2))
    yield "encryption AES", saved(Image(crypt_method=1))


def bitmaps(count, size, offset, reserved=0):
    return struct.pack(">IIQQ", count, reserved, size, offset)


def bitmap_entry(offset=DATA, size=1, flags=0, kind=1, granularity=16, name=b"bits", extra=0, name_size=None):
    entry = struct.pack(">QIIBBHI", offset, size, flags, kind, granularity, len(name) if name_size is None else name_size, extra) + name
    return entry.ljust(-(-len(entry) // 8) * 8, b"\0")


def bitmap_entries():
    for name, values in (("good", {}), ("table past the end", {"offset": 1 << 40}), ("table unaligned", {"offset": DATA + 8}), ("table of 2^31 entries", {"size": 1 << 31}),
                         ("granularity 63", {"granularity": 63}), ("granularity 8", {"granularity": 8}), ("granularity 255", {"granularity": 255}), ("kind 0", {"kind": 0}),
                         ("name of 1024", {"name": b"n" * 1024}), ("name without end", {"name_size": 65535}), ("empty name", {"name": b""}), ("binary name", {"name": b"\x1b\n\xff\0"}),
                         ("in use", {"flags": 1}), ("automatic", {"flags": 2}), ("unknown flags", {"flags": 0xFFFFFFF8}), ("extra data", {"extra": 0xFFFFFFFF}), ("table size 0", {"size": 0})):
        yield name, bitmap_entry(**values)


def with_bitmap(entry):
    image = Image(autoclear_features=1)
    offset = image.cluster(entry)
    return image.extension("bitmaps", bitmaps(1, len(entry), offset)).extension("end", b"")


def references():
    """Names inside images: chains without end, things that are no files, names that deceive."""
    yield "its own base", saved(overlay("image"))
    yield "its own base by another path", saved(overlay("./image"))
    yield "a cycle of two", lambda folder: chain(folder, ("image", "second"))
    yield "a cycle of three", lambda folder: chain(folder, ("image", "second", "third"))
    yield "a cycle by symbolic link", linked_cycle
    yield "a chain of 199", lambda folder: deep(folder, 199)
    yield "a chain of 201", lambda folder: deep(folder, 201)
    yield "a chain of 2000", lambda folder: deep(folder, 2000)
    for name, target in (("a folder", "."), ("a missing file", "missing"), ("an absolute missing file", "/nonexistent/file"), ("an empty device", "/dev/null"),
                         ("a folder above", "../../../../../../../"), ("a protocol", "nosuch:file"), ("json without end", "json:{"), ("json without driver", "json:{}"), ("json", 'json:{"driver":"null-co","size":65536}'),
                         ("json of the image itself", 'json:{"driver":"qcow2","file":{"driver":"file","filename":"image"}}'),
                         ("deep json", "json:" + '{"file":' * 110 + "1" + "}" * 110), ("a fifo", "fifo"), ("a socket", "socket"), ("its own memory", "/proc/self/mem"),
                         ("a newline", "a\nb"), ("an escape", "\x1b[31mred"), ("a comma", "a,b=c"), ("a colon", ":"), ("a dash", "-x"), ("invalid UTF-8", b"\xff\xfe"), ("a NUL", b"a\0b"),
                         ("a long name", "n" * 1023), ("a too long path component", "n" * 300)):
        for form in ("raw", "qcow2", ""):
            yield f"base is {name}, format {form or 'unknown'}", special(overlay(target, form))
        yield f"data file is {name}", special(Image().without_data().data_file(target))
    yield "base name of 1024", saved(overlay("n" * 1024))
    yield "base name past the header's cluster", saved(overlay("x").set(backing_file_offset=CLUSTER - 4, backing_file_size=8))
    yield "base name of 2^32 - 1", saved(overlay("x").set(backing_file_size=0xFFFFFFFF))
    yield "base name empty", saved(overlay("x").set(backing_file_size=0))
    yield "base format unknown", saved(overlay("image", "nosuch"))
    yield "base format of 200 letters", saved(overlay("image", "f" * 200))
    yield "data file is the image itself", saved(plain_offsets(Image()).data_file("image"))
    yield "data file with clusters elsewhere", elsewhere
    for name in ('json:{"driver":"file","filename":"image"}', "nbd://127.0.0.1:1/x", "raw:image", "file:image"):  # CVE-2024-4467: plain names, all
        yield f"data file is {name.split(':', 1)[0]}: a plain name", saved(plain_offsets(Image()).data_file(name))
    yield "data file has no name", saved(Image().data_file(""))
    yield "data file feature without a name", saved(Image(incompatible_features=4))
    yield "raw data file and a base", raw_data_and_base
    yield "a data file that is too short", short_data_file
    yield "base of base is the data file", base_is_data


def special(image):
    def make(folder):
        os.mkfifo(folder / "fifo")
        os.mknod(folder / "socket", 0o140600)
        image.save(folder / "image")
    return make


def chain(folder, names):
    for name, below in zip(names, names[1:] + names[:1]):
        overlay(below).save(folder / name)


def linked_cycle(folder):
    overlay("link").save(folder / "image")
    (folder / "link").symlink_to("image")


def deep(folder, depth):
    """depth images on top of each other."""
    Image().save(folder / f"link{depth - 1}")
    for number in range(depth - 1):
        overlay(f"link{number + 1}").save(folder / (f"link{number}" if number else "image"))


def raw_data_and_base(folder):
    plain_offsets(Image(backing_file_offset=200, backing_file_size=4)).write(200, b"base").data_file("data", raw=True).save(folder / "image")
    (folder / "data").write_bytes(bytes(SIZE))
    (folder / "base").write_bytes(b"b" * SIZE)


def elsewhere(folder):
    Image().data_file("data").save(folder / "image")
    (folder / "data").write_bytes(b"d" * SIZE)


def short_data_file(folder):
    plain_offsets(Image()).data_file("data").save(folder / "image")
    (folder / "data").write_bytes(b"d" * 6000)


def base_is_data(folder):
    overlay("second").save(folder / "image")
    Image().data_file("image").save(folder / "second")


def no_images():
    """Things that are no images at all."""
    yield "a fifo as the image", lambda folder: os.mkfifo(folder / "image")
    yield "a folder as the image", lambda folder: (folder / "image").mkdir()
    yield "a socket as the image", lambda folder: os.mknod(folder / "image", 0o140600)
    yield "a dangling link", lambda folder: (folder / "image").symlink_to("nowhere")
    yield "a link to itself", lambda folder: (folder / "image").symlink_to("image")
    yield "a link to /dev/null", lambda folder: (folder / "image").symlink_to("/dev/null")


def images():
    for group in (headers, tables, compressed, subclusters, snapshots, extensions, references, no_images):
        yield from group()
