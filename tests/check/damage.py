# SPDX-License-Identifier: Apache-2.0
"""Ways to damage an image. Each takes a Layout and a source of random numbers, and returns whether it found anything to damage."""

import struct

from layout import COMPRESSED, COPIED, OFFSET, ZERO


def pick(random, places):
    return random.choice(places) if places else None


def change(image, place, function):
    if place is None:
        return False
    image.put(place, function(image.u64(place)) & (1 << 64) - 1)
    return True


def leak(image, random):
    free = [n for n in range(image.clusters() + 3) if image.refcount_place(n) and image.refcount(n) == 0]
    for number in random.sample(free, min(len(free), random.choice((1, 1, 3, 9)))):
        image.set_refcount(number, 1)
    return bool(free)


def appended_leak(image, random):
    number = image.clusters()
    image.data.extend(bytes(image.clusters() * image.cluster - len(image.data) + image.cluster * random.randint(1, 4)))
    for more in range(random.randint(1, 4)):
        image.set_refcount(number + more, 1)
    return True


def count_raised(image, random):
    used = [n for n in range(image.clusters()) if image.refcount(n)]
    for number in random.sample(used, min(len(used), 2)):
        image.set_refcount(number, image.refcount(number) + random.randint(1, 3))
    return bool(used)


def count_lowered(image, random):
    used = [n for n in range(image.clusters()) if image.refcount(n) > 1]
    number = pick(random, used)
    if number is None:
        return False
    image.set_refcount(number, random.randint(1, image.refcount(number) - 1))
    return True


def count_lost(image, random):
    used = [n for n in range(image.clusters()) if image.refcount(n)]
    for number in random.sample(used, min(len(used), random.choice((1, 2, 20)))):
        image.set_refcount(number, 0)
    return True


def refblock_zeroed(image, random):
    place = pick(random, image.refblocks())
    if place is None:
        return False
    block = image.u64(place)
    image.put_bytes(block, bytes(min(image.cluster, max(0, len(image.data) - block))))
    return True


def refblock_entry(image, random):
    values = (lambda v: 0, lambda v: v | 0x200, lambda v: v | 8, lambda v: v + image.cluster, lambda v: image.l1, lambda v: image.reftable,
              lambda v: (image.clusters() + 5) * image.cluster, lambda v: 1 << 40, lambda v: 1 << 62, lambda v: v ^ 0x1200)
    return change(image, pick(random, image.refblocks()), random.choice(values))


def second_refblock_entry(image, random):
    values = (image.u64(image.reftable), 0x200, image.cluster * 3, (image.clusters() + 1) * image.cluster, 1 << 50, (1 << 63) - 512, 5)
    image.put(image.reftable + 8, random.choice(values))
    return True


def l1_entry(image, random):
    values = (lambda v: v ^ COPIED, lambda v: v ^ COPIED, lambda v: v | 0x10, lambda v: v | 1 << 60, lambda v: v + 512, lambda v: v + image.cluster,
              lambda v: (image.clusters() + 2) * image.cluster | COPIED, lambda v: image.clusters() * image.cluster | COPIED, lambda v: 0,
              lambda v: image.l1 | COPIED, lambda v: image.reftable)
    return change(image, pick(random, image.l1_entries()), random.choice(values))


def l1_shared_table(image, random):
    entries = image.l1_entries()
    free = [image.l1 + 8 * i for i in range(image.l1_size) if not image.u64(image.l1 + 8 * i)]
    if not entries or not free:
        return False
    image.put(random.choice(free), image.u64(random.choice(entries)))
    return True


def l2_values(image):
    return (lambda v: v ^ COPIED, lambda v: v ^ COPIED, lambda v: v | 0x10, lambda v: v | 1 << 59, lambda v: v + 512, lambda v: v + image.cluster,
            lambda v: (image.clusters() + 2) * image.cluster | COPIED, lambda v: image.clusters() * image.cluster | COPIED, lambda v: 0,
            lambda v: v | ZERO, lambda v: v + 512 | ZERO, lambda v: v | COMPRESSED, lambda v: v & ~COMPRESSED, lambda v: v | COMPRESSED | COPIED,
            lambda v: image.l1 | COPIED, lambda v: COPIED, lambda v: ZERO | COPIED, lambda v: 1 << 55 | COPIED)


def l2_entry(image, random):
    done = False
    for _ in range(random.choice((1, 1, 4))):
        done |= change(image, pick(random, image.l2_entries()), random.choice(l2_values(image)))
    return done


def l2_duplicated(image, random):
    entries = image.l2_entries()
    if len(entries) < 2:
        return False
    first, second = random.sample(entries, 2)
    image.put(first, image.u64(second))
    return True


