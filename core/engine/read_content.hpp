// SPDX-License-Identifier: Apache-2.0
/** @file read_content.hpp What images read as, read by many workers and handed over in order. */
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/result.hpp"
#include "core/block/node.hpp"
#include "sdk/abi/content.h"
#include "sdk/abi/engine.h"

namespace instar::engine {

using sdk::Call;

/** The nodes are the caller's. */
struct ReadJob {
  std::vector<block::Node*> sources;  ///< one behind another, each in whole sectors
  uint64_t length = 0;                ///< bytes of the only source; 0: to the end
  uint32_t flags = 0;                 ///< INSTAR_COPY_SALVAGE, INSTAR_COPY_QUIET
  bool status_only = false;           ///< nothing is read: the receiver's bytes are nullptr
  uint32_t workers = 0;               ///< 0 = the engine's choice
  uint64_t rate = 0;                  ///< bytes of data a second; 0 = no limit
  instar_progress progress{};         ///< in bytes, zeroes too
  instar_content content{};
};

/** Known zeroes are not read. ECANCELED when the call is cancelled. [any] */
Status read_content(const Call& call, const ReadJob& job);

/** Whether one of them is made while it is read (instar.forward/1): readers must not be far apart. */
bool any_forward(const std::vector<block::Node*>& sources);
/** Whether one of them waits for a network. */
bool any_remote(const std::vector<block::Node*>& sources);

/** Length of all sources. */
Result<uint64_t> content_size(const std::vector<block::Node*>& sources);

}  // namespace instar::engine
