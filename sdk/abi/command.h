/* SPDX-License-Identifier: Apache-2.0 */
/** @file command.h Kind "command": a subcommand. It works through the host's services only. */
#ifndef INSTAR_ABI_COMMAND_H
#define INSTAR_ABI_COMMAND_H

#include "host.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum instar_command_flags {
  INSTAR_COMMAND_STRICT =
      1u << 0 /**< called as qemu-img: behave to the letter, offer nothing of our own */
};

/** Arguments of a run; argv[0] is the program as typed, argv[1] the command's name. */
typedef struct instar_command_args {
  uint32_t struct_size;
  uint32_t flags; /**< enum instar_command_flags */
  int32_t argc;
  int32_t reserved;
  const char* const* argv;
} instar_command_args;

INSTAR_PIN_SIZE(instar_command_args, 24);

/** Table of a command. */
typedef struct instar_command_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /** Runs; the result is the process' exit status, 0 to 255. Errors are printed by the command
   * itself. [main] */
  int (*run)(const instar_host* host, instar_call* call, const instar_command_args* args);
} instar_command_ops;

INSTAR_PIN_SIZE(instar_command_ops, 16);

#ifdef __cplusplus
}
#endif
#endif
