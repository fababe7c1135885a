// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/overlap_guard.hpp"

#include <algorithm>

namespace instar::qcow2 {
namespace {
constexpr uint64_t kMaxClusters = uint64_t{1} << 31;  // that have marks
}

void OverlapGuard::forget() {
  marks_ = ClusterCounts(0);
  ready_ = ambiguous_ = false;
}

void OverlapGuard::add(const Geometry& geometry, uint64_t offset, uint64_t length) {
  if (!ready_ || length == 0) return;
  const uint64_t end = geometry.cluster_of(geometry.cluster_end(offset + length));
  if (end > kMaxClusters) {
    ambiguous_ = true;
    return;
  }
  marks_.grow(end);
  for (uint64_t cluster = geometry.cluster_of(offset); cluster < end; ++cluster)
    if (!marks_.increment(cluster)) ambiguous_ = true;
}

/** Names in a table may be anything: beyond the file's end they take no marks. */
void OverlapGuard::add_known(const MetadataView& view, uint64_t offset, uint64_t length) {
  const uint64_t end = view.geometry.cluster_end(view.file.size());
  if (offset <= end && length <= end - offset)
    add(view.geometry, offset, length);
  else
    ambiguous_ = true;
}

void OverlapGuard::add_tables(const MetadataView& view, const std::vector<uint64_t>& entries,
                              uint64_t mask) {
  for (const uint64_t entry : entries)
    if ((entry & mask) != 0) add_known(view, entry & mask, view.geometry.cluster_size);
}

Status OverlapGuard::build(const Call& call, const MetadataView& view) {
  forget();
  ready_ = true;
  if (checks_ == 0) return {};
  const auto asked = [&](uint32_t kind) { return (checks_ & kind) != 0; };
  if (asked(kMainHeader)) add_known(view, 0, view.geometry.cluster_size);
  if (asked(kActiveL1)) add_known(view, view.l1_offset, view.l1.size() * 8);
  if (asked(kActiveL2)) add_tables(view, view.l1, kL1OffsetMask);
  if (asked(kRefcountTable)) add_known(view, view.reftable_offset, view.reftable.size() * 8);
  if (asked(kRefcountBlock)) add_tables(view, view.reftable, kRefcountTableOffsetMask);
  if (asked(kSnapshotTable))
    add_known(view, view.header.snapshots_offset, view.snapshot_table_length);
  if (asked(kBitmapDirectory) && view.header.bitmaps)
    add_known(view, view.header.bitmaps->bitmap_directory_offset,
              view.header.bitmaps->bitmap_directory_size);
  for (const auto& snapshot : view.snapshots) {
    if (asked(kInactiveL1)) add_known(view, snapshot.l1_offset, uint64_t{snapshot.l1_entries} * 8);
    if (!asked(kInactiveL2) || snapshot.l1_entries > kMaxL1Bytes / 8) continue;
    std::vector<uint64_t> l1(snapshot.l1_entries);
    INSTAR_CHECK(view.file.read(call, snapshot.l1_offset, l1.data(), l1.size() * 8));
    for (auto& entry : l1)
      entry = load_be<uint64_t>(&entry);
    add_tables(view, l1, kL1OffsetMask);
  }
  return {};
}

bool OverlapGuard::doubts_write(const Geometry& geometry, uint64_t offset, uint64_t length) const {
  if (checks_ == 0 || length == 0) return false;
  const uint64_t end = geometry.cluster_of(geometry.cluster_end(offset + length));
  if (!ready_ || end > kMaxClusters) return true;
  for (uint64_t cluster = geometry.cluster_of(offset); cluster < std::min(end, marks_.size());
       ++cluster)
    if (marks_.get(cluster) != 0) return true;
  return ambiguous_ && end > marks_.size();  // what lies beyond the end has no marks
}

}  // namespace instar::qcow2
