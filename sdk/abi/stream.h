/* SPDX-License-Identifier: Apache-2.0 */
/** @file stream.h Optional interface "instar.stream/1" of a format: a new image as a sequence of bytes,
 * for a pipe. */
#ifndef INSTAR_ABI_STREAM_H
#define INSTAR_ABI_STREAM_H

#include "content.h"
#include "host.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_STREAM_ID "instar.stream/1"

/** What the new image is to read as. Valid during the call. */
typedef struct instar_stream_source {
  uint32_t struct_size;
  uint32_t reserved;
  void* opaque;
  uint64_t size; /**< bytes, whole sectors of 512 */
  /** Tells where there is data, without reading it (its bytes are NULL). As often as it is needed. */
  int (*survey)(void* opaque, instar_call* call, const instar_content* each);
  /** Hands over the content, as often as it is needed. Runs are those of survey, unless somebody writes
   * to the source. */
  int (*read)(void* opaque, instar_call* call, const instar_content* each);
} instar_stream_source;

INSTAR_PIN_SIZE(instar_stream_source, 40);

typedef struct instar_stream_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /** Writes the whole image from its first byte to its last. @param options creation options, and
   * "compress" if it shall be packed (a manifest's flag "compress-stream" allows that). [main] */
  int (*write)(const instar_host* host, instar_call* call, const instar_options* options,
               const instar_stream_source* source, const instar_content* out);
} instar_stream_ops;

INSTAR_PIN_SIZE(instar_stream_ops, 16);

#ifdef __cplusplus
}
#endif
#endif
