/* SPDX-License-Identifier: Apache-2.0 */
/** @file protocol.h Kind "protocol": where bytes lie. It has no "file" child. */
#ifndef INSTAR_ABI_PROTOCOL_H
#define INSTAR_ABI_PROTOCOL_H

#include "content.h"
#include "host.h"
#include "open.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a file is made of that is stored as a whole. Valid during the call. */
typedef struct instar_upload_source {
  uint32_t struct_size;
  uint32_t reserved;
  void* opaque;
  uint64_t size; /**< bytes of the content; a format adds its tables, or packs */
  /** Hands over all of the file, from its first byte to its last. Once. */
  int (*read)(void* opaque, instar_call* call, const instar_content* each);
} instar_upload_source;

INSTAR_PIN_SIZE(instar_upload_source, 32);

/** Table of a protocol. open is required. */
typedef struct instar_protocol_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /**
   * Turns a plain file name (scheme included) into options, as a flat JSON object of strings, into
   * the sink. NULL: the name without its scheme is the option "filename". [any]
   */
  int (*parse_filename)(const instar_host* host, instar_call* call, const char* filename,
                        const instar_sink* json);
  /** Opens. On success *out is the node. [main] */
  int (*open)(const instar_host* host, instar_call* call, const instar_open_args* args,
              instar_node* out);
  /**
   * Creates, or for a device checks, the file named in args->filename. Options: size, preallocation
   * and what the manifest declares. args->creator is NULL. [main]
   */
  int (*create)(const instar_host* host, instar_call* call, const instar_create_args* args);
  /** Removes a file that a failed create left. May be NULL. [main] */
  int (*remove)(const instar_host* host, instar_call* call, const char* filename);
  /**
   * Makes an empty file beside `filename`, into which a new image is written that gets that name when it
   * is whole. Its name goes into the sink. -ENOTSUP: the image is made in its place (a device, a link).
   * @param flags INSTAR_SETTLE_NO_REPLACE: -EEXIST when something has that name. May be NULL. [main]
   */
  int (*stage)(const instar_host* host, instar_call* call, const char* filename, uint32_t flags,
               const instar_sink* name);
  /** Gives a staged file its name. @param flags enum instar_settle_flags. There where stage is. [main] */
  int (*settle)(const instar_host* host, instar_call* call, const char* staged,
                const char* filename, uint32_t flags);
  /**
   * In the place of create, where files are only stored whole (objects): makes the file named in
   * args->filename of what the source hands over. Nobody sees it before all of it is stored; after an
   * error there is what was there before. args->creator is NULL. The manifest has the flag "upload".
   * May be NULL. [main]
   */
  int (*upload)(const instar_host* host, instar_call* call, const instar_create_args* args,
                const instar_upload_source* source);
} instar_protocol_ops;

INSTAR_PIN_SIZE(instar_protocol_ops, 64);
INSTAR_PIN_OFFSET(instar_protocol_ops, open, 16);

#ifdef __cplusplus
}
#endif
#endif
