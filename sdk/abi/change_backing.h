/* SPDX-License-Identifier: Apache-2.0 */
/** @file change_backing.h Optional interface "instar.change-backing/1" of a node: another backing
 * file is recorded. */
#ifndef INSTAR_ABI_CHANGE_BACKING_H
#define INSTAR_ABI_CHANGE_BACKING_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_CHANGE_BACKING_ID "instar.change-backing/1"

typedef struct instar_change_backing_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /** Only the record changes. @param filename NULL: no backing file; @param format NULL: none
   * recorded. [node] */
  int (*change_backing)(void* self, instar_call* call, const char* filename, const char* format);
  /** On stable storage before it returns: the image takes its backing file for the right one with
   * `identity` (see instar.identity/1) as well as with the one that it has now. NULL: it does not
   * record any. [node] */
  int (*expect_backing)(void* self, instar_call* call, const char* identity);
} instar_change_backing_ops;

INSTAR_PIN_SIZE(instar_change_backing_ops, 24);

#ifdef __cplusplus
}
#endif
#endif