def subclusters(image, random):
    places = image.l2_entries() if image.entry == 16 else []
    place = pick(random, places)
    if place is None:
        return False
    values = (lambda v: v | v << 32, lambda v: random.getrandbits(64), lambda v: v << 32, lambda v: 0)
    change(image, place + 8, random.choice(values))
    if random.random() < 0.3:
        change(image, place, lambda v: 0)
    elif random.random() < 0.4:
        change(image, place, lambda v: v + 512)
    return True


def unallocated_subclusters(image, random):
    places = image.l1_entries() if image.entry == 16 else []
    place = pick(random, places)
    if place is None:
        return False
    table = image.u64(place) & OFFSET
    image.put(table + image.cluster - 8, random.getrandbits(64))
    return True


def snapshot_l1(image, random):
    entry = pick(random, image.snapshot_entries())
    if entry is None:
        return False
    at, l1, size = entry
    which = random.randrange(4)
    if which == 0:
        image.put(at, random.choice((l1 + 512, l1 + image.cluster, 1 << 50, image.l1)))
    elif which == 1:
        struct.pack_into(">I", image.data, at + 8, random.choice((size + 1, 0, 1 << 23, 1 << 31, 70000)))
    elif which == 2:
        return change(image, pick(random, image.l1_entries(l1, size)), lambda v: v ^ random.choice((COPIED, 512, 16, 1 << 40)))
    else:
        return change(image, pick(random, image.l2_entries(l1, size)), random.choice(l2_values(image)))
    return True


def snapshot_table(image, random):
    if not image.snapshot_count:
        return False
    at = image.snapshot_entries()[-1][0]
    which = random.randrange(6)
    if which == 0:
        struct.pack_into(">I", image.data, 60, random.choice((image.snapshot_count - 1, image.snapshot_count + 1, 65536, 65537, 1 << 31)))
    elif which == 1:
        image.put(64, random.choice((image.snapshots + 512, image.snapshots + 8, 1 << 50, (1 << 63) - 512, image.l1)))
    elif which == 2:
        struct.pack_into(">I", image.data, at + 36, random.choice((0, 8, 15, 16, 23, 25)))
    elif which == 3:
        struct.pack_into(">I", image.data, at + 36, random.choice((1024, 1025, 5000, 1 << 20)))
    elif which == 4:
        struct.pack_into(">HH", image.data, at + 12, random.choice((0, 1, 300, 65535)), random.choice((0, 1, 300, 65535)))
    else:
        image.put_bytes(at, random.randbytes(8))
    return True


def bitmaps(image, random):
    place = image.bitmap_directory()
    if place is None:
        return False
    offset, _ = place
    table = image.u64(offset)
    which = random.randrange(4)
    if which == 0:  # an entry of the table
        image.put(table, random.choice((image.clusters() * image.cluster, (image.clusters() + 3) * image.cluster, image.l1, 0, 1)))
    elif which == 1:  # not valid: only a bitmap in use is not read when the image is opened
        struct.pack_into(">I", image.data, offset + 12, struct.unpack_from(">I", image.data, offset + 12)[0] | 1)
        image.put(table, random.choice((512 + 1, 3, 1 << 60, image.cluster + 512)))
    elif which == 2:
        struct.pack_into(">I", image.data, offset + 12, 1)
    else:  # without the autoclear bit nobody knows of them
        image.put(88, image.u64(88) & ~1)
    return True


def flags(image, random):
    if image.version < 3:
        return False
    image.put(72, image.u64(72) | random.choice((1, 2, 3)))
    return True


def truncated(image, random):
    keep = max(image.l1, image.reftable) + image.cluster
    if len(image.data) <= keep:
        return False
    end = random.randrange(keep, len(image.data))
    del image.data[random.choice((end, end // image.cluster * image.cluster + random.choice((0, 1, 512)))):]
    return True


def table_pointer(image, random):
    image.put(48, random.choice((image.reftable + image.cluster, image.l1, (image.clusters() + 4) * image.cluster, 0)))
    return True


def noise(image, random):
    places = image.l1_entries() + image.l2_entries() + image.refblocks()
    place = pick(random, places)
    return change(image, place, lambda v: v ^ 1 << random.randrange(64))


ALL = (leak, appended_leak, count_raised, count_lowered, count_lost, refblock_zeroed, refblock_entry, second_refblock_entry, l1_entry, l1_shared_table,
       l2_entry, l2_entry, l2_duplicated, subclusters, unallocated_subclusters, snapshot_l1, snapshot_table, bitmaps, flags, truncated, table_pointer,
       noise)
