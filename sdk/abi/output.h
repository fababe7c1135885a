/* SPDX-License-Identifier: Apache-2.0 */
/** @file output.h Service "instar.output/1" of the host: what a user reads. */
#ifndef INSTAR_ABI_OUTPUT_H
#define INSTAR_ABI_OUTPUT_H

#include "graph.h"
#include "host.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_OUTPUT_ID "instar.output/1"

enum instar_output_style { INSTAR_OUTPUT_HUMAN = 0, INSTAR_OUTPUT_JSON = 1 };

enum instar_progress_style {
  INSTAR_PROGRESS_NONE = 0, /**< only SIGUSR1 prints a line, on stderr */
  INSTAR_PROGRESS_QEMU =
      1, /**< "    (12.34/100%)\r" on stdout; a bar on a terminal when not strict */
  INSTAR_PROGRESS_JSON = 2,      /**< a line of JSON per step on stderr */
  INSTAR_PROGRESS_STEPS = 1 << 8 /**< added to one of these: what is reported is not bytes */
};

enum instar_output_mode {
  INSTAR_OUTPUT_JSON_MESSAGES = 1u
                                << 0,  /**< errors and warnings are printed as JSON, a line each */
  INSTAR_OUTPUT_STDOUT_TAKEN = 1u << 1 /**< by a document or an image: progress goes to stderr */
};

typedef struct instar_progress_handle instar_progress_handle;

typedef struct instar_output_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /** Bytes to stdout. [main] */
  int (*print)(const instar_host* host, const char* text, size_t len);
  /** "qemu-img: TEXT" and hint lines to stderr. [any] */
  void (*error)(const instar_host* host, const char* text, size_t len, const char* hint,
                size_t hint_len);
  /** "qemu-img: warning: TEXT" to stderr. [any] */
  void (*warn)(const instar_host* host, const char* text, size_t len);
  /**
   * A document to stdout in the style asked for. Kinds: "image-info" (object or array), "check",
   * "check-chain", "measure", "snapshots", "dry-run", "plugins", "plugin", "plugin-verify"; any other kind
   * is printed as JSON. [main]
   */
  int (*document)(const instar_host* host, instar_call* call, const char* kind, const char* json,
                  size_t len, uint32_t style);
  /** Streaming printer of map: begin, rows, end. [main] */
  int (*map_begin)(const instar_host* host, uint32_t style);
  int (*map_rows)(const instar_host* host, instar_call* call, const instar_map_extent* extents,
                  size_t count);
  int (*map_end)(const instar_host* host);
  /** @param min_step percent between two lines (QEMU: 1 or 2). Nothing is shown before the first
   * report. Freed by progress_close, which ends the line. [main] */
  instar_progress_handle* (*progress_open)(const instar_host* host, uint32_t style,
                                           double min_step);
  instar_progress (*progress)(instar_progress_handle* handle);
  void (*progress_close)(instar_progress_handle* handle);
  /** From now on. @param mode enum instar_output_mode. [main] */
  void (*set_mode)(const instar_host* host, uint32_t mode);
  /** 1: called as qemu-img; nothing may be added to that tool's texts. [any] */
  int (*strict)(const instar_host* host);
} instar_output_ops;

INSTAR_PIN_SIZE(instar_output_ops, 104);

#ifdef __cplusplus
}
#endif
#endif
