/* SPDX-License-Identifier: Apache-2.0 */
/** @file registry.h Service "instar.registry/1" of the host: what plugins there are. */
#ifndef INSTAR_ABI_REGISTRY_H
#define INSTAR_ABI_REGISTRY_H

#include "host.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_REGISTRY_ID "instar.registry/1"

typedef struct instar_registry_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /**
   * The table of an implementation, loaded if need be; NULL (and call->fail, naming the package
   * that has it when it is known) when there is none. @param kind enum instar_kind. [any]
   */
  const void* (*find)(const instar_host* host, instar_call* call, uint32_t kind, const char* name);
  /** JSON array of all plugins that were found, with everything known without loading them. [main]
   */
  int (*list)(const instar_host* host, instar_call* call, const instar_sink* json);
  /** JSON object on one plugin (or one provided name), with what shadows it; loads it. [main] */
  int (*show)(const instar_host* host, instar_call* call, const char* name,
              const instar_sink* json);
  /** JSON array of {"plugin", "path", "rule", "ok", "message"}; file NULL: all installed. [main] */
  int (*verify)(const instar_host* host, instar_call* call, const char* file,
                const instar_sink* json);
} instar_registry_ops;

INSTAR_PIN_SIZE(instar_registry_ops, 40);

#ifdef __cplusplus
}
#endif
#endif
