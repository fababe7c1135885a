/* SPDX-License-Identifier: Apache-2.0 */
/** @file measure.h Optional interface "instar.measure/1" of a format: the space that a new image
 * would need. */
#ifndef INSTAR_ABI_MEASURE_H
#define INSTAR_ABI_MEASURE_H

#include "host.h"
#include "node.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_MEASURE_ID "instar.measure/1"

typedef struct instar_measure_result {
  uint32_t struct_size;
  uint32_t has_bitmaps; /**< 1: bitmaps is meant to be printed */
  uint64_t required;    /**< bytes of the file that a conversion would make */
  uint64_t fully_allocated;
  uint64_t bitmaps;
} instar_measure_result;

INSTAR_PIN_SIZE(instar_measure_result, 32);

typedef struct instar_measure_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /**
   * @param options creation options of the target; "size" is set when there is no source.
   * @param source host-made node of the source image with its whole chain, or NULL; only size,
   * extents and interfaces are used. [main]
   */
  int (*measure)(const instar_host* host, instar_call* call, const instar_options* options,
                 const instar_node* source, instar_measure_result* result);
} instar_measure_ops;

INSTAR_PIN_SIZE(instar_measure_ops, 16);

#ifdef __cplusplus
}
#endif
#endif
