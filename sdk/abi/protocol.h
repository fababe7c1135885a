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
} instar_protocol_ops;

INSTAR_PIN_SIZE(instar_protocol_ops, 40);
INSTAR_PIN_OFFSET(instar_protocol_ops, open, 16);

#ifdef __cplusplus
}
#endif
#endif
