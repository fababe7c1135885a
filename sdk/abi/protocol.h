/* SPDX-License-Identifier: Apache-2.0 */
/** @file protocol.h Kind "protocol": where bytes lie. It has no "file" child. */
#ifndef INSTAR_ABI_PROTOCOL_H
#define INSTAR_ABI_PROTOCOL_H

#include "host.h"
#include "open.h"

#ifdef __cplusplus
extern "C" {
#endif

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
} instar_protocol_ops;

INSTAR_PIN_SIZE(instar_protocol_ops, 56);
INSTAR_PIN_OFFSET(instar_protocol_ops, open, 16);

#ifdef __cplusplus
}
#endif
#endif
