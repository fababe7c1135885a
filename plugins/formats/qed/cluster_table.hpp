// SPDX-License-Identifier: Apache-2.0
/** @file cluster_table.hpp Where the clusters of an image lie: an L1 table of L2 tables. */
#pragma once

#include "plugins/formats/qed/format.hpp"
#include "sdk/cpp/block_map.hpp"
#include "sdk/cpp/metadata_cache.hpp"

namespace instar::qed {

/** A Table of sdk::BlockMap. */
class ClusterTable {
 public:
  static constexpr bool kBacked = true;
  static constexpr bool kRebased = true;

  ClusterTable(sdk::HostFile file, const Header& header);

  Header& header() { return header_; }
  const Header& header() const { return header_; }
  sdk::HostFile& file() { return file_; }
  const sdk::HostFile& file() const { return file_; }
  sdk::Result<sdk::Block> lookup(const sdk::Call& call, uint64_t cluster);
  sdk::Result<sdk::BlockSpace> allocate(const sdk::Call& call, uint64_t cluster, uint64_t count);
  bool release(uint64_t cluster, uint64_t offset);
  uint64_t end() const { return next_; }
  sdk::Status store(const sdk::Call& call, uint64_t cluster, const sdk::Block& what);
  bool stores_zeroes() const { return true; }
  bool dirty() const { return l1_.dirty() || l2_.dirty(); }
  bool crowded() const { return l1_.crowded() || l2_.crowded(); }
  sdk::Status write_back(const sdk::Call& call);

  sdk::Status write_header(const sdk::Call& call);
  bool valid_cluster(uint64_t offset) const;
  bool valid_table(uint64_t offset) const;
  sdk::Result<uint64_t> l1_entry(const sdk::Call& call, uint64_t index);
  sdk::Status clear_l1_entry(const sdk::Call& call, uint64_t index);
  sdk::Result<uint64_t> l2_entry(const sdk::Call& call, uint64_t table, uint64_t index);
  sdk::Status set_l2_entry(const sdk::Call& call, uint64_t table, uint64_t index, uint64_t entry);

 private:
  static constexpr uint64_t kCacheBytes = 4u << 20;

  sdk::HostFile file_;
  Header header_;
  sdk::MetadataCache l1_;
  sdk::MetadataCache l2_;
  uint64_t next_;  ///< bytes; clusters from here on are free
};

}  // namespace instar::qed
