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
    bool changed = false;  ///< to be written back
  };

  L1Walk(const Geometry& geometry, HostFile& file);

  /** Calls visit(Table&), a Status, for each table. */
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

 private:
  Result<uint64_t> load(const Call& call, const L1Table& l1, uint64_t next);
  Status store(const Call& call);
  /** How many tables from `first` on lie one behind another and are (not) `changed`. */
  size_t run(size_t first, bool changed) const;

  const Geometry& geometry_;
  HostFile& file_;
  std::vector<uint8_t> memory_;
  std::vector<Table> batch_;
};

}  // namespace instar::qcow2
