// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/refcounts.hpp"

#include <algorithm>

namespace instar::qcow2 {

uint64_t Refcounts::entry(const uint8_t* block, uint64_t index, uint32_t order) {
  switch (order) {
    case 3:
      return block[index];
    case 4:
      return load_be<uint16_t>(block + index * 2);
    case 5:
      return load_be<uint32_t>(block + index * 4);
    case 6:
      return load_be<uint64_t>(block + index * 8);
    default: {  // several in a byte, the first one in the lowest bits
      const uint32_t bits = 1u << order;
      const uint64_t position = index << order;
      return (block[position / 8] >> (position % 8)) & ((1u << bits) - 1);
    }
  }
}

void Refcounts::set_entry(uint8_t* block, uint64_t index, uint32_t order, uint64_t value) {
  switch (order) {
    case 3:
      block[index] = static_cast<uint8_t>(value);
      return;
    case 4:
      return store_be(block + index * 2, static_cast<uint16_t>(value));
    case 5:
      return store_be(block + index * 4, static_cast<uint32_t>(value));
    case 6:
      return store_be(block + index * 8, value);
    default: {
      const uint32_t mask = (1u << (1u << order)) - 1;
      const uint64_t position = index << order;
      uint8_t& byte = block[position / 8];
      byte = static_cast<uint8_t>((byte & ~(mask << (position % 8))) | value << (position % 8));
    }
  }
}

Refcounts::Refcounts(const Geometry& geometry, HostFile& file, uint64_t slice_size,
                     uint64_t cache_bytes)
    : geometry_(geometry),
      file_(file),
      blocks_(file, {"refblock_load", "refblock_update_part"}, slice_size, cache_bytes) {}

Status Refcounts::load(const Call& call, uint64_t offset, uint32_t clusters) {
  if (loaded_) return {};
  const uint64_t bytes = uint64_t{clusters} << geometry_.cluster_bits;
  table_.resize(bytes / 8);
  file_.say("reftable_load");
  INSTAR_CHECK(file_.read(call, offset, table_.data(), bytes));
  for (auto& item : table_)
    item = load_be<uint64_t>(&item);
  table_offset_ = header_offset_ = offset;
  table_clusters_ = header_clusters_ = clusters;
  end_ = geometry_.clusters(file_.size());
  end_is_sure_ = false;
  loaded_ = true;
  return {};
}

Status Refcounts::check_block(const Call& call, uint64_t index) {
  const uint64_t block = block_offset(index);
  if (geometry_.in_cluster(block) == 0) return {};
  return broken_metadata(corruption_, call,
                         sdk::cat("Refblock offset ", hex(block), " unaligned (reftable index: ",
                                  index == 0 ? "0" : hex(index), ")"));
}

Status Refcounts::check_blocks(const Call& call, uint64_t end) {
  const uint64_t blocks = sdk::div_up(end, geometry_.refblock_entries());
  for (uint64_t index = 0; index < blocks; ++index)
    INSTAR_CHECK(check_block(call, index));
  return {};
}

/** The part of a refcount block that has `cluster`'s entry; which must have a block. */
Result<uint8_t*> Refcounts::block_slice(const Call& call, uint64_t cluster, uint64_t* slice_first,
                                        uint64_t* slice_count) {
  const uint64_t index = cluster >> geometry_.refblock_bits;
  INSTAR_CHECK(check_block(call, index));
  const uint64_t block = block_offset(index);
  const uint64_t entries = (blocks_.slice_size() * 8) >> geometry_.refcount_order;
  *slice_first = sdk::round_down(cluster, entries);
  *slice_count = entries;
  return blocks_.get(call, block + entry_byte(cluster));
}

Result<uint64_t> Refcounts::get(const Call& call, uint64_t cluster) {
  if (block_offset(cluster >> geometry_.refblock_bits) == 0) return uint64_t{0};
  uint64_t first = 0;
  uint64_t count = 0;
  INSTAR_TRY(const uint8_t* slice, block_slice(call, cluster, &first, &count));
  return entry(slice, cluster - first, geometry_.refcount_order);
}

Result<bool> Refcounts::uses(const Call& call, uint64_t end, uint64_t wanted) {
  uint64_t used = 0;
  for (uint64_t cluster = 0; cluster < end;) {
    if (block_offset(cluster >> geometry_.refblock_bits) == 0) {
      cluster =
          sdk::round_down(cluster, geometry_.refblock_entries()) + geometry_.refblock_entries();
      continue;
    }
    uint64_t first = 0;
    uint64_t count = 0;
    INSTAR_TRY(const uint8_t* slice, block_slice(call, cluster, &first, &count));
    for (; cluster < std::min(end, first + count); ++cluster)
      used += entry(slice, cluster - first, geometry_.refcount_order) != 0;
    if (used >= wanted) return true;
  }
  return false;
}

/** Calls change(value) for each count of the range and stores what it returns; every cluster has a
 * block. */
template <class Change>
Status Refcounts::change(const Call& call, ClusterRange range, Change change) {
  while (range.count > 0) {
    uint64_t first = 0;
    uint64_t count = 0;
    INSTAR_TRY(uint8_t * slice, block_slice(call, range.first, &first, &count));
    const uint64_t n = std::min(range.count, first + count - range.first);
    for (uint64_t i = range.first - first; i < range.first - first + n; ++i) {
      INSTAR_TRY(const uint64_t value,
                 change(first + i, entry(slice, i, geometry_.refcount_order)));
      set_entry(slice, i, geometry_.refcount_order, value);
    }
    blocks_.mark_dirty(block_offset(range.first >> geometry_.refblock_bits) +
                       entry_byte(range.first));
    range.first += n;
    range.count -= n;
  }
  return {};
}

Status Refcounts::increase(const Call& call, ClusterRange range) {
  return change(call, range, [&](uint64_t, uint64_t value) -> Result<uint64_t> {
    if (value >= geometry_.refcount_max())
      return fail(EINVAL, "refcount would grow beyond ", geometry_.refcount_max());
    return value + 1;
  });
}

Status Refcounts::decrease(const Call& call, ClusterRange range,
                           std::vector<ClusterRange>* unused) {
  while (range.count > 0) {
    // Clusters without a block are free already: a broken image.
    const uint64_t in_block =
        geometry_.refblock_entries() - (range.first & (geometry_.refblock_entries() - 1));
    const uint64_t n = std::min(range.count, in_block);
    if (block_offset(range.first >> geometry_.refblock_bits) != 0) {
      const auto drop_one = [&](uint64_t cluster, uint64_t value) -> Result<uint64_t> {
        if (value != 1) return value == 0 ? 0 : value - 1;
        hint_ = std::min(hint_, cluster);
        if (!unused->empty() && unused->back().first + unused->back().count == cluster)
          ++unused->back().count;
        else
          unused->push_back({cluster, 1});
        return uint64_t{0};
      };
      INSTAR_CHECK(change(call, {range.first, n}, drop_one));
    }
    range.first += n;
    range.count -= n;
  }
  return {};
}

/** Blocks and a table get room in the file at once, so that they can be written back to a full disk.
 * Before anything is changed. */
Status Refcounts::reserve(const Call& call, ClusterRange range) {
  if (range.count == 0) return {};
  file_.say("refblock_alloc");
  file_.say("refblock_alloc.write");
  const std::vector<uint8_t> zeroes(range.count << geometry_.cluster_bits);
  return file_.write(call, range.first << geometry_.cluster_bits, zeroes.data(), zeroes.size());
}

/** Puts the block with number `index` into a cluster, which is reserved, but not counted yet. */
Status Refcounts::make_block(uint64_t index, uint64_t cluster) {
  const uint64_t offset = cluster << geometry_.cluster_bits;
  for (uint64_t at = 0; at < geometry_.cluster_size; at += blocks_.slice_size())
    INSTAR_CHECK(blocks_.get_new(offset + at));
  table_[index] = offset;
  dirty_entries_.insert(index);
  end_ = std::max(end_, cluster + 1);
  if (guard_.note) guard_.note(offset, geometry_.cluster_size);
  return {};
}

Status Refcounts::set_new(const Call& call, ClusterRange range) {
  INSTAR_CHECK(
      change(call, range, [](uint64_t, uint64_t) -> Result<uint64_t> { return uint64_t{1}; }));
  end_ = std::max(end_, range.first + range.count);
  return {};
}

/** A larger table at the end of the file, with the blocks that count it and themselves. */
Status Refcounts::grow_table(const Call& call, uint64_t index) {
  file_.say("reftable_grow");
  const uint64_t per_cluster = geometry_.cluster_size / 8;
  const uint64_t wanted = std::max<uint64_t>(index + 1, table_.size() + table_.size() / 2);
  uint64_t clusters = sdk::div_up(wanted, per_cluster);
  INSTAR_TRY(const uint64_t start, behind_all(call));
  const auto missing = [&](uint64_t block) { return block_offset(block) == 0; };
  uint64_t blocks = 0;
  for (;;) {
    const uint64_t end = start + clusters + blocks;
    const uint64_t last = (end - 1) >> geometry_.refblock_bits;
    uint64_t needed = 0;
    for (uint64_t b = start >> geometry_.refblock_bits; b <= last; ++b)
      needed += missing(b);
    const uint64_t table_clusters = std::max(clusters, sdk::div_up(last + 1, per_cluster));
    if (needed == blocks && table_clusters == clusters) break;
    blocks = std::max(needed, blocks);
    clusters = table_clusters;
    if (clusters << geometry_.cluster_bits > kMaxRefcountTableBytes)
      return fail(EFBIG, sdk::errno_text(EFBIG));
    if (needed < blocks) break;
  }
  const uint64_t end = start + clusters + blocks;
  INSTAR_CHECK(admit(call, {start, end - start}));
  INSTAR_CHECK(reserve(call, {start, end - start}));
  table_.resize(clusters * per_cluster);
  uint64_t cluster = start + clusters;
  for (uint64_t b = start >> geometry_.refblock_bits; b <= (end - 1) >> geometry_.refblock_bits;
       ++b)
    if (missing(b)) INSTAR_CHECK(make_block(b, cluster++));
  INSTAR_CHECK(set_new(call, {start, cluster - start}));
  std::vector<ClusterRange> unused;
  if (moved())  // the one before was never referred to
    INSTAR_CHECK(decrease(call, {geometry_.cluster_of(table_offset_), table_clusters_}, &unused));
  table_offset_ = start << geometry_.cluster_bits;
  table_clusters_ = static_cast<uint32_t>(clusters);
  if (guard_.note) guard_.note(table_offset_, clusters << geometry_.cluster_bits);
  return {};
}

/** How many clusters from `first` on are free, up to `want`. Ends where there is no block. */
Result<uint64_t> Refcounts::free_run(const Call& call, uint64_t first, uint64_t want) {
  uint64_t run = 0;
  while (run < want) {
    const uint64_t cluster = first + run;
    if (block_offset(cluster >> geometry_.refblock_bits) == 0) break;
    uint64_t slice_first = 0;
    uint64_t count = 0;
    INSTAR_TRY(const uint8_t* slice, block_slice(call, cluster, &slice_first, &count));
    uint64_t at = cluster - slice_first;
    while (at < count && run < want && entry(slice, at, geometry_.refcount_order) == 0)
      ++at, ++run;
    if (at < count) break;
  }
  return run;
}

/** The first cluster from `first` on that is free, or that no block counts. */
Result<uint64_t> Refcounts::skip_used(const Call& call, uint64_t first) {
  while (has_block(first >> geometry_.refblock_bits)) {
    uint64_t slice_first = 0;
    uint64_t count = 0;
    INSTAR_TRY(const uint8_t* slice, block_slice(call, first, &slice_first, &count));
    uint64_t at = first - slice_first;
    while (at < count && entry(slice, at, geometry_.refcount_order) != 0)
      ++at;
    first = slice_first + at;
    if (at < count) break;
  }
  return first;
}

Result<uint64_t> Refcounts::find_free(const Call& call) {
  for (;;) {
    INSTAR_TRY(hint_, skip_used(call, hint_));
    if (hint_ >> (56 - geometry_.cluster_bits) != 0) return fail(EFBIG, sdk::errno_text(EFBIG));
    const uint64_t index = hint_ >> geometry_.refblock_bits;
    if (has_block(index)) return hint_;
    if (index >= table_.size()) {
      INSTAR_CHECK(grow_table(call, index));
      if (has_block(index)) continue;
    }
    INSTAR_CHECK(admit(call, {hint_, 1}));
    INSTAR_CHECK(reserve(call, {hint_, 1}));
    INSTAR_CHECK(make_block(index, hint_));
    INSTAR_CHECK(set_new(call, {hint_, 1}));
    ++hint_;
  }
}

Result<ClusterRange> Refcounts::allocate(const Call& call, uint64_t want) {
  file_.say("cluster_alloc");
  INSTAR_TRY(const uint64_t first, find_free(call));
  INSTAR_TRY(const uint64_t count, free_run(call, first, want));
  INSTAR_CHECK(admit(call, {first, count}));
  INSTAR_CHECK(set_new(call, {first, count}));
  hint_ = first + count;
  return ClusterRange{first, count};
}

Result<uint64_t> Refcounts::allocate_at(const Call& call, uint64_t first, uint64_t want) {
  INSTAR_TRY(const uint64_t count, free_run(call, first, want));
  if (count == 0) return count;
  INSTAR_CHECK(admit(call, {first, count}));
  INSTAR_CHECK(set_new(call, {first, count}));
  if (hint_ == first) hint_ += count;
  return count;
}

Result<uint64_t> Refcounts::allocate_run(const Call& call, uint64_t count) {
  file_.say("cluster_alloc");
  INSTAR_TRY(const uint64_t first, find_room(call, count));
  if (first >= end_) return run_at_end(call, count);
  INSTAR_CHECK(admit(call, {first, count}));
  INSTAR_CHECK(set_new(call, {first, count}));
  if (hint_ == first) hint_ += count;
  return first;
}

/** Behind all that is in use, with the blocks that count it. */
Result<uint64_t> Refcounts::run_at_end(const Call& call, uint64_t count) {
  const auto missing = [&](uint64_t block) { return block_offset(block) == 0; };
  for (;;) {
    INSTAR_TRY(const uint64_t start, behind_all(call));
    if ((start + count) >> (56 - geometry_.cluster_bits) != 0)
      return fail(EFBIG, sdk::errno_text(EFBIG));
    const uint64_t first_block = start >> geometry_.refblock_bits;
    uint64_t blocks = 0;
    for (uint64_t b = first_block; b <= (start + count + blocks - 1) >> geometry_.refblock_bits;
         ++b)
      blocks += missing(b);
    const uint64_t last_block = (start + count + blocks - 1) >> geometry_.refblock_bits;
    if (last_block >= table_.size()) {
      INSTAR_CHECK(grow_table(call, last_block));
      continue;
    }
    INSTAR_CHECK(admit(call, {start, blocks + count}));
    INSTAR_CHECK(reserve(call, {start, blocks}));
    uint64_t cluster = start;
    for (uint64_t b = first_block; b <= last_block; ++b)
      if (missing(b)) INSTAR_CHECK(make_block(b, cluster++));
    INSTAR_CHECK(set_new(call, {start, cluster - start + count}));
    return cluster;
  }
}

Status Refcounts::write_table(const Call& call) {
  const auto put = [&](uint64_t first, uint64_t count) {
    std::vector<uint8_t> bytes(count * 8);
    for (uint64_t i = 0; i < count; ++i)
      store_be(bytes.data() + i * 8, table_[first + i]);
    return file_.write(call, table_offset_ + first * 8, bytes.data(), bytes.size());
  };
  file_.say(moved() ? "refblock_alloc.write_table" : "refblock_alloc.hookup");
  if (moved()) {
    INSTAR_CHECK(put(0, table_.size()));
  } else {
    for (auto at = dirty_entries_.begin(); at != dirty_entries_.end();) {
      const uint64_t first = *at;
      uint64_t count = 0;
      for (; at != dirty_entries_.end() && *at == first + count; ++at)
        ++count;
      INSTAR_CHECK(put(first, count));
    }
  }
  dirty_entries_.clear();
  return {};
}

ClusterRange Refcounts::settle() {
  const ClusterRange old{geometry_.cluster_of(header_offset_), header_clusters_};
  header_offset_ = table_offset_;
  header_clusters_ = table_clusters_;
  return old;
}

}  // namespace instar::qcow2
