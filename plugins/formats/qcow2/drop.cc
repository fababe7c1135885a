// SPDX-License-Identifier: Apache-2.0
// Large parts of the mapping go at once: first the L1 entries on the disk, then, read in bulk, what
// the tables behind them referred to.
#include <algorithm>

#include "plugins/formats/qcow2/image.hpp"

namespace instar::qcow2 {
namespace {

constexpr size_t kRangesAtOnce = 1u << 20;

/** Joins neighbours; what is named twice stays so, as it is counted twice. */
void sort_and_join(std::vector<ClusterRange>* ranges) {
  std::sort(ranges->begin(), ranges->end(),
            [](const ClusterRange& a, const ClusterRange& b) { return a.first < b.first; });
  size_t kept = 0;
  for (const auto& range : *ranges) {
    if (kept > 0 && (*ranges)[kept - 1].first + (*ranges)[kept - 1].count == range.first)
      (*ranges)[kept - 1].count += range.count;
    else
      (*ranges)[kept++] = range;
  }
  ranges->resize(kept);
}

}  // namespace

/** [begin, end) are whole clusters of one L2 table; nothing refers to anything there afterwards. */
Status Image::forget_entries(const Call& call, uint64_t begin, uint64_t end) {
  while (begin < end) {
    Lock lock(mutex_);
    INSTAR_CHECK(begin_change(call, lock));
    INSTAR_TRY(L2Tables::Slice slice, l2_.slice(call, begin));
    const uint64_t part_end =
        std::min(end, slice.first_guest + (slice.count << geometry_.cluster_bits));
    const auto is_set = [&](uint64_t guest) {
      const Entry entry = l2_.get(slice, (guest - slice.first_guest) >> geometry_.cluster_bits);
      return entry.word != 0 || entry.bitmap != 0;
    };
    uint64_t guest = slice.entries == nullptr ? part_end : begin;
    while (guest < part_end && !is_set(guest))
      guest += geometry_.cluster_size;
    if (guest < part_end) {
      INSTAR_CHECK(own_table(call, begin));
      INSTAR_TRY(slice, l2_.slice(call, begin));
    }
    for (; guest < part_end; guest += geometry_.cluster_size) {
      const uint64_t index = (guest - slice.first_guest) >> geometry_.cluster_bits;
      const Entry old = l2_.get(slice, index);
      if (old.word == 0 && old.bitmap == 0) continue;
      l2_.set(slice, index, {});
      free_entry(old, true);
    }
    begin = part_end;
  }
  return {};
}

/** What an L2 table on the disk refers to, and the table itself. */
Status Image::collect_table(const Call& call, uint64_t table,
                            std::vector<ClusterRange>* out) const {
  std::vector<uint8_t> bytes(geometry_.cluster_size);
  INSTAR_CHECK(file_.read(call, table, bytes.data(), bytes.size()));
  for (size_t at = 0; at < bytes.size(); at += geometry_.entry_size) {
    const Entry entry{load_be<uint64_t>(bytes.data() + at), 0};
    if ((entry.word & kEntryCompressed) != 0) {
      const uint64_t offset = geometry_.packed_offset(entry.word);
      const uint64_t first = geometry_.cluster_of(offset);
      const uint64_t last = geometry_.cluster_of(offset + geometry_.packed_length(entry.word) - 1);
      out->push_back({first, last - first + 1});
    } else if (l2_.has_host(entry) && !data_file_) {
      out->push_back({geometry_.cluster_of(entry.word & kEntryOffsetMask), 1});
    }
  }
  out->push_back({geometry_.cluster_of(table), 1});
  return {};
}

/** Takes one reference from each. */
Status Image::drop_references(const Call& call, std::vector<ClusterRange>* ranges,
                              std::vector<ClusterRange>* unused) {
  sort_and_join(ranges);
  for (const auto& range : *ranges)
    INSTAR_CHECK(refcounts_.decrease(call, range, unused));
  ranges->clear();
  return {};
}

/** What unmap does; then the file is cut behind what is still in use. */
Status Image::drop_mapping(const Call& call, uint64_t begin) {
  INSTAR_TRY(const auto unused, unmap(call, begin));
  return trim(call, unused);
}

/** Nothing refers to guest clusters from `begin` on any more, the start of a cluster. Returns what
 * nobody uses any more. No request is under way. */
Result<std::vector<ClusterRange>> Image::unmap(const Call& call, uint64_t begin) {
  const uint64_t table_span = uint64_t{1} << geometry_.l1_shift;
  const uint64_t first_table = sdk::div_up(begin, table_span);
  if (begin % table_span != 0)
    INSTAR_CHECK(forget_entries(call, begin, first_table << geometry_.l1_shift));
  Lock lock(mutex_);
  INSTAR_CHECK(begin_change(call, lock));
  INSTAR_CHECK(write_metadata(call, lock));
  std::vector<uint64_t> tables;
  for (uint64_t i = first_table; i < l2_.l1().size(); ++i) {
    const uint64_t table = l2_.l1()[i] & kL1OffsetMask;
    if (table != 0 && geometry_.in_cluster(table) == 0) tables.push_back(table);
  }
  std::vector<ClusterRange> unused;
  if (!tables.empty()) {
    const std::vector<uint8_t> zeroes((l2_.l1().size() - first_table) * 8);
    file_.say("l1_shrink.write_table");
    INSTAR_CHECK(
        file_.write(call, l2_.l1_offset() + first_table * 8, zeroes.data(), zeroes.size()));
    INSTAR_CHECK(barrier(call));
    l2_.clear_l1(first_table);
    file_.say("l1_shrink.free_l2_clusters");
    std::vector<ClusterRange> ranges;
    for (const uint64_t table : tables) {
      INSTAR_CHECK(collect_table(call, table, &ranges));
      l2_.forget_table(table);
      if (ranges.size() > kRangesAtOnce) INSTAR_CHECK(drop_references(call, &ranges, &unused));
    }
    INSTAR_CHECK(drop_references(call, &ranges, &unused));
  }
  return unused;
}

/** The counts say already that nobody uses `unused`. */
Status Image::trim(const Call& call, const std::vector<ClusterRange>& unused) {
  const Lock lock(mutex_);
  INSTAR_CHECK(write_refcounts(call));
  INSTAR_CHECK(barrier(call));
  INSTAR_TRY(auto blocks, refcounts_.drop_empty_blocks(call));
  if (refcounts_.table_dirty()) {
    INSTAR_CHECK(write_refcounts(call));
    INSTAR_CHECK(barrier(call));
    for (const auto& block : blocks)
      if (!refcounts_.has_block(block.first >> geometry_.refblock_bits))
        return corruption_.report(
            call, true,
            sdk::cat("Refblock at ", hex(block.first << geometry_.cluster_bits),
                     " is not covered by the refcount structures"));
    std::vector<ClusterRange> freed;
    INSTAR_CHECK(drop_references(call, &blocks, &freed));
    INSTAR_CHECK(write_refcounts(call));
  }
  INSTAR_TRY(const uint64_t clusters, refcounts_.find_end(call));
  const uint64_t end = clusters << geometry_.cluster_bits;
  packed_next_ = 0;
  hole_end_ = data_file_ ? hole_end_.load() : std::min(hole_end_.load(), end);
  for (const auto& range : unused) {  // a wish: the image is right without it
    if (range.first >= clusters) continue;
    (void)file_.discard(call, range.first << geometry_.cluster_bits,
                        range.count << geometry_.cluster_bits);
  }
  if (file_.size() <= end) return {};
  INSTAR_CHECK(barrier(call));
  if (auto cut = file_.resize(call, end); !cut)
    call.warn("Failed to truncate the tail of the image: " + cut.error().message);
  else
    refcounts_.cut(clusters);
  return {};
}

}  // namespace instar::qcow2
