// SPDX-License-Identifier: Apache-2.0
/** @file compare.hpp Whether two images have the same guest content. */
#pragma once

#include <cstdint>

#include "core/base/result.hpp"
#include "core/block/node.hpp"
#include "sdk/abi/engine.h"

namespace instar::engine {

using sdk::Call;

/** The nodes are the caller's. */
struct CompareJob {
  block::Node* a = nullptr;
  block::Node* b = nullptr;
  bool strict = false;         ///< block status and size must be the same too
  uint32_t workers = 0;        ///< 0 = the engine's choice
  instar_progress progress{};  ///< in bytes of the larger image
};

/**
 * Fills in *result, also in part when it fails: ENODATA after an error in block status, EIO after
 * one in reading, both with failed_image and offset set. An offset is that of the first sector (512
 * bytes) that differs; of a read error it is where the request began, at most 2 MiB before.
 * size_differs is set only if all that both have is equal. [any]
 */
Status compare(const Call& call, const CompareJob& job, instar_compare_result* result);

}  // namespace instar::engine
