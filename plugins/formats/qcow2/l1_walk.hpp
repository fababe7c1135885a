// SPDX-License-Identifier: Apache-2.0
/** @file l1_walk.hpp All L2 tables of an L1 table one after another, read and written back many at
 * once. It goes past every cache. Not thread-safe. */
#pragma once

#include <vector>

#include "plugins/formats/qcow2/refcounts.hpp"

namespace instar::qcow2 {

/** An L1 table in the machine's numbers, with its flags. */
using L1Table = std::vector<uint64_t>;

Result<L1Table> read_l1(const Call& call, const HostFile& file, uint64_t offset, uint32_t entries);
/** As it stands in the file. */
std::vector<uint8_t> l1_bytes(const L1Table& table);
Status write_l1(const Call& call, HostFile& file, uint64_t offset, const L1Table& table);

/** The host clusters that an L2 entry's first word refers to; count is 0 for none. `external`: plain
 * data lies in a data file. */
inline ClusterRange referenced(const Geometry& geometry, bool external, uint64_t word) {
  if ((word & kEntryCompressed) != 0) {
    const uint64_t offset = geometry.packed_offset(word);
    const uint64_t first = geometry.cluster_of(offset);
    return {first, geometry.cluster_of(offset + geometry.packed_length(word) - 1) - first + 1};
  }
  const uint64_t offset = word & kEntryOffsetMask;
  return {geometry.cluster_of(offset), offset == 0 || external ? 0u : 1u};
}

class L1Walk {
 public:
  struct Table {
    uint64_t index = 0;   ///< of its L1 entry
    uint64_t offset = 0;  ///< in the file
    uint8_t* entries = nullptr;
  };

  L1Walk(const Geometry& geometry, HostFile& file);

  /** Calls visit(const Table&), a Status, for each table. */
  template <class Visit>
  Status each(const Call& call, const L1Table& l1, Visit visit) {
    for (uint64_t next = 0; next < l1.size();) {
      INSTAR_TRY(next, load(call, l1, next));
      for (auto& table : batch_)
        INSTAR_CHECK(visit(table));
      INSTAR_CHECK(store(call));
    }
    return {};
  }

  /** While the table of this entry is visited: what is around it is written back. The rest is not, as
   * it may be a hole, for which a full disk has no room. */
  void change(uint8_t* entry, uint64_t word) {
    store_be(entry, word);
    changed_[static_cast<size_t>(entry - memory_.data()) / block_] = true;
  }

 private:
  Result<uint64_t> load(const Call& call, const L1Table& l1, uint64_t next);
  Status store(const Call& call);
  /** Where a block of the memory lies in the file. */
  uint64_t place(size_t block) const;

  const Geometry& geometry_;
  HostFile& file_;
  const size_t block_;  ///< bytes
  std::vector<uint8_t> memory_;
  std::vector<bool> changed_;  ///< blocks of it
  std::vector<Table> batch_;
};

}  // namespace instar::qcow2
