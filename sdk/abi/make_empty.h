/* SPDX-License-Identifier: Apache-2.0 */
/** @file make_empty.h Optional interface "instar.make-empty/1" of a node: everything is again that
 * of the backing file. */
#ifndef INSTAR_ABI_MAKE_EMPTY_H
#define INSTAR_ABI_MAKE_EMPTY_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_MAKE_EMPTY_ID "instar.make-empty/1"

typedef struct instar_make_empty_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /** [node] */
  int (*make_empty)(void* self, instar_call* call);
} instar_make_empty_ops;

INSTAR_PIN_SIZE(instar_make_empty_ops, 16);

#ifdef __cplusplus
}
#endif
#endif
