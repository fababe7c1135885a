/* SPDX-License-Identifier: Apache-2.0 */
/** @file chain.h Interface "instar.chain/1", which the host offers on every node that a driver is
 * given: the node with what stands below it as backing files. */
#ifndef INSTAR_ABI_CHAIN_H
#define INSTAR_ABI_CHAIN_H

#include "node.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_CHAIN_ID "instar.chain/1"

typedef struct instar_chain_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /**
   * Like instar_node_ops::extents, of the chain from this node down to the node called `bottom`,
   * included: ALLOCATED where one of them decides the content. "": down to the end, which says
   * how everything reads, holes of files too. A length of 0 gives 0: it only asks for the name.
   * -ENOENT: no node of the chain is called so. -EINVAL: it is a filter. [any]
   */
  int64_t (*extents)(void* self, instar_call* call, const char* bottom, uint64_t offset,
                     uint64_t length, instar_extent* out, size_t max);
} instar_chain_ops;

INSTAR_PIN_SIZE(instar_chain_ops, 16);

#ifdef __cplusplus
}
#endif
#endif
