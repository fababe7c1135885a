/* SPDX-License-Identifier: Apache-2.0 */
/** @file digest.h Kind "digest": a cryptographic hash, used by commands through the host. */
#ifndef INSTAR_ABI_DIGEST_H
#define INSTAR_ABI_DIGEST_H

#include "host.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Table of a digest. All are required. Contexts are independent of each other. */
typedef struct instar_digest_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /** A context for one digest, freed by close. [any] */
  int (*open)(const instar_host* host, instar_call* call, void** context);
  void (*close)(void* context);
  /** Takes more bytes. [any, one call per context] */
  void (*update)(void* context, const void* data, size_t len);
  /** The digest of all that came, once. Returns its length in bytes, or -ENOSPC when `out` is too
   * short. [any, one call per context] */
  int64_t (*finish)(void* context, void* out, size_t out_len);
} instar_digest_ops;

INSTAR_PIN_SIZE(instar_digest_ops, 40);

#ifdef __cplusplus
}
#endif
#endif
