/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file node.h
 * The block contract: an open image, file or filter as a synchronous table of functions.
 *
 * The host stands between every two nodes. It splits, aligns and bounces, so that a driver sees
 * only requests that its own limits allow, and it emulates what a driver leaves out. A node that a
 * driver was given (a child) is such a host-made node and takes any request inside its size.
 */
#ifndef INSTAR_ABI_NODE_H
#define INSTAR_ABI_NODE_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Properties of a node, constant after open except `size`. */
enum instar_node_flags {
  INSTAR_NODE_READ_ONLY = 1u << 0,       /**< writes are refused */
  INSTAR_NODE_ZERO_INIT = 1u << 1,       /**< freshly created or grown space reads as zeroes */
  INSTAR_NODE_SPARSE_ZERO = 1u << 2,     /**< write_zeroes with MAY_UNMAP frees space */
  INSTAR_NODE_COMPRESSED_MUST = 1u << 3, /**< takes only compressed, sequential writes */
  INSTAR_NODE_FILTER = 1u << 4,          /**< content is that of child 0 at the same offset */
  INSTAR_NODE_REMOTE = 1u << 5 /**< requests wait for others, not for the processor: many at once */
};

/** What a node can do and the requests it wants. Byte counts; 0 means: no wish, no limit. */
typedef struct instar_node_limits {
  uint32_t struct_size;
  uint32_t flags;             /**< enum instar_node_flags */
  uint32_t request_alignment; /**< power of two; offset and length of read and write are multiples
                                 (0 = 1) */
  uint32_t memory_alignment;  /**< power of two; of buffers */
  uint32_t write_zeroes_alignment; /**< multiples below this are emulated by write */
  uint32_t discard_alignment;
  uint32_t optimal_transfer;
  uint32_t max_transfer;
  uint64_t max_write_zeroes;
  uint64_t max_discard;
  uint32_t cluster_size; /**< allocation unit, as info prints it; 0 = none */
  uint8_t can_write;     /**< enum instar_ability, this and the following */
  uint8_t can_write_zeroes;
  uint8_t can_discard;
  uint8_t can_flush;
  uint8_t can_extents; /**< none: never asked, as all is data (a filter: as its child has it) */
  uint8_t reserved[7];
} instar_node_limits;

INSTAR_PIN_SIZE(instar_node_limits, 64);
INSTAR_PIN_OFFSET(instar_node_limits, cluster_size, 48);

/** Block status of a range. */
enum instar_extent_flags {
  INSTAR_EXTENT_DATA = 1u << 0,      /**< has bytes that must be read */
  INSTAR_EXTENT_ZERO = 1u << 1,      /**< reads as zeroes */
  INSTAR_EXTENT_ALLOCATED = 1u << 2, /**< this node decides the content, not its backing file */
  INSTAR_EXTENT_OFFSET =
      1u << 3, /**< child and child_offset tell where the bytes lie plainly; in a protocol: here */
  INSTAR_EXTENT_COMPRESSED = 1u << 4,
  INSTAR_EXTENT_ENCRYPTED = 1u << 5,
  INSTAR_EXTENT_RECURSE =
      1u << 6 /**< the child at child_offset may know holes that this node does not; without DATA
                 and ZERO: its status is this node's (a filter) */
};

/** A run of equal status. Never of length 0. */
typedef struct instar_extent {
  uint64_t length;       /**< bytes */
  uint64_t child_offset; /**< in the child (zeroes past its end); with INSTAR_EXTENT_OFFSET */
  uint32_t flags;        /**< enum instar_extent_flags */
  uint32_t child;        /**< id that instar_opener::open_child gave */
} instar_extent;

INSTAR_PIN_SIZE(instar_extent, 24);

enum instar_write_flags {
  INSTAR_WRITE_FUA = 1u << 0,        /**< on stable storage before it returns */
  INSTAR_WRITE_MAY_UNMAP = 1u << 1,  /**< write_zeroes: space may be freed */
  INSTAR_WRITE_NO_FALLBACK = 1u << 2 /**< write_zeroes: -ENOTSUP instead of writing plain zeroes */
};

typedef struct instar_node_ops instar_node_ops;

/** An open node: a table and its first argument. Owned by its maker until the host calls close. */
typedef struct instar_node {
  const instar_node_ops* ops;
  void* self;
} instar_node;

INSTAR_PIN_SIZE(instar_node, 16);

/**
 * The base of every node. close, size, limits and read are required, the rest may be NULL.
 * Offsets and lengths are bytes. A request lies inside the size that the node reported, rounded up
 * to request_alignment; bytes beyond the size read as zeroes.
 */
struct instar_node_ops {
  uint32_t struct_size;
  uint32_t thread_model; /**< enum instar_thread_model */
  /** Writes back what is cached and frees the node, also when it fails. No call is under way.
   * [node] */
  int (*close)(void* self, instar_call* call);
  /** Size in bytes, or a negative errno. [any] */
  int64_t (*size)(void* self, instar_call* call);
  /** Fills in *limits (whose struct_size the caller set). [any] */
  int (*limits)(void* self, instar_call* call, instar_node_limits* limits);
  /** Reads exactly the sum of the pieces. [node] */
  int (*read)(void* self, instar_call* call, uint64_t offset, const instar_iovec* iov,
              size_t iov_count);
  /** Writes exactly the sum of the pieces; flags: FUA. [node] */
  int (*write)(void* self, instar_call* call, uint64_t offset, const instar_iovec* iov,
               size_t iov_count, uint32_t flags);
  /** Makes a range read as zeroes. [node] */
  int (*write_zeroes)(void* self, instar_call* call, uint64_t offset, uint64_t length,
                      uint32_t flags);
  /** Gives the range's space back; what it reads as afterwards is open. [node] */
  int (*discard)(void* self, instar_call* call, uint64_t offset, uint64_t length);
  /** All completed writes reach stable storage. [node] */
  int (*flush)(void* self, instar_call* call);
  /**
   * Block status from `offset` on: fills up to `max` extents that lie one behind another and begin
   * at `offset`, and do not go beyond offset + length. Returns their number, at least 1, or a
   * negative errno. Without this slot all of the node is data. [node]
   */
  int64_t (*extents)(void* self, instar_call* call, uint64_t offset, uint64_t length,
                     instar_extent* out, size_t max);
  /**
   * An optional interface of the node, by id, or NULL. Its functions take *interface_self as their
   * `self`; it lives as long as the node. [any]
   */
  const void* (*get_interface)(void* self, const char* id, void** interface_self);
};

INSTAR_PIN_SIZE(instar_node_ops, 88);
INSTAR_PIN_OFFSET(instar_node_ops, read, 32);
INSTAR_PIN_OFFSET(instar_node_ops, extents, 72);
INSTAR_PIN_OFFSET(instar_node_ops, get_interface, 80);

#ifdef __cplusplus
}
#endif
#endif
