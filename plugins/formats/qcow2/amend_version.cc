// SPDX-License-Identifier: Apache-2.0
// From version 2 of the format to 3, and back.
#include <algorithm>
#include <set>

#include "plugins/formats/qcow2/amend.hpp"

namespace instar::qcow2 {

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
Status Image::check_downgrade() const {
  if (header_.has_data_file()) return fail(ENOTSUP, "Cannot downgrade an image with a data file");
  if (header_.refcount_order != 4) return fail(ENOTSUP, "compat=0.10 requires refcount_bits=16");
  const bool fits = std::all_of(snapshots_.begin(), snapshots_.end(), [&](const Snapshot& s) {
    return s.vm_state_size <= UINT32_MAX && s.disk_size == header_.size;
  });
  if (!fits) return fail(ENOTSUP, "Internal snapshots prevent downgrade of image");
  const uint64_t features = header_.incompatible & ~uint64_t{kIncompatDirty};
  if (features != 0)
    return fail(ENOTSUP, "Cannot downgrade an image with incompatible features ", hex(features),
                " set");
  return {};
}

Status Image::downgrade(const Call& call, AmendProgress& progress) {
  INSTAR_CHECK(check_downgrade());
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
  next.unknown_fields.clear();
  if (const auto written = update_header(call, next); !written)
    return fail(written.error().code,
                "Failed to update the image header: ", written.error().message);
  geometry_ = Geometry(header_);
  return {};
}

/** Version 2 has no flag for clusters that read as zeroes: they become data, or nothing where there
 * is no backing file. Tables that snapshots share are changed for all at once. */
Status Image::expand_zeroes(const Call& call, AmendProgress& progress) {
  Lock lock(mutex_);
  INSTAR_CHECK(begin_change(call, lock));
  INSTAR_CHECK(write_metadata(call, lock));
  std::set<uint64_t> tables;
  const auto add = [&](uint64_t entry) {
    const uint64_t table = entry & kL1OffsetMask;
    if (table != 0 && geometry_.in_cluster(table) == 0) tables.insert(table);
  };
  for (const uint64_t entry : l2_.l1())
    add(entry);
  for (const auto& snapshot : snapshots_) {
    if (snapshot.l1_entries > kMaxL1Bytes / 8) return fail(EFBIG, sdk::errno_text(EFBIG));
    std::vector<uint64_t> l1(snapshot.l1_entries);
    INSTAR_CHECK(file_.read(call, snapshot.l1_offset, l1.data(), l1.size() * 8));
    for (const uint64_t& entry : l1)
      add(load_be<uint64_t>(&entry));
  }
  uint64_t done = 0;
  if (tables.empty()) progress.report(1, 1);
  for (const uint64_t table : tables) {
    if (call.cancelled()) return fail(ECANCELED, sdk::errno_text(ECANCELED));
    INSTAR_CHECK(expand_table(call, table));
    progress.report(++done, tables.size());
  }
  INSTAR_CHECK(barrier(call));
  INSTAR_CHECK(apply_frees(call));
  INSTAR_CHECK(write_refcounts(call));
  return barrier(call);
}

/** One L2 table, on the disk: nothing of it is cached afterwards. */
Status Image::expand_table(const Call& call, uint64_t table) {
  std::vector<uint8_t> bytes(geometry_.cluster_size);
  INSTAR_CHECK(file_.read(call, table, bytes.data(), bytes.size()));
  INSTAR_TRY(const uint64_t owners, refcounts_.get(call, geometry_.cluster_of(table)));
  bool changed = false;
  for (size_t at = 0; at < bytes.size(); at += 8) {
    const Entry entry{load_be<uint64_t>(bytes.data() + at), 0};
    if ((entry.word & kEntryCompressed) != 0 || (entry.word & kEntryZero) == 0) continue;
    INSTAR_TRY(const Entry fresh, expanded(call, entry, std::max<uint64_t>(owners, 1)));
    store_be(bytes.data() + at, fresh.word);
    changed = true;
  }
  if (!changed) return {};
  INSTAR_CHECK(write_refcounts(call));
  INSTAR_CHECK(barrier(call));
  l2_.forget_table(table);
  return file_.write(call, table, bytes.data(), bytes.size());
}

/** What a zero entry becomes in a table that `owners` L1 tables refer to. */
Result<Entry> Image::expanded(const Call& call, const Entry& entry, uint64_t owners) {
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
  if (cipher_ && !cipher_->counts_host())  // several places in the guest, and a content for each
    return fail(ENOTSUP, "Zero clusters of images with AES encryption can't become data");
  if (host == 0) {
    INSTAR_TRY(const ClusterRange range, refcounts_.allocate(call, 1));
    for (uint64_t i = 1; i < owners; ++i)
      INSTAR_CHECK(refcounts_.increase(call, range));
    host = range.first << geometry_.cluster_bits;
  }
  if (cipher_) {
    std::vector<uint8_t> zeroes(geometry_.cluster_size);
    const instar_iovec piece{zeroes.data(), zeroes.size()};
    INSTAR_CHECK(cipher_->write(call, file_, 0, host, IoVec(&piece, 1), 0, zeroes.size()));
  } else {
    INSTAR_CHECK(file_.write_zeroes(call, host, geometry_.cluster_size, 0));
  }
  return Entry{host | (owners == 1 ? kEntryCopied : 0), 0};
}

}  // namespace instar::qcow2
