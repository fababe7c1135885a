/* SPDX-License-Identifier: Apache-2.0 */
/** @file format.h Kind "format": an image format over a file (and perhaps further children). */
#ifndef INSTAR_ABI_FORMAT_H
#define INSTAR_ABI_FORMAT_H

#include "host.h"
#include "open.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Table of a format. open is required. */
typedef struct instar_format_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /**
   * How sure the driver is that `head` (the first bytes of a file, usually 512) is its format: 0 to
   * 100. Only called when the manifest says "code": true; otherwise the manifest's magic decides.
   * [any]
   */
  int (*probe)(const instar_host* host, const uint8_t* head, size_t head_len, const char* filename);
  /** Opens an image. On success *out is the node. [main] */
  int (*open)(const instar_host* host, instar_call* call, const instar_open_args* args,
              instar_node* out);
  /** Writes a new, empty image. [main] */
  int (*create)(const instar_host* host, instar_call* call, const instar_create_args* args);
  /** An optional interface of the format itself ("instar.measure/1"), or NULL. [any] */
  const void* (*get_interface)(const char* id);
} instar_format_ops;

INSTAR_PIN_SIZE(instar_format_ops, 40);
INSTAR_PIN_OFFSET(instar_format_ops, open, 16);

#ifdef __cplusplus
}
#endif
#endif
