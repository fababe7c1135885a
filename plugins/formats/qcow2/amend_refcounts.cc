// SPDX-License-Identifier: Apache-2.0
// Counts of another width: a whole new structure behind the end of the file, which takes the old
// one's place with one write of the header.
#include <algorithm>

#include "plugins/formats/qcow2/amend.hpp"

namespace instar::qcow2 {
namespace {

/** The new structure, counted in clusters: first the table, then the blocks. */
struct Structure {
  uint64_t start = 0;
  uint64_t table = 0;
  std::vector<uint64_t> blocks;  ///< indices of the blocks that exist
  uint64_t end() const { return start + table + blocks.size(); }
};

/** Blocks for what the old counts cover up to cluster `old_end`, and for the structure itself. */
Structure lay_out(const Refcounts& old, const Geometry& from, const Geometry& to, uint64_t old_end,
                  uint64_t start) {
  Structure fresh;
  fresh.start = start;
  const uint64_t per_cluster = to.cluster_size / 8;
  std::vector<uint64_t> covered;
  for (uint64_t i = 0; i < old.table_entries(); ++i) {
    if (!old.has_block(i)) continue;
    const uint64_t first = (i << from.refblock_bits) >> to.refblock_bits;
    const uint64_t last = (((i + 1) << from.refblock_bits) - 1) >> to.refblock_bits;
    const uint64_t most = (old_end - 1) >> to.refblock_bits;
    for (uint64_t b = first; b <= std::min(last, most); ++b)
      if (covered.empty() || covered.back() < b) covered.push_back(b);
  }
  for (;;) {
    const uint64_t end = fresh.end();
    fresh.blocks = covered;
    for (uint64_t b = start >> to.refblock_bits; b <= end >> to.refblock_bits; ++b)
      if (!std::binary_search(covered.begin(), covered.end(), b)) fresh.blocks.push_back(b);
    std::sort(fresh.blocks.begin(), fresh.blocks.end());
    fresh.table = std::max(fresh.table, sdk::div_up(fresh.blocks.back() + 1, per_cluster));
    if (fresh.end() == end) return fresh;
  }
}

/** Which clusters hold the old structure, asked in ascending order. */
class OldStructure {
 public:
  explicit OldStructure(std::vector<ClusterRange> ranges) : ranges_(std::move(ranges)) {
    std::sort(ranges_.begin(), ranges_.end(),
              [](const ClusterRange& a, const ClusterRange& b) { return a.first < b.first; });
    next_ = ranges_.begin();
  }
  bool holds(uint64_t cluster) {
    while (next_ != ranges_.end() && next_->first + next_->count <= cluster)
      ++next_;
    return next_ != ranges_.end() && next_->first <= cluster;
  }

 private:
  std::vector<ClusterRange> ranges_;
  std::vector<ClusterRange>::const_iterator next_;
};

/** Writes the blocks and the table; step(n) says that n clusters are counted. */
template <class Count, class Step>
Status write_structure(const Call& call, HostFile& file, const Structure& fresh, const Geometry& to,
                       Count count, Step step) {
  std::vector<uint8_t> table(fresh.table << to.cluster_bits);
  std::vector<uint8_t> block(to.cluster_size);
  for (size_t i = 0; i < fresh.blocks.size(); ++i) {
    if (call.cancelled()) return fail(ECANCELED, sdk::errno_text(ECANCELED));
    const uint64_t at = (fresh.start + fresh.table + i) << to.cluster_bits;
    store_be(table.data() + fresh.blocks[i] * 8, at);
    std::fill(block.begin(), block.end(), uint8_t{0});
    const uint64_t first = fresh.blocks[i] << to.refblock_bits;
    for (uint64_t j = 0; j < to.refblock_entries(); ++j) {
      INSTAR_TRY(const uint64_t value, count(first + j));
      if (value > to.refcount_max())
        return fail(EINVAL, "Cannot decrease refcount entry width to ", 1u << to.refcount_order,
                    " bits: Cluster at offset ", hex((first + j) << to.cluster_bits),
                    " has a refcount of ", value);
      Refcounts::set_entry(block.data(), j, to.refcount_order, value);
    }
    INSTAR_CHECK(file.write(call, at, block.data(), block.size()));
    step(first + to.refblock_entries());
  }
  INSTAR_CHECK(file.write(call, fresh.start << to.cluster_bits, table.data(), table.size()));
  return {};
}

}  // namespace

Status Image::change_refcount_width(const Call& call, uint32_t order, AmendProgress& progress) {
  Lock lock(mutex_);
  INSTAR_CHECK(begin_change(call, lock));
  INSTAR_CHECK(write_metadata(call, lock));
  INSTAR_CHECK(write_refcounts(call));
  Header next = header_;
  next.refcount_order = order;
  const Geometry to(next);
  INSTAR_TRY(const uint64_t end, refcounts_.behind_all(call));
  Structure fresh = lay_out(refcounts_, geometry_, to, end, end);
  INSTAR_TRY(const uint64_t room, refcounts_.find_room(call, fresh.end() - fresh.start));
  if (room < end) fresh = lay_out(refcounts_, geometry_, to, end, room);
  if (fresh.table << to.cluster_bits > kMaxRefcountTableBytes)
    return fail(EFBIG, sdk::errno_text(EFBIG));
  const auto owned = refcounts_.own_clusters();
  OldStructure old(owned);
  const auto count = [&](uint64_t cluster) -> Result<uint64_t> {
    if (cluster >= fresh.start && cluster < fresh.end()) return uint64_t{1};
    if (cluster >= end) return uint64_t{0};
    INSTAR_TRY(const uint64_t value, refcounts_.get(call, cluster));
    return old.holds(cluster) && value > 0 ? value - 1 : value;
  };
  // As many steps as QEMU has: three for each entry of the table.
  const uint64_t steps = 3 * refcounts_.table_entries();
  uint64_t told = 0;
  progress.report(0, steps);
  const auto step = [&](uint64_t clusters) {
    while (told + 1 < std::min(steps, (clusters >> geometry_.refblock_bits) * 3))
      progress.report(++told, steps);
  };
  INSTAR_CHECK(write_structure(call, file_, fresh, to, count, step));
  step(UINT64_MAX / 3);
  INSTAR_CHECK(barrier(call));
  next.refcount_table_offset = fresh.start << to.cluster_bits;
  next.refcount_table_clusters = static_cast<uint32_t>(fresh.table);
  INSTAR_CHECK(update_header(call, next));
  geometry_ = to;
  refcounts_.unload();
  INSTAR_CHECK(
      refcounts_.load(call, header_.refcount_table_offset, header_.refcount_table_clusters));
  if (settings_.discard_other)
    for (const auto& range : owned)
      (void)file_.discard(call, range.first << to.cluster_bits, range.count << to.cluster_bits);
  progress.report(steps, steps);
  return {};
}

}  // namespace instar::qcow2
