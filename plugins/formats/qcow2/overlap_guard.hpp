// SPDX-License-Identifier: Apache-2.0
/** @file overlap_guard.hpp Stops writes that would hit metadata, at the price of a bit's look-up for
 * each cluster: only where the bit is set, all tables are looked through. Not thread-safe. */
#pragma once

#include "plugins/formats/qcow2/cluster_counts.hpp"
#include "plugins/formats/qcow2/overlap.hpp"

namespace instar::qcow2 {

class OverlapGuard {
 public:
  explicit OverlapGuard(OverlapChecks checks) : checks_(checks) {}

  OverlapChecks checks() const { return checks_; }
  bool ready() const { return ready_; }
  /** Metadata moved: build comes next; until then nothing is let through without a closer look. */
  void forget();
  Status build(const Call& call, const MetadataView& view);
  /** Bytes that are metadata from now on. */
  void add(const Geometry& geometry, uint64_t offset, uint64_t length);

  /** Whether find_overlap has to say if a write hits metadata: of anything, or of metadata itself. */
  bool doubts_write(const Geometry& geometry, uint64_t offset, uint64_t length) const;
  bool doubts_metadata() const { return checks_ != 0 && (!ready_ || ambiguous_); }

 private:
  void add_known(const MetadataView& view, uint64_t offset, uint64_t length);
  void add_tables(const MetadataView& view, const std::vector<uint64_t>& entries, uint64_t mask);

  OverlapChecks checks_;
  ClusterCounts marks_{0};
  bool ready_ = false;
  bool ambiguous_ = false;  ///< metadata share a cluster, or lie where there is no file
};

}  // namespace instar::qcow2
