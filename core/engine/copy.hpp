// SPDX-License-Identifier: Apache-2.0
/** @file copy.hpp Copies the guest content of images into another one: the work of convert. */
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/result.hpp"
#include "core/block/node.hpp"
#include "sdk/abi/engine.h"

namespace instar::engine {

using sdk::Call;

/** The nodes are the caller's and stay open; the target is neither flushed nor closed. */
struct CopyJob {
  std::vector<block::Node*> sources;  ///< one behind another
  block::Node* target = nullptr;      ///< has its size already
  /** Not nullptr: the target shows this where nothing is written. What the sources' top layers
   * leave to their backing files is left out then. */
  block::Node* target_backing = nullptr;
  /** Not nullptr: a node of the source's chain. Only what the layers above it hold is copied, and
   * data is not searched for zeroes. */
  block::Node* base = nullptr;
  uint64_t source_offset = 0;  ///< bytes of the only source that are left out
  uint64_t length = 0;         ///< bytes of the only source; 0: to the end, in whole sectors
  uint32_t flags = 0;          ///< enum instar_copy_flags
  uint64_t min_sparse = 4096;  ///< bytes, a multiple of 512; 0: everything is written
  uint64_t rate = 0;           ///< bytes a second; 0 = no limit
  uint32_t workers = 0;        ///< 0 = the engine's choice
  instar_progress progress{};  ///< in bytes of data; never called when there are none
  instar_content content{};    ///< gets what was read from the sources; data nullptr: nobody does
  int source_fd = -1;          ///< with INSTAR_COPY_STREAM
};

/**
 * Messages are those of qemu-img, offsets included: "error while reading at byte N: …". ECANCELED
 * when the call is cancelled. Needs at most 24 MiB of buffers. [any]
 */
Status copy(const Call& call, const CopyJob& job);

}  // namespace instar::engine
