// SPDX-License-Identifier: Apache-2.0
// From version 2 of the format to 3, and back.
#include <algorithm>
#include <span>
#include <utility>

#include "plugins/formats/qcow2/amend.hpp"
#include "plugins/formats/qcow2/l1_walk.hpp"

namespace instar::qcow2 {
namespace {
constexpr size_t kTableBytesAtOnce = 4u << 20;
}

Status Image::upgrade(const Call& call, AmendProgress& progress) {
  Lock lock(mutex_);
  progress.report(0, 2);
  if (!snapshots_.empty()) {  // each must say its size, as version 3 asks for
    INSTAR_CHECK(begin_exclusive(call, lock));
    if (const auto written = write_snapshots(call, snapshots_); !written)
      return fail(written.error().code,
                  "Failed to update the snapshot table: ", written.error().message);
    INSTAR_CHECK(write_metadata(call, lock));
  }
  progress.report(1, 2);
  Header next = header_;
  next.version = 3;
  next.incompatible = next.compatible = next.autoclear = 0;
  next.refcount_order = 4;
  if (const auto written = update_header(call, next); !written)
    return fail(written.error().code,
                "Failed to update the image header: ", written.error().message);
  geometry_ = Geometry(header_);
  progress.report(2, 2);
  return {};
}

/** Whether version 2 can say all that the image is. */
Status Image::check_downgrade(const Call& call) {
  if (header_.has_data_file()) return fail(ENOTSUP, "Cannot downgrade an image with a data file");
  if (header_.refcount_order != 4) return fail(ENOTSUP, "compat=0.10 requires refcount_bits=16");
  const bool fits = std::all_of(snapshots_.begin(), snapshots_.end(), [&](const Snapshot& s) {
    return s.vm_state_size <= UINT32_MAX && s.disk_size == header_.size;
  });
  if (!fits) return fail(ENOTSUP, "Internal snapshots prevent downgrade of image");
  const uint64_t features =
      header_.incompatible & ~(uint64_t{kIncompatDirty} | kIncompatCompression);
  if (features != 0)
    return fail(ENOTSUP, "Cannot downgrade an image with incompatible features ", hex(features),
                " set");
  if ((header_.incompatible & kIncompatCompression) == 0) return {};
  INSTAR_TRY(const bool packed, has_packed(call));
  if (packed)
    return fail(ENOTSUP,
                "Cannot downgrade an image with zstd compression type and existing compressed "
                "clusters");
  return {};
}

/** Whether any table, of snapshots too, has a compressed cluster. */
Result<bool> Image::has_packed(const Call& call) {
  Lock lock(mutex_);
  INSTAR_CHECK(begin_exclusive(call, lock));
  bool found = false;
  const auto look = [&](const L1Table& l1) {
    L1Walk walk(geometry_, file_);
    return walk.each(call, l1, [&](const L1Walk::Table& table) -> Status {
      for (uint64_t at = 0; at < geometry_.cluster_size; at += geometry_.entry_size)
        found = found || (load_be<uint64_t>(table.entries + at) & kEntryCompressed) != 0;
      return {};
    });
  };
  INSTAR_CHECK(look(l2_.l1()));
  for (const auto& snapshot : snapshots_) {
    INSTAR_CHECK(check_snapshot(geometry_, snapshot));
    INSTAR_TRY(const L1Table l1, read_l1(call, file_, snapshot.l1_offset, snapshot.l1_entries));
    INSTAR_CHECK(look(l1));
  }
  return found;
}

Status Image::downgrade(const Call& call, AmendProgress& progress) {
  INSTAR_CHECK(check_downgrade(call));
  if (const auto expanded = expand_zeroes(call, progress); !expanded)
    return fail(expanded.error().code,
                "Failed to turn zero into data clusters: ", expanded.error().message);
  // Version 2 has no bitmaps.
  while (!bitmaps_.empty())
    INSTAR_CHECK(bitmap_remove(call, std::string(bitmaps_.back().name)));
  const Lock lock(mutex_);
  INSTAR_CHECK(store_bitmaps(call));
  INSTAR_CHECK(write_refcounts(call));
  Header next = header_;
  next.version = 2;
  next.incompatible = next.compatible = next.autoclear = 0;
  next.compression_type = kCompressionZlib;
  next.unknown_fields.clear();
  if (const auto written = update_header(call, next); !written)
    return fail(written.error().code,
                "Failed to update the image header: ", written.error().message);
  geometry_ = Geometry(header_);
  return {};
}

/** Version 2 has no flag for clusters that read as zeroes: they become data, or nothing where there
 * is no backing file. Tables that snapshots share are changed for all at once, and have nothing left
 * to change when they are met again. */
Status Image::expand_zeroes(const Call& call, AmendProgress& progress) {
  Lock lock(mutex_);
  INSTAR_CHECK(begin_change(call, lock));
  INSTAR_CHECK(write_metadata(call, lock));
  uint64_t total = l2_.l1().size();
  for (const auto& snapshot : snapshots_)
    total += snapshot.l1_entries;
  uint64_t done = 0;
  if (total == 0) progress.report(1, 1);
  const auto expand = [&](std::span<const uint64_t> l1, uint64_t first) -> Status {
    INSTAR_CHECK(expand_tables(call, l1, first));
    for (size_t i = 0; i < l1.size(); ++i)
      progress.report(++done, total);
    return {};
  };
  const size_t at_once = std::max<size_t>(kTableBytesAtOnce >> geometry_.cluster_bits, 1);
  for (size_t at = 0; at < l2_.l1().size(); at += at_once)
    INSTAR_CHECK(
        expand(std::span(l2_.l1()).subspan(at).first(std::min(at_once, l2_.l1().size() - at)), at));
  std::vector<uint64_t> l1;
  for (const auto& snapshot : snapshots_) {
    if (const auto checked = check_snapshot(geometry_, snapshot); !checked) {
      say_as_program(host_, checked.error());
      return fail(checked.error().code, sdk::errno_text(checked.error().code));
    }
    for (size_t at = 0; at < snapshot.l1_entries; at += at_once) {
      l1.resize(std::min<size_t>(at_once, snapshot.l1_entries - at));
      INSTAR_CHECK(file_.read(call, snapshot.l1_offset + at * 8, l1.data(), l1.size() * 8));
      for (uint64_t& entry : l1)
        entry = load_be<uint64_t>(&entry);
      INSTAR_CHECK(expand(l1, at));
    }
  }
  INSTAR_CHECK(write_refcounts(call));
  return barrier(call);
}

/** The L2 tables of these L1 entries, from number `first` on, on the disk: nothing of what changes is
 * cached afterwards. */
Status Image::expand_tables(const Call& call, std::span<const uint64_t> l1, uint64_t first) {
  if (call.cancelled()) return fail(ECANCELED, sdk::errno_text(ECANCELED));
  std::vector<std::pair<uint64_t, uint64_t>> tables;  // and the guest's byte that each begins with
  for (size_t i = 0; i < l1.size(); ++i) {
    const uint64_t table = l1[i] & kL1OffsetMask;
    if (geometry_.in_cluster(table) != 0)
      return corruption_.report(call, true,
                                sdk::cat("L2 table offset ", hex(table), " unaligned (L1 index: ",
                                         first + i == 0 ? "0" : hex(first + i), ")"));
    if (table != 0) tables.emplace_back(table, (first + i) << geometry_.l1_shift);
  }
  std::sort(tables.begin(), tables.end());
  const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
  tables.erase(std::unique(tables.begin(), tables.end(), same), tables.end());
  const uint64_t size = geometry_.cluster_size;
  std::vector<uint8_t> bytes(tables.size() * size);
  std::vector<size_t> changed;
  for (size_t i = 0; i < tables.size(); ++i) {
    const auto [table, guest] = tables[i];
    INSTAR_TRY(const bool any, expand_table(call, table, guest, bytes.data() + i * size));
    if (any) changed.push_back(i);
  }
  if (changed.empty()) return {};
  INSTAR_CHECK(write_refcounts(call));
  INSTAR_CHECK(barrier(call));
  for (const size_t i : changed) {
    l2_.forget_table(tables[i].first);
    INSTAR_CHECK(file_.write(call, tables[i].first, bytes.data() + i * size, size));
  }
  INSTAR_CHECK(barrier(call));
  return apply_frees(call);
}

/** Reads the table of what begins at `guest` and changes it in memory; false: there is nothing to
 * change. */
Result<bool> Image::expand_table(const Call& call, uint64_t table, uint64_t guest, uint8_t* bytes) {
  INSTAR_CHECK(file_.read(call, table, bytes, geometry_.cluster_size));
  INSTAR_TRY(const uint64_t owners, refcounts_.get(call, geometry_.cluster_of(table)));
  bool changed = false;
  for (size_t at = 0; at < geometry_.cluster_size; at += 8) {
    const Entry entry{load_be<uint64_t>(bytes + at), 0};
    if ((entry.word & kEntryCompressed) != 0 || (entry.word & kEntryZero) == 0) continue;
    const uint64_t host = entry.word & kEntryOffsetMask;
    if (geometry_.in_cluster(host) != 0)
      return corruption_.report(
          call, true,
          sdk::cat("Cluster allocation offset ", hex(host), " unaligned (L2 offset: ", hex(table),
                   ", L2 index: ", at == 0 ? "0" : hex(at / 8), ")"));
    INSTAR_TRY(const Entry fresh, expanded(call, entry, guest + at / 8 * geometry_.cluster_size,
                                           std::max<uint64_t>(owners, 1)));
    store_be(bytes + at, fresh.word);
    changed = true;
  }
  return changed;
}

/** What the zero entry of `guest` becomes in a table that `owners` L1 tables refer to. */
Result<Entry> Image::expanded(const Call& call, const Entry& entry, uint64_t guest,
                              uint64_t owners) {
  const uint64_t old = entry.word & kEntryOffsetMask;
  uint64_t host = backing_ ? old : 0;
  if (host != 0) {  // others may see data there
    INSTAR_TRY(const uint64_t count, refcounts_.get(call, geometry_.cluster_of(host)));
    if (count != owners) host = 0;
  }
  if (old != 0 && host == 0)
    for (uint64_t i = 0; i < owners; ++i)
      free_later({geometry_.cluster_of(old), 1}, false);
  if (!backing_) return Entry{};
  if (host == 0) {
    INSTAR_TRY(const ClusterRange range, refcounts_.allocate(call, 1));
    for (uint64_t i = 1; i < owners; ++i)
      INSTAR_CHECK(refcounts_.increase(call, range));
    host = range.first << geometry_.cluster_bits;
  }
  if (cipher_) {
    std::vector<uint8_t> zeroes(geometry_.cluster_size);
    const instar_iovec piece{zeroes.data(), zeroes.size()};
    INSTAR_CHECK(cipher_->write(call, file_, guest, host, IoVec(&piece, 1), 0, zeroes.size()));
  } else {
    INSTAR_CHECK(file_.write_zeroes(call, host, geometry_.cluster_size, 0));
  }
  return Entry{host | (owners == 1 ? kEntryCopied : 0), 0};
}

}  // namespace instar::qcow2
