// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/bulk_counts.hpp"

#include <algorithm>

namespace instar::qcow2 {
namespace {

constexpr uint64_t kWindowBytes = 64u << 20;
constexpr uint32_t kUsualOrder = 4;

/** Calls change(index, value&) for `n` counts from `first` on, and stores the values. Ends where it
 * returns false. */
template <class Change>
bool each_count(uint8_t* counts, uint64_t first, uint64_t n, uint32_t order, Change change) {
  if (order == kUsualOrder) {
    for (uint64_t i = first; i < first + n; ++i) {
      uint32_t value = load_be<uint16_t>(counts + i * 2);
      if (!change(i, value)) return false;
      store_be(counts + i * 2, static_cast<uint16_t>(value));
    }
    return true;
  }
  for (uint64_t i = first; i < first + n; ++i) {
    uint64_t value = Refcounts::entry(counts, i, order);
    if (!change(i, value)) return false;
    Refcounts::set_entry(counts, i, order, value);
  }
  return true;
}

}  // namespace

BulkCounts::BulkCounts(const Geometry& geometry, HostFile& file, const std::vector<uint64_t>& table)
    : geometry_(geometry),
      file_(file),
      table_(table),
      blocks_per_window_(std::max<uint64_t>(kWindowBytes >> geometry.cluster_bits, 1)),
      used_(table.size()) {
  while (used_ > 0 && table[used_ - 1] == 0)
    --used_;
}

void BulkCounts::open(uint64_t window) {
  const uint64_t first = window * blocks_per_window_;
  const uint64_t count = std::min(blocks_per_window_, used_ - first);
  begin_ = first << geometry_.refblock_bits;
  end_ = (first + count) << geometry_.refblock_bits;
  blocks_.clear();
  blocks_.resize(count);
}

Result<BulkCounts::Block*> BulkCounts::block(const Call& call, uint64_t cluster) {
  const uint64_t index = cluster >> geometry_.refblock_bits;
  Block& block = blocks_[index - (begin_ >> geometry_.refblock_bits)];
  if (block.counts != nullptr) return &block;
  const uint64_t offset = table_[index] & kRefcountTableOffsetMask;
  if (offset == 0) return nullptr;
  if (geometry_.in_cluster(offset) != 0)
    return fail(EIO, "Refblock offset ", hex(offset), " unaligned (reftable index: ", hex(index),
                ")");
  std::unique_ptr<uint8_t[]> counts(new uint8_t[geometry_.cluster_size]);
  INSTAR_CHECK(file_.read(call, offset, counts.get(), geometry_.cluster_size));
  block.counts = std::move(counts);
  block.first = index << geometry_.refblock_bits;
  return &block;
}

/** Calls change(block, index) for each count inside, whose block is nullptr where there is none. */
template <class Change>
Status BulkCounts::change(const Call& call, ClusterRange range, Change change) {
  const uint64_t end = std::min(range.first + range.count, end_);
  for (uint64_t cluster = std::max(range.first, begin_); cluster < end;) {
    INSTAR_TRY(Block * block, this->block(call, cluster));
    const uint64_t first = cluster & (geometry_.refblock_entries() - 1);
    const uint64_t n = std::min(end - cluster, geometry_.refblock_entries() - first);
    INSTAR_CHECK(change(block, first, n));
    cluster += n;
  }
  return {};
}

Status BulkCounts::increase(const Call& call, ClusterRange range) {
  const uint32_t order = geometry_.refcount_order;
  const uint64_t max = geometry_.refcount_max();
  const uint64_t last = range.first + range.count - 1;
  // The codes are QEMU's, which can't give such a cluster a count at once, or not at all.
  if (last >> geometry_.refblock_bits >= kMaxRefcountTableBytes / 8)
    return fail(EFBIG, "Cluster ", hex(last), " is in use, but beyond any refcount table");
  if (last >> geometry_.refblock_bits >= table_.size())
    return fail(EAGAIN, "Cluster ", hex(last), " is in use, but beyond the refcount table");
  if (last >> geometry_.refblock_bits >= used_)
    return fail(EAGAIN, "Cluster ", hex(last), " is in use, but has no refcount");
  return change(call, range, [&](Block* block, uint64_t first, uint64_t n) -> Status {
    if (block == nullptr)
      return fail(EAGAIN, "Cluster ", hex(range.first), " is in use, but has no refcount");
    block->note_change(first, n);
    const bool fits = each_count(block->counts.get(), first, n, order,
                                 [&](uint64_t, auto& value) { return value++ < max; });
    return fits ? Status{} : fail(EINVAL, "refcount would grow beyond ", max);
  });
}

void BulkCounts::note_freed(Block& block, uint64_t index, uint64_t entries) {
  if (block.freed.empty()) block.freed.resize(sdk::div_up(entries, 64));
  block.freed[index / 64] |= uint64_t{1} << (index % 64);
}

Status BulkCounts::decrease(const Call& call, ClusterRange range) {
  const uint32_t order = geometry_.refcount_order;
  return change(call, range, [&](Block* block, uint64_t first, uint64_t n) -> Status {
    if (block == nullptr) return {};
    block->note_change(first, n);
    each_count(block->counts.get(), first, n, order, [&](uint64_t index, auto& value) {
      if (value == 1) note_freed(*block, index, geometry_.refblock_entries());
      if (value != 0) --value;
      return true;
    });
    return {};
  });
}

Result<uint64_t> BulkCounts::get(const Call& call, uint64_t cluster) {
  INSTAR_TRY(const Block* block, this->block(call, cluster));
  if (block == nullptr) return uint64_t{0};
  return Refcounts::entry(block->counts.get(), cluster - block->first, geometry_.refcount_order);
}

Status BulkCounts::write(const Call& call) {
  for (auto& block : blocks_) {
    if (block.changed_to == 0) continue;
    const uint64_t index = block.first >> geometry_.refblock_bits;
    const auto byte_of = [&](uint64_t entry) { return (entry << geometry_.refcount_order) / 8; };
    const uint64_t begin = sdk::round_down(byte_of(block.changed_from), kSector);
    const uint64_t end = sdk::round_up(byte_of(block.changed_to - 1) + 1, kSector);
    INSTAR_CHECK(file_.write(call, (table_[index] & kRefcountTableOffsetMask) + begin,
                             block.counts.get() + begin, end - begin));
    block.changed_from = UINT64_MAX;
    block.changed_to = 0;
  }
  return {};
}

}  // namespace instar::qcow2
