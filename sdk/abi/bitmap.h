/* SPDX-License-Identifier: Apache-2.0 */
/** @file bitmap.h Optional interface "instar.bitmap/1" of a node: persistent dirty bitmaps. */
#ifndef INSTAR_ABI_BITMAP_H
#define INSTAR_ABI_BITMAP_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_BITMAP_ID "instar.bitmap/1"

/** Receives runs of dirty bytes in ascending order; a negative result ends the walk. */
typedef int (*instar_bitmap_run_fn)(void* opaque, uint64_t offset, uint64_t length);

typedef struct instar_bitmap_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /** All bitmaps, as a JSON array of {"name", "granularity", "flags": ["auto", "in-use"]}.
   * [node] */
  int (*list)(void* self, instar_call* call, const instar_sink* json);
  /** @param granularity bytes, a power of two; 0: the format's default. [node] */
  int (*add)(void* self, instar_call* call, const char* name, uint32_t granularity, int enabled);
  int (*remove)(void* self, instar_call* call, const char* name);
  int (*clear)(void* self, instar_call* call, const char* name);
  int (*set_enabled)(void* self, instar_call* call, const char* name, int enabled);
  /** Walks the dirty runs of a bitmap. [node] */
  int (*walk)(void* self, instar_call* call, const char* name, void* opaque,
              instar_bitmap_run_fn run);
  /** Marks a range dirty, for merge and copy. [node] */
  int (*set_dirty)(void* self, instar_call* call, const char* name, uint64_t offset,
                   uint64_t length);
} instar_bitmap_ops;

INSTAR_PIN_SIZE(instar_bitmap_ops, 64);

#ifdef __cplusplus
}
#endif
#endif
