// SPDX-License-Identifier: Apache-2.0
/** @file bulk_counts.hpp Counts of very many clusters changed at once, as snapshots need it: the
 * refcount blocks that are touched are held in memory, and written together. A very large image is
 * done in several windows. Not thread-safe. */
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "plugins/formats/qcow2/refcounts.hpp"

namespace instar::qcow2 {

class BulkCounts {
 public:
  /** The blocks lie where `table` says, and nobody else changes or caches them meanwhile. */
  BulkCounts(const Geometry& geometry, HostFile& file, const std::vector<uint64_t>& table);

  /** The host clusters are divided into this many windows; one of them is open at a time. */
  uint64_t windows() const { return std::max<uint64_t>(sdk::div_up(used_, blocks_per_window_), 1); }
  /** Forgets all that was not written. */
  void open(uint64_t window);
  bool inside(uint64_t cluster) const { return cluster >= begin_ && cluster < end_; }

  /** Adds 1 to each of the range that lies inside. EINVAL when a count would overflow or is not
   * there. */
  Status increase(const Call& call, ClusterRange range);
  /** Takes 1 from each of the range that lies inside. A count that is 0 already (a broken image) is
   * left so. */
  Status decrease(const Call& call, ClusterRange range);
  /** Of a cluster inside. */
  Result<uint64_t> get(const Call& call, uint64_t cluster);
  /** Writes what changed of the blocks: a hole in the file stays one, so that a full disk has no say. */
  Status write(const Call& call);

  /** Calls each(range) for what nobody uses any more. */
  template <class Each>
  void each_freed(Each each) const {
    ClusterRange range;
    for (const auto& block : blocks_)
      for (uint64_t word = 0; word < block.freed.size(); ++word)
        for (uint64_t bits = block.freed[word]; bits != 0; bits &= bits - 1) {
          const uint64_t cluster =
              block.first + word * 64 + static_cast<uint64_t>(__builtin_ctzll(bits));
          if (range.count != 0 && range.first + range.count == cluster) {
            ++range.count;
            continue;
          }
          if (range.count != 0) each(range);
          range = {cluster, 1};
        }
    if (range.count != 0) each(range);
  }

 private:
  struct Block {
    std::unique_ptr<uint8_t[]> counts;
    std::vector<uint64_t> freed;         ///< a bit for each entry, or empty
    uint64_t first = 0;                  ///< cluster of its first entry
    uint64_t changed_from = UINT64_MAX;  ///< entries; what lies before it and from changed_to on is
    uint64_t changed_to = 0;             ///< as it is in the file

    void note_change(uint64_t from, uint64_t count) {
      changed_from = std::min(changed_from, from);
      changed_to = std::max(changed_to, from + count);
    }
  };

  /** The block that counts `cluster`, or nullptr when there is none. */
  Result<Block*> block(const Call& call, uint64_t cluster);
  template <class Change>
  Status change(const Call& call, ClusterRange range, Change change);
  static void note_freed(Block& block, uint64_t index, uint64_t entries);

  const Geometry& geometry_;
  HostFile& file_;
  const std::vector<uint64_t>& table_;
  uint64_t blocks_per_window_;
  uint64_t used_;  ///< entries of the table; those behind have no block
  uint64_t begin_ = 0;
  uint64_t end_ = 0;
  std::vector<Block> blocks_;
};

}  // namespace instar::qcow2
