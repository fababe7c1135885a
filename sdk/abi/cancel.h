/* SPDX-License-Identifier: Apache-2.0 */
/** @file cancel.h Optional interface "instar.cancel/1" of a node: calls that wait are woken. */
#ifndef INSTAR_ABI_CANCEL_H
#define INSTAR_ABI_CANCEL_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_CANCEL_ID "instar.cancel/1"

typedef struct instar_cancel_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /** Makes calls that are under way end soon with -ECANCELED. [any] */
  void (*cancel)(void* self);
} instar_cancel_ops;

INSTAR_PIN_SIZE(instar_cancel_ops, 16);

#ifdef __cplusplus
}
#endif
#endif
