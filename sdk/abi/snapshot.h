/* SPDX-License-Identifier: Apache-2.0 */
/** @file snapshot.h Optional interface "instar.snapshot/1" of a node: internal snapshots. */
#ifndef INSTAR_ABI_SNAPSHOT_H
#define INSTAR_ABI_SNAPSHOT_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_SNAPSHOT_ID "instar.snapshot/1"

typedef struct instar_snapshot_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /**
   * All snapshots in table order, as a JSON array of objects with QEMU's keys: id, name,
   * vm-state-size, date-sec, date-nsec, vm-clock-sec, vm-clock-nsec, icount (absent when unknown).
   * [node]
   */
  int (*list)(void* self, instar_call* call, const instar_sink* json);
  /** Creates a snapshot of the current content. [node] */
  int (*create)(void* self, instar_call* call, const char* name, int64_t date_sec,
                int32_t date_nsec);
  /** The current content becomes that of the snapshot `id`. [node] */
  int (*apply)(void* self, instar_call* call, const char* id);
  /** Removes the snapshot that has this id and name. [node] */
  int (*remove)(void* self, instar_call* call, const char* id, const char* name);
  /** Turns a node that is open read-only into a view of the snapshot `id`. [node] */
  int (*load)(void* self, instar_call* call, const char* id);
} instar_snapshot_ops;

INSTAR_PIN_SIZE(instar_snapshot_ops, 48);

#ifdef __cplusplus
}
#endif
#endif
