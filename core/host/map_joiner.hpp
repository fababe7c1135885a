// SPDX-License-Identifier: Apache-2.0
/** @file map_joiner.hpp Runs of a chain as map prints them: neighbours that look alike are one. */
#pragma once

#include <vector>

#include "core/block/status.hpp"
#include "sdk/abi/graph.h"

namespace instar::host {

/** Feeds a callback with joined runs, many at a time. */
class MapJoiner {
 public:
  MapJoiner(void* opaque, instar_map_fn each) : opaque_(opaque), each_(each) {}

  Status add(const std::vector<block::ChainExtent>& batch);
  /** Hands over what is left. */
  Status finish();

 private:
  Status hand_over();

  void* opaque_;
  instar_map_fn each_;
  std::vector<instar_map_extent> runs_;  ///< the last one may still grow
};

}  // namespace instar::host
