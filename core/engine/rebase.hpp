// SPDX-License-Identifier: Apache-2.0
/** @file rebase.hpp Prepares an image for another backing file: the work of a safe rebase. */
#pragma once

#include <cstdint>

#include "core/base/result.hpp"
#include "core/block/node.hpp"
#include "sdk/abi/types.h"

namespace instar::engine {

using sdk::Call;

/** The nodes are the caller's and stay open. */
struct RebaseJob {
  block::Node* image = nullptr;        ///< open for writing, with its old backing file
  block::Node* new_backing = nullptr;  ///< nullptr: none
  /** A node of the old chain whose content new_backing has: what no layer above it holds is the same
   * in both. */
  block::Node* common = nullptr;
  bool compressed = false;
  uint32_t workers = 0;        ///< 0 = the engine's choice
  instar_progress progress{};  ///< in steps as qemu-img has them
};

/**
 * Where the image shows its old backing file, and that differs from the new one, the old content is
 * written into the image, in whole (sub)clusters. What the image reads as does not change at any
 * point. Messages are qemu-img's. [any]
 */
Status rebase(const Call& call, const RebaseJob& job);

}  // namespace instar::engine
