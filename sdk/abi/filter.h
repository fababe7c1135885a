/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file filter.h
 * Kind "filter": a node above another node (usually its "file" child), such as throttle. Nothing
 * passes through by accident: what the filter's node does not implement is absent above it, and the
 * host emulates it by reading and writing through it.
 * A filter whose manifest has schemes ("blkdebug:CONFIG:FILE") stands where a protocol would, below
 * a format; it opens all of its children itself.
 */
#ifndef INSTAR_ABI_FILTER_H
#define INSTAR_ABI_FILTER_H

#include "host.h"
#include "open.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Table of a node filter. */
typedef struct instar_filter_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /** Opens over its children, which it asks the opener for. [main] */
  int (*open)(const instar_host* host, instar_call* call, const instar_open_args* args,
              instar_node* out);
  /** As instar_protocol_ops::parse_filename; required of a filter with schemes, else NULL. The name
   * has no scheme where the user chose the driver by an option. [any] */
  int (*parse_filename)(const instar_host* host, instar_call* call, const char* filename,
                        const instar_sink* json);
} instar_filter_ops;

INSTAR_PIN_SIZE(instar_filter_ops, 24);

#ifdef __cplusplus
}
#endif
#endif
