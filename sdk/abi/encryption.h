/* SPDX-License-Identifier: Apache-2.0 */
/** @file encryption.h Kind "encryption": an image's encryption scheme (a LUKS header, the legacy
 * AES of qcow). */
#ifndef INSTAR_ABI_ENCRYPTION_H
#define INSTAR_ABI_ENCRYPTION_H

#include "host.h"
#include "node.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Access to the bytes of the scheme's header, which the format stores. Offsets are bytes from the
 * header's start. */
typedef struct instar_header_io {
  void* opaque;
  int (*read)(void* opaque, instar_call* call, uint64_t offset, void* data, size_t len);
  int (*write)(void* opaque, instar_call* call, uint64_t offset, const void* data, size_t len);
  /** Makes room for a new header. */
  int (*reserve)(void* opaque, instar_call* call, uint64_t len);
} instar_header_io;

INSTAR_PIN_SIZE(instar_header_io, 32);

/** Table of a scheme. */
typedef struct instar_encryption_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /** Opens a header with the secret named in the options; without `key-secret` only describe works.
   * [main] */
  int (*open)(const instar_host* host, instar_call* call, const instar_options* options,
              const instar_header_io* io, void** context);
  /** Writes a new header and opens it. [main] */
  int (*create)(const instar_host* host, instar_call* call, const instar_options* options,
                const instar_header_io* io, void** context);
  /** Changes key slots. [main] */
  int (*amend)(void* context, instar_call* call, const instar_options* options,
               const instar_header_io* io);
  /** Description as JSON, for info. [any] */
  int (*describe)(void* context, instar_call* call, const instar_sink* json);
  /** In place; offset and len are multiples of 512. [any] */
  int (*encrypt)(void* context, instar_call* call, uint64_t offset, void* data, size_t len);
  int (*decrypt)(void* context, instar_call* call, uint64_t offset, void* data, size_t len);
  /** Wipes the keys and frees. [main] */
  void (*close)(void* context);
} instar_encryption_ops;

INSTAR_PIN_SIZE(instar_encryption_ops, 64);
INSTAR_PIN_OFFSET(instar_encryption_ops, encrypt, 40);

#ifdef __cplusplus
}
#endif
#endif
