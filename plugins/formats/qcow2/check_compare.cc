// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "plugins/formats/qcow2/checker.hpp"

namespace instar::qcow2 {

struct Checker::Comparison {
  uint32_t fix;
  std::vector<uint8_t> on_disk;  ///< a refcount block
  std::vector<uint8_t> counted;  ///< what it should be
  bool changed = false;
  std::vector<ClusterRange> freed = {};
};

/** Names the differences, and repairs those that `fix` allows. */
Status Checker::compare(uint32_t fix) {
  Comparison work{fix, std::vector<uint8_t>(geometry_.cluster_size),
                  std::vector<uint8_t>(geometry_.cluster_size)};
  highest_cluster_ = 0;
  counts_agree_ = true;
  const uint64_t blocks = sdk::div_up(counts_.size(), geometry_.refblock_entries());
  for (uint64_t index = 0; index < blocks; ++index)
    INSTAR_CHECK(compare_refblock(work, index));
  return {};
}

void Checker::refblock_unreadable(uint64_t first, uint64_t end, const Error& error) {
  counts_agree_ = false;
  for (uint64_t cluster = first; cluster < end; ++cluster) {
    say("Can't get refcount for cluster ", cluster, ": ", sdk::errno_text(error.code), "\n");
    ++result_.check_errors;
  }
}

Status Checker::compare_refblock(Comparison& work, uint64_t index) {
  const uint64_t first = index << geometry_.refblock_bits;
  const uint64_t end = std::min(first + geometry_.refblock_entries(), counts_.size());
  const uint64_t offset =
      index < reftable_.size() ? reftable_[index] & kRefcountTableOffsetMask : 0;
  if (offset == 0) {  // all its counts are 0
    for (uint64_t used = counts_.find_used(first); used < end; used = counts_.find_used(used + 1))
      compare_entry(work, used, 0, counts_.get(used));
    return {};
  }
  if (geometry_.in_cluster(offset) != 0) {
    const Error error = image_.corruption.report(
        call_, true,
        sdk::cat("Refblock offset ", hex(offset),
                 " unaligned (reftable index: ", index == 0 ? "0" : hex(index), ")"));
    refblock_unreadable(first, end, error);
    return {};
  }
  const Status loaded = image_.file.read(call_, offset, work.on_disk.data(), work.on_disk.size());
  if (!loaded) {
    refblock_unreadable(first, end, loaded.error());
    return {};
  }
  counts_.pack(first, geometry_.refblock_entries(), work.counted.data());
  compare_entries(work, first, end - first);
  if (!image_.corruption.stopped()) INSTAR_CHECK(store_refblock(work, offset));
  work.changed = false;
  work.freed.clear();
  return {};
}

Status Checker::store_refblock(const Comparison& work, uint64_t offset) {
  if (work.changed)
    INSTAR_CHECK(write_checked(offset, work.on_disk.data(), work.on_disk.size(), kRefcountBlock));
  for (const auto& range : work.freed)  // a wish
    (void)image_.file.discard(call_, range.first << geometry_.cluster_bits,
                              range.count << geometry_.cluster_bits);
  return {};
}

/** The first `count` entries of a block, which begins with cluster `first`. */
void Checker::compare_entries(Comparison& work, uint64_t first, uint64_t count) {
  const uint32_t order = geometry_.refcount_order;
  const uint64_t whole_bytes = (count << order) >> 3;
  uint64_t same = 0;  // entries that are known to be equal
  if (std::memcmp(work.on_disk.data(), work.counted.data(), whole_bytes) == 0) {
    same = (whole_bytes << 3) >> order;
    uint64_t used = whole_bytes;
    while (used > 0 && work.counted[used - 1] == 0)
      --used;
    uint64_t last = std::min(((used << 3) + (uint64_t{1} << order) - 1) >> order, same);
    while (last > 0 && Refcounts::entry(work.counted.data(), last - 1, order) == 0)
      --last;
    if (last > 0) highest_cluster_ = first + last - 1;
  }
  for (uint64_t i = same; i < count; ++i) {
    const uint64_t on_disk = Refcounts::entry(work.on_disk.data(), i, order);
    const uint64_t counted = Refcounts::entry(work.counted.data(), i, order);
    if (on_disk != counted)
      compare_entry(work, first + i, on_disk, counted);
    else if (counted != 0)
      highest_cluster_ = first + i;
  }
}

/** A count that differs. */
void Checker::compare_entry(Comparison& work, uint64_t cluster, uint64_t on_disk,
                            uint64_t counted) {
  highest_cluster_ = cluster;
  const bool leak = on_disk > counted;
  const bool repair = leak           ? (work.fix & INSTAR_FIX_LEAKS) != 0
                      : on_disk == 0 ? false  // there may be no block for it
                                     : (work.fix & INSTAR_FIX_ERRORS) != 0;
  if (on_disk == 0) must_rebuild_ = true;
  say(repair ? "Repairing"
      : leak ? "Leaked"
             : "ERROR",
      " cluster ", cluster, " refcount=", on_disk, " reference=", counted, "\n");
  if (!repair) {
    counts_agree_ = false;
    ++(leak ? result_.leaks : result_.corruptions);
    return;
  }
  const uint64_t index = cluster & (geometry_.refblock_entries() - 1);
  Refcounts::set_entry(work.on_disk.data(), index, geometry_.refcount_order, counted);
  work.changed = true;
  ++(leak ? result_.leaks_fixed : result_.corruptions_fixed);
  if (counted != 0) return;
  if (!work.freed.empty() && work.freed.back().first + work.freed.back().count == cluster)
    ++work.freed.back().count;
  else
    work.freed.push_back({cluster, 1});
}

}  // namespace instar::qcow2
