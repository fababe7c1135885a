// SPDX-License-Identifier: Apache-2.0
/** @file status.hpp Block status through a backing chain: what a range of an image reads as, and
 * who holds it. */
#pragma once

#include <cstdint>
#include <vector>

#include "core/block/node.hpp"

namespace instar::block {

/** A run of a chain with one status. */
struct ChainExtent {
  uint64_t offset = 0;  ///< bytes, in the top node
  uint64_t length = 0;  ///< bytes, > 0
  uint32_t flags =
      0;  ///< enum instar_extent_flags; ALLOCATED: some node of the chain decides the content; DATA
          ///< without it: the content comes from the backing files of an image within raw
  int depth = 0;  ///< which node of the chain, 0 = top; without ALLOCATED: the deepest one asked
  Node* layer = nullptr;  ///< that node
  Node* file =
      nullptr;  ///< with OFFSET: the lowest node in which the bytes lie plainly (a protocol node)
  uint64_t file_offset = 0;  ///< bytes, in `file`

  /** As status is shown: data is somewhere in this chain. */
  uint32_t shown_flags() const {
    return (flags & INSTAR_EXTENT_ALLOCATED) != 0 ? flags : flags & ~uint32_t{INSTAR_EXTENT_DATA};
  }
};

/** Which questions a walk asks. */
struct StatusOptions {
  Node* base = nullptr;  ///< stop above this node of the chain; nullptr: go through all
  bool want_zero =
      true;  ///< ask the file layer for holes (SEEK_HOLE) where the format says RECURSE
  bool resolve_file = true;  ///< follow OFFSET down to the protocol node
};

/**
 * Walks [offset, offset + length) of `top` and gives runs in ascending order that cover it exactly
 * once. Neighbours that differ in nothing (status, layer, file, contiguous offset) are joined
 * inside one batch. Asks drivers for many extents at a time. `each` gets batches; a failed Status
 * from it ends the walk. Chains end in zeroes. Iterative: the depth of the chain costs no stack.
 * [any]
 */
template <class Each>
Status walk_status(const Call& call, Node& top, uint64_t offset, uint64_t length,
                   const StatusOptions& options, Each&& each);

/** The same, one batch: up to `max` runs from `offset` on, at least one. */
Result<std::vector<ChainExtent>> chain_status(const Call& call, Node& top, uint64_t offset,
                                              uint64_t length, const StatusOptions& options,
                                              size_t max = 1024);

template <class Each>
Status walk_status(const Call& call, Node& top, uint64_t offset, uint64_t length,
                   const StatusOptions& options, Each&& each) {
  while (length > 0) {
    INSTAR_TRY(const auto batch, chain_status(call, top, offset, length, options));
    INSTAR_CHECK(each(batch));
    const uint64_t end = batch.back().offset + batch.back().length;
    length -= end - offset;
    offset = end;
  }
  return {};
}

}  // namespace instar::block
