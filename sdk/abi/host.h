/* SPDX-License-Identifier: Apache-2.0 */
/** @file host.h What the host gives to a plugin: logging, services by interface id, and the next
 * implementation. */
#ifndef INSTAR_ABI_HOST_H
#define INSTAR_ABI_HOST_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum instar_log_level {
  INSTAR_LOG_TRACE = 0,
  INSTAR_LOG_DEBUG = 1,
  INSTAR_LOG_INFO = 2,
  INSTAR_LOG_WARNING = 3
};

/** The host's table. One per plugin; lives as long as the process. */
typedef struct instar_host instar_host;
struct instar_host {
  uint32_t struct_size;
  uint32_t abi_minor;
  void* opaque;
  /**
   * A service of the host, or NULL when it has none by that id. Services: "instar.registry/1",
   * "instar.graph/1", "instar.engine/1", "instar.options/1", "instar.output/1", "instar.objects/1".
   * [any]
   */
  const void* (*get_interface)(const instar_host* host, const char* id);
  /** Writes a line to the log, shown when the user asked for it. [any] */
  void (*log)(const instar_host* host, int level, const char* message, size_t len);
  /**
   * The implementation that stands behind the caller's own one, for a plugin that declares
   * `replaces`: the table of the next plugin of the same kind and name, or NULL when there is none.
   * [any]
   * @param kind enum instar_kind; @param own the table that the caller itself provides.
   */
  const void* (*next)(const instar_host* host, instar_call* call, uint32_t kind, const char* name,
                      const void* own);
};

INSTAR_PIN_SIZE(instar_host, 40);
INSTAR_PIN_OFFSET(instar_host, get_interface, 16);
INSTAR_PIN_OFFSET(instar_host, next, 32);

#ifdef __cplusplus
}
#endif
#endif
