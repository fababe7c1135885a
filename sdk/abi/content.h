/* SPDX-License-Identifier: Apache-2.0 */
/** @file content.h What images read as, handed on in order. */
#ifndef INSTAR_ABI_CONTENT_H
#define INSTAR_ABI_CONTENT_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Receives content from its beginning to its end, without gaps. One call at a time, but not always from
 * the same thread. A negative errno ends the work with that error.
 */
typedef struct instar_content {
  void* opaque;
  /** @param bytes valid during the call; NULL where only the lengths were asked for. */
  int (*data)(void* opaque, const void* bytes, size_t len);
  /** A run that reads as zeroes. */
  int (*zeroes)(void* opaque, uint64_t len);
} instar_content;

INSTAR_PIN_SIZE(instar_content, 24);

#ifdef __cplusplus
}
#endif
#endif
