/* SPDX-License-Identifier: Apache-2.0 */
/** @file amend.h Optional interface "instar.amend/1" of a node: creation options changed
 * afterwards. */
#ifndef INSTAR_ABI_AMEND_H
#define INSTAR_ABI_AMEND_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_AMEND_ID "instar.amend/1"

typedef struct instar_amend_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /** Options as the manifest's amend table declares them, only those given. @param force 1:
   * --force. [node] */
  int (*amend)(void* self, instar_call* call, const instar_options* options, int force,
               const instar_progress* progress);
} instar_amend_ops;

INSTAR_PIN_SIZE(instar_amend_ops, 16);

#ifdef __cplusplus
}
#endif
#endif
