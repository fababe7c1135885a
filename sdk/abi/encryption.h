/* SPDX-License-Identifier: Apache-2.0 */
/** @file encryption.h Kind "encryption": an image's encryption scheme (a LUKS header, the legacy
 * AES of qcow and qcow2), used by formats through the host ("instar.registry/1"). */
#ifndef INSTAR_ABI_ENCRYPTION_H
#define INSTAR_ABI_ENCRYPTION_H

#include "host.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Access to the bytes of the scheme's header, which the format stores. Offsets are bytes from the
 * header's start. Errors are the format's: they reach the user as they are.
 */
typedef struct instar_header_io {
  uint32_t struct_size;
  uint32_t reserved;
  void* opaque;
  int (*read)(void* opaque, instar_call* call, uint64_t offset, void* data, size_t len);
  /** NULL: the header is read only. */
  int (*write)(void* opaque, instar_call* call, uint64_t offset, const void* data, size_t len);
  /** Makes room for a new header of `len` bytes; called once, before the first write. */
  int (*allocate)(void* opaque, instar_call* call, uint64_t len);
  /** What was written before is stored before what is written after. NULL: writes are kept in
   * order. */
  int (*flush)(void* opaque, instar_call* call);
} instar_header_io;

INSTAR_PIN_SIZE(instar_header_io, 48);
INSTAR_PIN_OFFSET(instar_header_io, read, 16);

enum instar_encryption_flags {
  /** open: no key is wanted. Only describe and info work. */
  INSTAR_ENCRYPTION_DESCRIBE = 1,
  /** open, create, measure: the header stands alone, the encrypted content elsewhere at 0. */
  INSTAR_ENCRYPTION_DETACHED = 2
};

/** What open, create and measure are given. Valid during the call. */
typedef struct instar_encryption_args {
  uint32_t struct_size;
  uint32_t flags; /**< enum instar_encryption_flags */
  /** What stands before the options' names where the user writes them ("encrypt.", ""); errors name
   * them so. */
  const char* option_prefix;
  /** By the scheme's own names ("key-secret"). Others are ignored: the manifest of the format says
   * which ones there are. */
  instar_options options;
  /** NULL for a scheme without a header, and for measure. */
  const instar_header_io* io;
} instar_encryption_args;

INSTAR_PIN_SIZE(instar_encryption_args, 40);
INSTAR_PIN_OFFSET(instar_encryption_args, io, 32);

/** Constant after open. */
typedef struct instar_encryption_info {
  uint32_t struct_size;
  uint32_t sector_size;    /**< bytes; what encrypt and decrypt take is made of these */
  uint64_t payload_offset; /**< where the header says that the content begins; 0: no header */
} instar_encryption_info;

INSTAR_PIN_SIZE(instar_encryption_info, 16);

/** Table of a scheme. */
typedef struct instar_encryption_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /** Opens what is there, with the secret that `key-secret` names. [main] */
  int (*open)(const instar_host* host, instar_call* call, const instar_encryption_args* args,
              void** context);
  /** Writes a new header and opens it. NULL: the scheme has no header, open is enough. [main] */
  int (*create)(const instar_host* host, instar_call* call, const instar_encryption_args* args,
                void** context);
  /** Length in bytes of the header that create would write. NULL: no header. [main] */
  int (*measure)(const instar_host* host, instar_call* call, const instar_encryption_args* args,
                 uint64_t* length);
  /**
   * Changes key slots. NULL: there are none. [main]
   * @param options by the scheme's own names; @param force 1: also what loses the data for good.
   */
  int (*amend)(void* context, instar_call* call, const instar_options* options,
               const instar_header_io* io, int force);
  /**
   * A JSON object for info, its members in QEMU's order. [any]
   * @param with_format 1: with the member "format", as formats need it that know several schemes.
   */
  int (*describe)(void* context, instar_call* call, int with_format, const instar_sink* json);
  /** [any] */
  int (*info)(void* context, instar_call* call, instar_encryption_info* info);
  /**
   * In place; offset and len are multiples of the sector size. Initialisation vectors count sectors
   * from offset 0, so the format must give the same offset for writing and reading: in QEMU's
   * formats the guest's offset, but in qcow2 with LUKS the offset in the file that holds the
   * cluster. Many sectors in one call are faster. [any]
   */
  int (*encrypt)(void* context, instar_call* call, uint64_t offset, void* data, size_t len);
  int (*decrypt)(void* context, instar_call* call, uint64_t offset, void* data, size_t len);
  /** Wipes the keys and frees. [main] */
  void (*close)(void* context);
} instar_encryption_ops;

INSTAR_PIN_SIZE(instar_encryption_ops, 80);
INSTAR_PIN_OFFSET(instar_encryption_ops, encrypt, 56);

#ifdef __cplusplus
}
#endif
#endif
