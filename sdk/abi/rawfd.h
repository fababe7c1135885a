/* SPDX-License-Identifier: Apache-2.0 */
/** @file rawfd.h Optional interface "instar.rawfd/1" of a node: its bytes are those of a file
 * descriptor. */
#ifndef INSTAR_ABI_RAWFD_H
#define INSTAR_ABI_RAWFD_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_RAWFD_ID "instar.rawfd/1"

/** For copy_file_range, reflink, O_DIRECT and io_uring by the engine. */
typedef struct instar_rawfd {
  uint32_t struct_size;
  int32_t fd;            /**< owned by the node; positioned I/O only */
  uint64_t base;         /**< byte 0 of the node is this byte of the file */
  uint32_t direct;       /**< 1: opened with O_DIRECT; the limits' alignments hold */
  uint32_t block_device; /**< 1: a block device */
} instar_rawfd;

INSTAR_PIN_SIZE(instar_rawfd, 24);

typedef struct instar_rawfd_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /** [any] */
  int (*get)(void* self, instar_call* call, instar_rawfd* out);
} instar_rawfd_ops;

INSTAR_PIN_SIZE(instar_rawfd_ops, 16);

#ifdef __cplusplus
}
#endif
#endif
