/* SPDX-License-Identifier: Apache-2.0 */
/** @file identity.h Optional interface "instar.identity/1" of a node: which image it is. */
#ifndef INSTAR_ABI_IDENTITY_H
#define INSTAR_ABI_IDENTITY_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_IDENTITY_ID "instar.identity/1"

typedef struct instar_identity_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /**
   * What an image of the same format that has this one for its parent records to know it again, as
   * text into the sink: a UUID, a content ID. [node]
   */
  int (*identity)(void* self, instar_call* call, const instar_sink* text);
  /**
   * What that is going to be from this node's first write on, so that an image can record it before;
   * from then on, what it is. NULL: writing does not change it. [node]
   */
  int (*next_identity)(void* self, instar_call* call, const instar_sink* text);
} instar_identity_ops;

INSTAR_PIN_SIZE(instar_identity_ops, 24);

#ifdef __cplusplus
}
#endif
#endif
