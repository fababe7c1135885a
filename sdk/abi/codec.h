/* SPDX-License-Identifier: Apache-2.0 */
/** @file codec.h Kind "codec": block compression, used by formats through the host
 * ("instar.registry/1"). */
#ifndef INSTAR_ABI_CODEC_H
#define INSTAR_ABI_CODEC_H

#include "host.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What stands around the compressed bytes. A codec takes those that make sense for it. */
enum instar_codec_framing {
  INSTAR_FRAMING_DEFAULT = 0, /**< the codec's own: zlib stream, zstd frame, lz4 block */
  INSTAR_FRAMING_RAW = 1,     /**< raw deflate (RFC 1951) */
  INSTAR_FRAMING_ZLIB = 2,    /**< RFC 1950 */
  INSTAR_FRAMING_GZIP = 3     /**< RFC 1952 */
};

/** How a context works; constant through its life. */
typedef struct instar_codec_params {
  uint32_t struct_size;
  uint32_t framing; /**< enum instar_codec_framing */
  int32_t level; /**< 0 = the codec's default, the best speed at a fair size; else the codec's own
                    scale */
  uint32_t window_bits; /**< largest distance as log2 of bytes; 0 = the codec's default */
  uint64_t max_output;  /**< decompress: a frame that declares or produces more is refused; 0 =
                           out_len decides */
} instar_codec_params;

INSTAR_PIN_SIZE(instar_codec_params, 24);

/**
 * Table of a codec. A context is used by one thread at a time; callers keep one per worker and
 * reuse it.
 */
typedef struct instar_codec_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /** A context for compressing and decompressing, freed by close. [any] */
  int (*open)(const instar_host* host, instar_call* call, const instar_codec_params* params,
              void** context);
  void (*close)(void* context);
  /**
   * Compresses one block. Returns the compressed length, or -ENOSPC (without a message) when it
   * does not fit into out_len. [any, one call per context]
   */
  int64_t (*compress)(void* context, instar_call* call, const void* in, size_t in_len, void* out,
                      size_t out_len);
  /**
   * Decompresses one block from the beginning of `in`; bytes behind the end of the stream are
   * ignored. Stops when `out` is full. Returns the bytes written, or -EIO for bad input. [any, one
   * call per context]
   */
  int64_t (*decompress)(void* context, instar_call* call, const void* in, size_t in_len, void* out,
                        size_t out_len);
  /** Upper bound of compress' output for in_len bytes. [any] */
  size_t (*bound)(size_t in_len);
} instar_codec_ops;

INSTAR_PIN_SIZE(instar_codec_ops, 48);
INSTAR_PIN_OFFSET(instar_codec_ops, compress, 24);

#ifdef __cplusplus
}
#endif
#endif
