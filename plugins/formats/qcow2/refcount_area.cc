// SPDX-License-Identifier: Apache-2.0
// What resizing and amending ask of the counts: room in one piece, blocks that count nothing, the
// end of what is in use.
#include "plugins/formats/qcow2/refcounts.hpp"

namespace instar::qcow2 {
namespace {

bool is_empty(const uint8_t* bytes, size_t length) {
  return sdk::is_zero(bytes, length);
}

}  // namespace

Result<uint64_t> Refcounts::allocate_area(const Call& call, uint64_t want,
                                          const MakeRoom& make_room) {
  for (;;) {
    INSTAR_TRY(const uint64_t start, behind_all(call));
    // The blocks that count the area, and themselves, follow it.
    uint64_t blocks = 0;
    uint64_t last = 0;
    for (uint64_t needed = UINT64_MAX; needed != blocks;) {
      if (needed != UINT64_MAX) blocks = needed;
      if (start + want + blocks > UINT64_MAX >> (geometry_.cluster_bits + 8))
        return fail(EFBIG, sdk::errno_text(EFBIG));
      last = (start + want + blocks - 1) >> geometry_.refblock_bits;
      needed = 0;
      for (uint64_t b = start >> geometry_.refblock_bits; b <= last; ++b)
        needed += has_block(b) ? 0 : 1;
      needed = std::max(needed, blocks);
    }
    if (last >= table_.size()) {
      INSTAR_CHECK(grow_table(call, last));
      continue;
    }
    INSTAR_CHECK(admit(call, {start, want + blocks}));
    if (make_room) INSTAR_CHECK(make_room((start + want + blocks) << geometry_.cluster_bits));
    INSTAR_CHECK(reserve(call, {start + want, blocks}));
    uint64_t cluster = start + want;
    for (uint64_t b = start >> geometry_.refblock_bits; b <= last; ++b)
      if (!has_block(b)) INSTAR_CHECK(make_block(b, cluster++));
    INSTAR_CHECK(set_new(call, {start, cluster - start}));
    return start;
  }
}

Result<uint64_t> Refcounts::find_room(const Call& call, uint64_t want) {
  INSTAR_TRY(const uint64_t end, behind_all(call));
  INSTAR_TRY(hint_, skip_used(call, hint_));
  for (uint64_t cluster = hint_; cluster < end;) {
    INSTAR_TRY(const uint64_t run, free_run(call, cluster, want));
    if (run == want) return cluster;
    // Behind the run is a cluster in use, or a gap in the table, which counts nothing.
    cluster += run;
    cluster = has_block(cluster >> geometry_.refblock_bits)
                  ? cluster + 1
                  : sdk::round_up(cluster + 1, geometry_.refblock_entries());
    INSTAR_TRY(cluster, skip_used(call, cluster));
  }
  return end;
}

Result<uint64_t> Refcounts::behind_all(const Call& call) {
  if (!end_is_sure_) {
    INSTAR_TRY(const uint64_t counted, find_end(call));
    end_ = std::max(end_, counted);
    end_is_sure_ = true;
  }
  return std::max(end_, geometry_.clusters(file_.size()));
}

Result<uint64_t> Refcounts::find_end(const Call& call) {
  for (uint64_t index = table_.size(); index-- > 0;) {
    if (!has_block(index)) continue;
    const uint64_t block_first = index << geometry_.refblock_bits;
    const uint64_t entries = (blocks_.slice_size() * 8) >> geometry_.refcount_order;
    for (uint64_t part = geometry_.refblock_entries() / entries; part-- > 0;) {
      uint64_t first = 0;
      uint64_t count = 0;
      INSTAR_TRY(const uint8_t* slice,
                 block_slice(call, block_first + part * entries, &first, &count));
      if (is_empty(slice, blocks_.slice_size())) continue;
      for (uint64_t i = count; i-- > 0;)
        if (entry(slice, i, geometry_.refcount_order) != 0) return first + i + 1;
    }
  }
  return uint64_t{0};
}

Result<std::vector<ClusterRange>> Refcounts::drop_empty_blocks(const Call& call) {
  std::vector<uint64_t> empty;
  bool any_used = false;
  const uint64_t entries = (blocks_.slice_size() * 8) >> geometry_.refcount_order;
  for (uint64_t index = 0; index < table_.size(); ++index) {
    const uint64_t offset = block_offset(index);
    if (offset == 0) continue;
    if (geometry_.in_cluster(offset) != 0)
      return broken_metadata(corruption_, call,
                             sdk::cat("Cannot get entry from refcount block cache: Offset ",
                                      hex(offset), " is unaligned"));
    const uint64_t self = geometry_.cluster_of(offset);
    const uint64_t block_first = index << geometry_.refblock_bits;
    bool used = false;
    for (uint64_t at = 0; at < geometry_.refblock_entries() && !used; at += entries) {
      uint64_t first = 0;
      uint64_t count = 0;
      INSTAR_TRY(const uint8_t* slice, block_slice(call, block_first + at, &first, &count));
      if (is_empty(slice, blocks_.slice_size())) continue;
      for (uint64_t i = 0; i < count && !used; ++i)
        used = first + i != self && entry(slice, i, geometry_.refcount_order) != 0;
    }
    any_used = any_used || used;
    if (!used) empty.push_back(index);
  }
  if (!any_used)  // not even the header is counted: all would be cut off
    return broken_metadata(corruption_, call, "There are no references in the refcount table.");
  std::vector<ClusterRange> dropped;
  for (const uint64_t index : empty) {
    const uint64_t offset = block_offset(index);
    const uint64_t self = geometry_.cluster_of(offset);
    hint_ = std::min(hint_, index << geometry_.refblock_bits);
    table_[index] = 0;
    dirty_entries_.insert(index);
    blocks_.forget(offset, geometry_.cluster_size);
    if (self >> geometry_.refblock_bits != index) dropped.push_back({self, 1});
  }
  return dropped;
}

std::vector<ClusterRange> Refcounts::own_clusters() const {
  std::vector<ClusterRange> clusters;
  clusters.push_back({geometry_.cluster_of(table_offset_), table_clusters_});
  for (uint64_t index = 0; index < table_.size(); ++index)
    if (has_block(index)) clusters.push_back({geometry_.cluster_of(block_offset(index)), 1});
  return clusters;
}

void Refcounts::unload() {
  blocks_.clear();
  table_.clear();
  dirty_entries_.clear();
  loaded_ = false;
  hint_ = 0;
}

}  // namespace instar::qcow2
