/* SPDX-License-Identifier: Apache-2.0 */
/** @file check.h Optional interface "instar.check/1" of a node: consistency check and repair. */
#ifndef INSTAR_ABI_CHECK_H
#define INSTAR_ABI_CHECK_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_CHECK_ID "instar.check/1"

enum instar_check_fix { INSTAR_FIX_LEAKS = 1u << 0, INSTAR_FIX_ERRORS = 1u << 1 };

/** Counters; zero where a format has none. */
typedef struct instar_check_result {
  uint32_t struct_size;
  uint32_t reserved;
  int64_t image_end_offset; /**< bytes; 0 = unknown */
  int64_t corruptions;
  int64_t leaks;
  int64_t check_errors;
  int64_t corruptions_fixed;
  int64_t leaks_fixed;
  int64_t total_clusters;
  int64_t allocated_clusters;
  int64_t fragmented_clusters;
  int64_t compressed_clusters;
} instar_check_result;

INSTAR_PIN_SIZE(instar_check_result, 88);

typedef struct instar_check_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /** @param fix enum instar_check_fix bits; @param messages diagnostics, a line each, with newline.
   * [node] */
  int (*check)(void* self, instar_call* call, uint32_t fix, instar_check_result* result,
               const instar_sink* messages, const instar_progress* progress);
} instar_check_ops;

INSTAR_PIN_SIZE(instar_check_ops, 16);

#ifdef __cplusplus
}
#endif
#endif
