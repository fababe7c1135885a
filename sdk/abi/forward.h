/* SPDX-License-Identifier: Apache-2.0 */
/** @file forward.h Optional interface "instar.forward/1" of a node whose size is only known once all of
 * its content was made, as that of a packed file. */
#ifndef INSTAR_ABI_FORWARD_H
#define INSTAR_ABI_FORWARD_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_FORWARD_ID "instar.forward/1"

/** An instar_copy_job with INSTAR_COPY_STREAM may have one source, a node with this interface, in the place
 * of source_fd. */
typedef struct instar_forward_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /**
   * Reads without a known size: returns the bytes read, fewer than `len` only at the end. For who reads
   * in order each byte is made once. [any]
   */
  int64_t (*read)(void* self, instar_call* call, uint64_t offset, void* to, size_t len);
  /**
   * Finds the size, which costs making all of the content; does nothing when it is known. The host does
   * so before it calls instar_node_ops::size. @param keep nonzero: the content is wanted anywhere
   * afterwards, and is kept for that. [any]
   */
  int (*find_size)(void* self, instar_call* call, int keep);
} instar_forward_ops;

INSTAR_PIN_SIZE(instar_forward_ops, 24);

#ifdef __cplusplus
}
#endif
#endif
