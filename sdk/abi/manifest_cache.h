/* SPDX-License-Identifier: Apache-2.0 */
/** @file manifest_cache.h Service "instar.manifest-cache/1" of the host: the manifests of a plugin
 * folder in one file, which makes the program start faster. */
#ifndef INSTAR_ABI_MANIFEST_CACHE_H
#define INSTAR_ABI_MANIFEST_CACHE_H

#include "host.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_MANIFEST_CACHE_ID "instar.manifest-cache/1"

typedef struct instar_manifest_cache_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /**
   * Writes the cache of `folder` (NULL: the system's plugin folder) and sends its path into `path`.
   * Returns the number of manifests in it, or a negative errno with call->fail. It may be out of
   * date at any time: a manifest that has changed since is read from its own file. [main]
   */
  int64_t (*write)(const instar_host* host, instar_call* call, const char* folder,
                   const instar_sink* path);
} instar_manifest_cache_ops;

INSTAR_PIN_SIZE(instar_manifest_cache_ops, 16);

#ifdef __cplusplus
}
#endif
#endif
