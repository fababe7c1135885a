// SPDX-License-Identifier: Apache-2.0
/** @file format.hpp The QED on-disk structures, by the terms of QEMU's docs/interop/qed_spec.
 * Little-endian. */
#pragma once

#include <bit>
#include <cstdint>

#include "sdk/cpp/bytes.hpp"

namespace instar::qed {

using sdk::Le;

constexpr uint32_t kMagic = 0x00444551;  // "QED\0"
constexpr uint64_t kFeatureBackingFile = 1;
constexpr uint64_t kFeatureNeedCheck = 2;
constexpr uint64_t kFeatureBackingNoProbe = 4;  ///< the backing file is raw
constexpr uint64_t kFeaturesKnown = 7;
constexpr uint32_t kMinClusterSize = 4096;
constexpr uint32_t kMaxClusterSize = 64u << 20;
constexpr uint32_t kMinTableSize = 1;
constexpr uint32_t kMaxTableSize = 16;
constexpr uint64_t kZeroCluster = 1;  ///< entry of an L2 table

struct Header {
  Le<uint32_t> magic;
  Le<uint32_t> cluster_size;  ///< bytes
  Le<uint32_t> table_size;    ///< clusters, of L1 and L2 tables
  Le<uint32_t> header_size;   ///< clusters
  Le<uint64_t> features;
  Le<uint64_t> compat_features;
  Le<uint64_t> autoclear_features;
  Le<uint64_t> l1_table_offset;
  Le<uint64_t> image_size;
  Le<uint32_t> backing_filename_offset;
  Le<uint32_t> backing_filename_size;

  uint64_t table_bytes() const { return uint64_t{cluster_size} * table_size; }
  uint64_t table_entries() const { return table_bytes() / sizeof(uint64_t); }
  uint64_t header_bytes() const { return uint64_t{cluster_size} * header_size; }
  uint64_t most_bytes() const { return table_entries() * table_entries() * cluster_size; }
};
static_assert(sizeof(Header) == 64, "header");

inline bool valid_cluster_size(uint64_t size) {
  return size >= kMinClusterSize && size <= kMaxClusterSize && std::has_single_bit(size);
}
inline bool valid_table_size(uint64_t size) {
  return size >= kMinTableSize && size <= kMaxTableSize && std::has_single_bit(size);
}

}  // namespace instar::qed
