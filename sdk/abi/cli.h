/* SPDX-License-Identifier: Apache-2.0 */
/** @file cli.h Service "instar.options/1" of the host: command lines, sizes and key=value text, as
 * QEMU reads them. */
#ifndef INSTAR_ABI_CLI_H
#define INSTAR_ABI_CLI_H

#include "host.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_CLI_ID "instar.options/1"

/** One option of a command line. An id may stand in several rows for several spellings. */
typedef struct instar_arg_spec {
  int32_t id;          /**< the command's own, > 0 */
  char letter;         /**< 0: none */
  uint8_t takes_value; /**< 1: needs a value; 2: may have one behind a '=' in its long spelling */
  uint8_t secondary;   /**< 1: its shortened forms give way to those of other options */
  uint8_t reserved;
  const char* name; /**< long spelling without dashes, or NULL */
} instar_arg_spec;

INSTAR_PIN_SIZE(instar_arg_spec, 16);

/** Called for each option in order with its value (or NULL), and for each operand with id 0. */
typedef int (*instar_arg_fn)(void* opaque, int32_t id, const char* value);

enum instar_size_error {
  INSTAR_SIZE_INVALID = -22,
  INSTAR_SIZE_RANGE = -34,
  INSTAR_SIZE_LARGE = -75 /**< below 2^64, not below 2^63 */
};

typedef struct instar_cli_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /**
   * Reads argv from argv[2] on, with abbreviations, glued values and operands anywhere. A wrong
   * line is reported on stderr as getopt does, with the line that points to --help, and gives
   * -EINVAL. A negative result of `each` ends the walk and is returned. [main]
   */
  int (*parse)(const instar_host* host, int argc, const char* const* argv,
               const instar_arg_spec* specs, size_t spec_count, void* opaque, instar_arg_fn each);
  /** A size with suffix ("1.5G"), in bytes; enum instar_size_error. [any] */
  int64_t (*parse_size)(const char* text);
  /** Prints bytes as QEMU does ("1.5 GiB"). [any] */
  int (*format_size)(uint64_t bytes, const instar_sink* text);
  /** Registers --object TYPE,k=v (or prints help: result 1). [main] */
  int (*add_object)(const instar_host* host, instar_call* call, const char* definition);
  /** A number without a suffix ("12", "0x1f", "017"); enum instar_size_error. [any] */
  int64_t (*parse_number)(const char* text);
} instar_cli_ops;

INSTAR_PIN_SIZE(instar_cli_ops, 48);

#ifdef __cplusplus
}
#endif
#endif
