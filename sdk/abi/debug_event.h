/* SPDX-License-Identifier: Apache-2.0 */
/** @file debug_event.h Optional interface "instar.debug-event/1" of a node: it wants to be told what
 * its user is about to do. For filters that inject errors in tests. */
#ifndef INSTAR_ABI_DEBUG_EVENT_H
#define INSTAR_ABI_DEBUG_EVENT_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_DEBUG_EVENT_ID "instar.debug-event/1"

/**
 * A driver asks its child for this interface when it opens and keeps the table; hardly any node has
 * it. One that tells of events must not be read past: it does not offer instar.map/1 then.
 */
typedef struct instar_debug_event_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /** The user of the node is about to do what `name` says ("l2_load", "write_aio": the names of
   * QEMU's blkdebug events; unknown ones are passed over). Returns at once. [any] */
  void (*event)(void* self, const char* name);
} instar_debug_event_ops;

INSTAR_PIN_SIZE(instar_debug_event_ops, 16);

#ifdef __cplusplus
}
#endif
#endif
