/* SPDX-License-Identifier: Apache-2.0 */
/** @file info.h Optional interface "instar.info/1" of a node: what info prints of it. */
#ifndef INSTAR_ABI_INFO_H
#define INSTAR_ABI_INFO_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_INFO_ID "instar.info/1"

typedef struct instar_info_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /**
   * A JSON object into the sink. Keys, all optional: "cluster-size" (bytes), "encrypted",
   * "dirty-flag" (bools; without dirty-flag none is printed), "backing-filename",
   * "backing-filename-format" (as the image records them), "format-specific": {"type": NAME,
   * "data": {…}}. The host adds the rest and orders the keys. [node]
   */
  int (*describe)(void* self, instar_call* call, const instar_sink* json);
  /** Bytes allocated on the storage, or a negative errno when unknown; NULL: the host asks child 0.
   * [any] */
  int64_t (*allocated_size)(void* self, instar_call* call);
  /**
   * For a protocol: the plain name that opens just this into the sink, or nothing when only options
   * can say it. NULL: the host finds the name by the manifest. [any]
   */
  int (*filename)(void* self, instar_call* call, const instar_sink* text);
} instar_info_ops;

INSTAR_PIN_SIZE(instar_info_ops, 32);

#ifdef __cplusplus
}
#endif
#endif
