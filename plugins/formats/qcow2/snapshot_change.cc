// SPDX-License-Identifier: Apache-2.0
// Snapshots are created, applied and removed. A step that is not complete never shows: the header's
// fields that name the snapshot table, or the active L1 table, change in one write. Counts rise before
// anything more refers to a cluster, and fall after; COPIED flags go before a second reference comes.
#include <algorithm>
#include <cstddef>

#include "plugins/formats/qcow2/bulk_counts.hpp"
#include "plugins/formats/qcow2/image.hpp"
#include "plugins/formats/qcow2/l1_walk.hpp"

namespace instar::qcow2 {
namespace {

constexpr size_t kMaxName = 255;

/** Calls each(range) for all that the tables of `l1` refer to, and for the tables. */
template <class Each>
Status each_reference(const Call& call, const Geometry& geometry, HostFile& file, const L1Table& l1,
                      Each each) {
  L1Walk walk(geometry, file);
  return walk.each(call, l1, [&](const L1Walk::Table& table) -> Status {
    INSTAR_CHECK(each(ClusterRange{geometry.cluster_of(table.offset), 1}));
    ClusterRange pending;
    uint64_t following = 0;  // the entry of the cluster behind the last one
    for (uint64_t at = 0; at < geometry.cluster_size; at += geometry.entry_size) {
      const auto word = load_be<uint64_t>(table.entries + at);
      if (word == following && word != 0) {
        ++pending.count;
        following += geometry.cluster_size;
        continue;
      }
      const ClusterRange range = referenced(geometry, false, word);
      if (range.count == 0) continue;
      if ((word & kEntryCompressed) == 0 && geometry.in_cluster(word & kEntryOffsetMask) != 0)
        return fail(EIO, "Cluster allocation offset ", hex(word & kEntryOffsetMask),
                    " unaligned (L2 offset: ", hex(table.offset), ")");
      following = (word & kEntryCompressed) == 0 ? word + geometry.cluster_size : 0;
      if (pending.first + pending.count == range.first) {
        pending.count += range.count;
        continue;
      }
      if (pending.count != 0) INSTAR_CHECK(each(pending));
      pending = range;
    }
    return pending.count != 0 ? each(pending) : Status{};
  });
}

/** Entries that refer to something now belong to several tables. */
Status clear_copied(const Call& call, const Geometry& geometry, HostFile& file, const L1Table& l1) {
  L1Walk walk(geometry, file);
  return walk.each(call, l1, [&](const L1Walk::Table& table) -> Status {
    for (uint64_t at = 0; at < geometry.cluster_size; at += geometry.entry_size) {
      const auto word = load_be<uint64_t>(table.entries + at);
      if ((word & kEntryCopied) != 0) walk.change(table.entries + at, word & ~kEntryCopied);
    }
    return {};
  });
}

/** Sets the COPIED flags of entries that refer into the open window, and of the L1's. */
Status refresh_copied(const Call& call, const Geometry& geometry, HostFile& file,
                      BulkCounts& counts, L1Table& l1) {
  const auto flagged = [&](uint64_t word, uint64_t offset) -> Result<uint64_t> {
    INSTAR_TRY(const uint64_t count, counts.get(call, geometry.cluster_of(offset)));
    return count == 1 ? word | kEntryCopied : word & ~kEntryCopied;
  };
  L1Walk walk(geometry, file);
  return walk.each(call, l1, [&](const L1Walk::Table& table) -> Status {
    if (counts.inside(geometry.cluster_of(table.offset))) {
      INSTAR_TRY(l1[table.index], flagged(l1[table.index], table.offset));
    }
    for (uint64_t at = 0; at < geometry.cluster_size; at += geometry.entry_size) {
      const auto word = load_be<uint64_t>(table.entries + at);
      const uint64_t offset = word & kEntryOffsetMask;
      if ((word & kEntryCompressed) != 0 || offset == 0) continue;
      if (!counts.inside(geometry.cluster_of(offset))) continue;
      INSTAR_TRY(const uint64_t fresh, flagged(word, offset));
      if (fresh != word) walk.change(table.entries + at, fresh);
    }
    return {};
  });
}

/** The entries of `table` whose L2 tables `other` has not at the same place. */
L1Table only_in(const L1Table& table, const L1Table& other) {
  L1Table result(table.size());
  for (size_t i = 0; i < table.size(); ++i) {
    const uint64_t there = i < other.size() ? other[i] : 0;
    if (((table[i] ^ there) & kL1OffsetMask) != 0) result[i] = table[i];
  }
  return result;
}

}  // namespace

/** Nobody works on the image, and all that is in memory is on the disk. */
Status Image::begin_exclusive(const Call& call, Lock& lock) {
  for (;;) {
    INSTAR_CHECK(begin_change(call, lock));
    if (ranges_.wait(lock, 0, UINT64_MAX, Mode::kExclusive)) continue;
    INSTAR_CHECK(write_metadata(call, lock));  // lets go of the lock at times
    INSTAR_CHECK(write_refcounts(call));
    if (frees_.empty() && packed_.empty() && !l2_.tables_dirty() && !l2_.l1_dirty() &&
        !ranges_.conflicts(0, UINT64_MAX, Mode::kExclusive))
      break;
  }
  packed_next_ = 0;
  return {};
}

void Image::give_back(const Call& call, ClusterRange range) {
  refcounts_.note_free(range.first);
  // A wish: an image stays right without it.
  if (settings_.discard_snapshot)
    (void)file_.discard(call, range.first << geometry_.cluster_bits,
                        range.count << geometry_.cluster_bits);
}

/** Nothing on the disk refers to these any more. */
Status Image::release(const Call& call, ClusterRange range) {
  if (range.count == 0) return {};
  std::vector<ClusterRange> unused;
  INSTAR_CHECK(refcounts_.decrease(call, range, &unused));
  for (const auto& freed : unused)
    give_back(call, freed);
  return {};
}

/** A new place for `bytes`, which are there, and counted, before anything refers to it. 0: for nothing.
 * When a full disk has no room for them, nothing is taken. */
Result<uint64_t> Image::place(const Call& call, const std::vector<uint8_t>& bytes) {
  if (bytes.empty()) return uint64_t{0};
  INSTAR_TRY(const uint64_t first, refcounts_.allocate_run(call, geometry_.clusters(bytes.size())));
  const uint64_t offset = first << geometry_.cluster_bits;
  Status placed = write_refcounts(call);
  if (placed) placed = file_.write(call, offset, bytes.data(), bytes.size());
  if (placed) placed = barrier(call);
  if (placed) return offset;
  (void)release(call, clusters_of(offset, bytes.size()));
  return placed.error();
}

ClusterRange Image::clusters_of(uint64_t offset, uint64_t bytes) const {
  return {geometry_.cluster_of(offset), geometry_.clusters(bytes)};
}

/** Adds 1 to the counts of all that `l1` refers to; or changes none, when one would overflow. */
Status Image::count_up(const Call& call, const L1Table& l1) {
  BulkCounts counts(geometry_, file_, refcounts_.table());
  // What does not fit into memory at once is tried before anything is written.
  for (const bool writes : {false, true}) {
    if (!writes && counts.windows() <= 1) continue;
    for (uint64_t window = 0; window < counts.windows(); ++window) {
      counts.open(window);
      INSTAR_CHECK(each_reference(call, geometry_, file_, l1, [&](ClusterRange range) {
        return counts.increase(call, range);
      }));
      if (!writes) continue;
      auto written = counts.write(call);
      if (!written) broken_ = true;
      INSTAR_CHECK(std::move(written));
    }
  }
  refcounts_.forget_blocks();
  return barrier(call);
}

/** Takes 1 from the counts of all that `gone` refers to, and brings the flags of `kept`, tables of the
 * active L1, up to date. */
Status Image::count_down(const Call& call, const L1Table& gone, L1Table& kept) {
  BulkCounts counts(geometry_, file_, refcounts_.table());
  for (uint64_t window = 0; window < counts.windows(); ++window) {
    counts.open(window);
    INSTAR_CHECK(each_reference(call, geometry_, file_, gone,
                                [&](ClusterRange range) { return counts.decrease(call, range); }));
    INSTAR_CHECK(counts.write(call));
    INSTAR_CHECK(refresh_copied(call, geometry_, file_, counts, kept));
    counts.each_freed([&](ClusterRange range) { give_back(call, range); });
  }
  refcounts_.forget_blocks();
  return {};
}

/** Puts a new snapshot table into the image. */
Status Image::write_snapshots(const Call& call, std::vector<Snapshot> snapshots) {
  INSTAR_TRY(SnapshotTable table, place_snapshots(call, std::move(snapshots)));
  return switch_snapshots(call, std::move(table));
}

/** The table is in the file; the header does not name it yet. */
Result<Image::SnapshotTable> Image::place_snapshots(const Call& call,
                                                    std::vector<Snapshot> snapshots) {
  const auto bytes = serialize_snapshots(snapshots);
  if (bytes.size() > kMaxSnapshotTable) return fail(EFBIG, sdk::errno_text(EFBIG));
  INSTAR_TRY(const uint64_t offset, place(call, bytes));
  return SnapshotTable{std::move(snapshots), offset, bytes.size()};
}

Status Image::switch_snapshots(const Call& call, SnapshotTable table) {
  struct {
    Be<uint32_t> count;
    Be<uint64_t> offset;
  } const fields{static_cast<uint32_t>(table.snapshots.size()), table.offset};
  static_assert(sizeof fields == 12);
  INSTAR_CHECK(barrier(call));  // counts and flags are right before the snapshots are there
  INSTAR_CHECK(file_.write(call, offsetof(HeaderV2, nb_snapshots), &fields, sizeof fields));
  INSTAR_CHECK(barrier(call));
  const ClusterRange old = clusters_of(header_.snapshots_offset, snapshots_bytes_);
  header_.snapshots_count = fields.count;
  header_.snapshots_offset = table.offset;
  snapshots_ = std::move(table.snapshots);
  snapshots_bytes_ = table.bytes;
  return release(call, old);
}

/** The header names another active L1 table, which is in the file, and perhaps another size, from here
 * on. */
Status Image::switch_l1(const Call& call, uint64_t offset, const L1Table& l1, uint64_t size) {
  struct {
    Be<uint64_t> size;
    Be<uint32_t> crypt_method;
    Be<uint32_t> l1_size;
    Be<uint64_t> l1_table_offset;
  } const fields{size, header_.crypt_method, static_cast<uint32_t>(l1.size()), offset};
  static_assert(sizeof fields == 24);
  INSTAR_CHECK(barrier(call));  // what the table refers to is counted
  INSTAR_CHECK(file_.write(call, offsetof(HeaderV2, size), &fields, sizeof fields));
  INSTAR_CHECK(barrier(call));
  header_.size = size;
  header_.l1_entries = fields.l1_size;
  header_.l1_offset = offset;
  size_ = sdk::round_down(size, kSector);
  return {};
}

/** Part of the active L1 was brought up to date. */
Status Image::adopt_flags(const Call& call, const L1Table& part) {
  L1Table l1 = l2_.l1();
  for (size_t i = 0; i < part.size(); ++i)
    if (part[i] != 0) l1[i] = part[i];
  if (l1 != l2_.l1()) INSTAR_CHECK(write_l1(call, file_, header_.l1_offset, l1));
  l2_.replace_l1(std::move(l1), header_.l1_offset);
  return {};
}

/** A change of many steps: when one of them fails, what is in memory may no longer be what is on the
 * disk, and nothing more is written. */
Status Image::all_or_broken(Status done) {
  guard_.forget();  // tables lie elsewhere now
  if (!done) broken_ = true;
  return done;
}

/** Counts and COPIED flags can't change in one write: whoever opens the image after a power cut in
 * between is told to make them agree. Version 2 can't say so, and in whatever order they are written,
 * between the two there is a cluster with another count than its flag says: they lie in different
 * sectors. (All counts and tables written anew, for one write of the header to switch to, would cost
 * more than any snapshot is worth.) There a write copies a cluster needlessly, or hits in place what
 * nobody else has; snapshot_create takes all flags away, whatever the tables' own say. */
Status Image::begin_inexact(const Call& call) {
  if (header_.version < 3 || (header_.incompatible & kIncompatDirty) != 0) return {};
  header_.incompatible |= kIncompatDirty;
  return write_incompatible_features(call, file_, header_);
}

/** They agree, and what says so is on the disk. */
Status Image::end_inexact(const Call& call) {
  INSTAR_CHECK(barrier(call));
  if (settings_.lazy_refcounts || (header_.incompatible & kIncompatDirty) == 0) return {};
  header_.incompatible &= ~uint64_t{kIncompatDirty};
  return write_incompatible_features(call, file_, header_);
}

Status Image::snapshot_create(const Call& call, std::string_view name, int64_t sec, int32_t nsec) {
  if (header_.has_data_file()) return fail(ENOTSUP, sdk::errno_text(ENOTSUP));
  Lock lock(mutex_);
  INSTAR_CHECK(begin_exclusive(call, lock));
  if (snapshots_.size() >= kMaxSnapshots) return fail(EFBIG, sdk::errno_text(EFBIG));
  L1Table l1 = l2_.l1();
  for (auto& entry : l1)
    entry &= ~kEntryCopied;
  Snapshot snapshot;
  snapshot.l1_entries = header_.l1_entries;
  snapshot.id = new_snapshot_id(snapshots_);
  snapshot.name = name.substr(0, kMaxName);
  snapshot.date_sec = static_cast<uint32_t>(sec);
  snapshot.date_nsec = static_cast<uint32_t>(nsec);
  snapshot.disk_size = size();
  snapshot.icount = 0;
  // All that needs room comes before the first count changes.
  INSTAR_TRY(snapshot.l1_offset, place(call, l1_bytes(l1)));
  const ClusterRange own = clusters_of(snapshot.l1_offset, l1.size() * 8);
  auto snapshots = snapshots_;
  snapshots.push_back(std::move(snapshot));
  auto table = place_snapshots(call, std::move(snapshots));
  if (!table) {
    (void)release(call, own);
    return table.error();
  }
  INSTAR_CHECK(begin_inexact(call));
  if (auto counted = count_up(call, l1); !counted) {
    if (broken_) return counted;
    INSTAR_CHECK(release(call, clusters_of(table->offset, table->bytes)));
    INSTAR_CHECK(release(call, own));
    INSTAR_CHECK(end_inexact(call));
    return counted;
  }
  const auto change = [&]() -> Status {
    // Of tables that were shared before, too: a power cut may have left flags in version 2's.
    INSTAR_CHECK(clear_copied(call, geometry_, file_, l1));
    INSTAR_CHECK(adopt_flags(call, l1));
    INSTAR_CHECK(switch_snapshots(call, std::move(*table)));
    return end_inexact(call);
  };
  return all_or_broken(change());
}

Status Image::snapshot_apply(const Call& call, std::string_view id) {
  Lock lock(mutex_);
  if (!bitmaps_.empty()) return fail(EBUSY, "Device has active dirty bitmaps");
  if (header_.has_data_file()) return fail(ENOTSUP, sdk::errno_text(ENOTSUP));
  INSTAR_CHECK(begin_exclusive(call, lock));
  const Snapshot* snapshot = find_snapshot(snapshots_, id);
  if (snapshot == nullptr) return fail(ENOENT, sdk::errno_text(ENOENT));
  if (auto checked = check_snapshot(geometry_, *snapshot); !checked) {
    say_as_program(host_, checked.error());
    return checked;
  }
  const uint64_t disk_size = snapshot->disk_size;
  if (disk_size != size() && header_.version < 3)
    return fail(ENOTSUP, "Can't resize a v2 image which has snapshots");
  const uint64_t needed = sdk::div_up(disk_size, uint64_t{1} << geometry_.l1_shift);
  if (disk_size > INT64_MAX || needed > kMaxL1Bytes / 8) return fail(EFBIG, sdk::errno_text(EFBIG));
  INSTAR_TRY(L1Table l1, read_l1(call, file_, snapshot->l1_offset, snapshot->l1_entries));
  l1.resize(std::max<uint64_t>(l1.size(), needed));

  const L1Table old = l2_.l1();
  for (size_t i = 0; i < l1.size(); ++i) {
    l1[i] &= ~kEntryCopied;
    if (i < old.size() && ((old[i] ^ l1[i]) & kL1OffsetMask) == 0) l1[i] = old[i];
  }
  L1Table coming = only_in(l1, old);
  INSTAR_TRY(const uint64_t offset, place(call, l1_bytes(l1)));
  INSTAR_CHECK(begin_inexact(call));
  if (auto counted = count_up(call, coming); !counted) {
    if (broken_) return counted;
    INSTAR_CHECK(release(call, clusters_of(offset, l1.size() * 8)));
    INSTAR_CHECK(end_inexact(call));
    return counted;
  }
  const auto change = [&]() -> Status {
    const ClusterRange old_place = clusters_of(header_.l1_offset, old.size() * 8);
    INSTAR_CHECK(clear_copied(call, geometry_, file_, coming));
    INSTAR_CHECK(switch_l1(call, offset, l1, disk_size));
    l2_.replace_l1(l1, offset);
    INSTAR_CHECK(count_down(call, only_in(old, l1), coming));
    INSTAR_CHECK(adopt_flags(call, coming));
    INSTAR_CHECK(end_inexact(call));
    return release(call, old_place);
  };
  return all_or_broken(change());
}

Status Image::snapshot_remove(const Call& call, std::string_view id, std::string_view name) {
  if (header_.has_data_file()) return fail(ENOTSUP, sdk::errno_text(ENOTSUP));
  Lock lock(mutex_);
  INSTAR_CHECK(begin_exclusive(call, lock));
  auto snapshots = snapshots_;
  const auto found = std::find_if(snapshots.begin(), snapshots.end(),
                                  [&](const Snapshot& s) { return s.id == id && s.name == name; });
  if (found == snapshots.end()) return fail(ENOENT, "Can't find the snapshot");
  const Snapshot gone = *found;
  INSTAR_CHECK(check_snapshot(geometry_, gone));
  INSTAR_TRY(const L1Table l1, read_l1(call, file_, gone.l1_offset, gone.l1_entries));
  snapshots.erase(found);
  const auto change = [&]() -> Status {
    INSTAR_CHECK(write_snapshots(call, std::move(snapshots)));
    INSTAR_CHECK(write_refcounts(call));
    INSTAR_CHECK(begin_inexact(call));
    // Only what the snapshot had too belongs to the active table alone now.
    L1Table shared = l2_.l1();
    for (size_t i = 0; i < shared.size(); ++i)
      if (i >= l1.size() || (l1[i] & kL1OffsetMask) == 0) shared[i] = 0;
    INSTAR_CHECK(count_down(call, l1, shared));
    INSTAR_CHECK(adopt_flags(call, shared));
    INSTAR_CHECK(end_inexact(call));
    return release(call, clusters_of(gone.l1_offset, l1.size() * 8));
  };
  return all_or_broken(change());
}

}  // namespace instar::qcow2
