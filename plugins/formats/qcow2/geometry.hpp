// SPDX-License-Identifier: Apache-2.0
/** @file geometry.hpp Numbers that follow from the header: how guest offsets split into table
 * indices, and how entries are laid out. Constant while an image is open. */
#pragma once

#include "plugins/formats/qcow2/header.hpp"

namespace instar::qcow2 {

struct Geometry {
  explicit Geometry(const Header& header)
      : cluster_bits(header.cluster_bits),
        cluster_size(uint64_t{1} << header.cluster_bits),
        extended(header.extended_l2()),
        zero_flag(header.version >= 3),
        entry_size(extended ? 16 : 8),
        l2_bits(cluster_bits - (extended ? 4 : 3)),
        l1_shift(cluster_bits + l2_bits),
        subcluster_size(extended ? cluster_size / kSubclusters : cluster_size),
        refcount_order(header.refcount_order),
        refblock_bits(cluster_bits + 3 - refcount_order),
        packed_size_shift(62 - (cluster_bits - 8)) {}

  uint64_t cluster_of(uint64_t offset) const { return offset >> cluster_bits; }
  uint64_t in_cluster(uint64_t offset) const { return offset & (cluster_size - 1); }
  uint64_t cluster_start(uint64_t offset) const { return offset & ~(cluster_size - 1); }
  uint64_t cluster_end(uint64_t offset) const { return cluster_start(offset + cluster_size - 1); }
  uint64_t clusters(uint64_t bytes) const { return sdk::div_up(bytes, cluster_size); }
  uint64_t l2_entries() const { return uint64_t{1} << l2_bits; }
  uint64_t l2_index(uint64_t guest) const { return (guest >> cluster_bits) & (l2_entries() - 1); }
  uint64_t l1_index(uint64_t guest) const { return guest >> l1_shift; }
  uint64_t refblock_entries() const { return uint64_t{1} << refblock_bits; }
  uint64_t refcount_max() const {
    return refcount_order == 6 ? UINT64_MAX : (uint64_t{1} << (1u << refcount_order)) - 1;
  }
  /** Compressed cluster descriptor: where the packed bytes begin, and how many there may be. */
  uint64_t packed_offset(uint64_t entry) const {
    return entry & ((uint64_t{1} << packed_size_shift) - 1);
  }
  uint32_t packed_length(uint64_t entry) const {
    const uint64_t sectors =
        ((entry >> packed_size_shift) & ((uint64_t{1} << (cluster_bits - 8)) - 1)) + 1;
    return static_cast<uint32_t>(sectors * kSector - packed_offset(entry) % kSector);
  }
  uint64_t packed_entry(uint64_t offset, uint64_t length) const {
    const uint64_t sectors = (offset + length - 1) / kSector - offset / kSector;
    return offset | kEntryCompressed | sectors << packed_size_shift;
  }

  uint32_t cluster_bits;
  uint64_t cluster_size;
  bool extended;   ///< L2 entries have a bitmap of subclusters
  bool zero_flag;  ///< the zero flag of standard entries exists
  uint32_t entry_size;
  uint32_t l2_bits;
  uint32_t l1_shift;
  uint64_t subcluster_size;  ///< the cluster size where there are no subclusters
  uint32_t refcount_order;
  uint32_t refblock_bits;
  uint32_t packed_size_shift;
};

}  // namespace instar::qcow2
