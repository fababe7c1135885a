/* SPDX-License-Identifier: Apache-2.0 */
/** @file map.h Optional interface "instar.map/1" of a node: plain data moves past the driver. */
#ifndef INSTAR_ABI_MAP_H
#define INSTAR_ABI_MAP_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_MAP_ID "instar.map/1"

/**
 * A piece of host space that was set aside for guest data and is not yet referred to.
 */
typedef struct instar_placement {
  uint64_t offset;       /**< guest offset, bytes */
  uint64_t length;       /**< bytes */
  uint64_t child_offset; /**< where the data goes, bytes */
  uint64_t token;        /**< the driver's own */
  uint32_t child;        /**< id of the child that takes the data */
  uint32_t reserved;
} instar_placement;

INSTAR_PIN_SIZE(instar_placement, 40);

/**
 * Presence of this interface promises: bytes of an extent with INSTAR_EXTENT_OFFSET may be read
 * from the child directly while the node is open and nobody writes to it. The write slots may be
 * NULL.
 */
typedef struct instar_map_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /**
   * Sets space aside for a write that covers [offset, offset + length) wholly. Fills up to max
   * placements that lie one behind another from `offset` on; returns their number, or -ENOTSUP
   * (without a message) when the range must go through write. The caller then writes the data into
   * the children and calls commit_write or abort_write. [any]
   */
  int64_t (*prepare_write)(void* self, instar_call* call, uint64_t offset, uint64_t length,
                           instar_placement* out, size_t max);
  /** The data is in place: make the image refer to it. [any] */
  int (*commit_write)(void* self, instar_call* call, const instar_placement* placements,
                      size_t count);
  /** Gives the space back. [any] */
  void (*abort_write)(void* self, const instar_placement* placements, size_t count);
} instar_map_ops;

INSTAR_PIN_SIZE(instar_map_ops, 32);

#ifdef __cplusplus
}
#endif
#endif
