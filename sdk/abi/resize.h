/* SPDX-License-Identifier: Apache-2.0 */
/** @file resize.h Optional interface "instar.resize/1" of a node: its size changes. */
#ifndef INSTAR_ABI_RESIZE_H
#define INSTAR_ABI_RESIZE_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_RESIZE_ID "instar.resize/1"

enum instar_preallocation {
  INSTAR_PREALLOCATION_OFF = 0,
  INSTAR_PREALLOCATION_METADATA = 1,
  INSTAR_PREALLOCATION_FALLOC = 2,
  INSTAR_PREALLOCATION_FULL = 3
};

enum instar_resize_flags {
  INSTAR_RESIZE_EXACT =
      1u << 0 /**< a device: -ENOTSUP unless the size is exactly the one asked for */
};

typedef struct instar_resize_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /** @param size bytes; @param preallocation enum instar_preallocation for grown space, which reads
   * as zeroes. [node] */
  int (*resize)(void* self, instar_call* call, uint64_t size, uint32_t preallocation,
                uint32_t flags, const instar_progress* progress);
} instar_resize_ops;

INSTAR_PIN_SIZE(instar_resize_ops, 16);

#ifdef __cplusplus
}
#endif
#endif
