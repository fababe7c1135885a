/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file filter.h
 * Kind "filter": a node above another node ("file" child), such as throttle. Nothing passes through
 * by accident: what the filter's node does not implement is absent above it, and the host emulates
 * it by reading and writing through it.
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
  /** Opens over the child "file", which it asks the opener for. [main] */
  int (*open)(const instar_host* host, instar_call* call, const instar_open_args* args,
              instar_node* out);
} instar_filter_ops;

INSTAR_PIN_SIZE(instar_filter_ops, 16);

#ifdef __cplusplus
}
#endif
#endif
