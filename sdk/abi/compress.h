/* SPDX-License-Identifier: Apache-2.0 */
/** @file compress.h Optional interface "instar.compress/1" of a node: compressed clusters are
 * written. */
#ifndef INSTAR_ABI_COMPRESS_H
#define INSTAR_ABI_COMPRESS_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_COMPRESS_ID "instar.compress/1"

/**
 * A compressed write is split in two, so that the engine packs on all cores and stores in the order
 * it wants. A block is one cluster (limits.cluster_size); the last one of an image may be shorter.
 */
typedef struct instar_compress_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /**
   * Packs one block into `out`. Returns the packed length, or -ENOSPC (without a message) when
   * packing does not make the block smaller: the block is then written plainly. A format that has
   * only packed blocks may use all of out_len, which is some more than the block's length. Changes nothing in
   * the image. [any]
   */
  int64_t (*pack)(void* self, instar_call* call, const void* block, size_t len, void* out,
                  size_t out_len);
  /** Stores a packed block as the content of the cluster at guest `offset`. [any] */
  int (*store)(void* self, instar_call* call, uint64_t offset, size_t len, const void* packed,
               size_t packed_len);
} instar_compress_ops;

INSTAR_PIN_SIZE(instar_compress_ops, 24);

#ifdef __cplusplus
}
#endif
#endif
