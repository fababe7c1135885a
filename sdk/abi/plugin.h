/* SPDX-License-Identifier: Apache-2.0 */
/** @file plugin.h What a plugin exports: one symbol, and the list of what it provides. */
#ifndef INSTAR_ABI_PLUGIN_H
#define INSTAR_ABI_PLUGIN_H

#include "host.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a provided thing is; selects the type of instar_provide::ops. */
enum instar_kind {
  INSTAR_KIND_FORMAT = 1,     /**< instar_format_ops, format.h */
  INSTAR_KIND_PROTOCOL = 2,   /**< instar_protocol_ops, protocol.h */
  INSTAR_KIND_CODEC = 3,      /**< instar_codec_ops, codec.h (a filter: compression) */
  INSTAR_KIND_ENCRYPTION = 4, /**< instar_encryption_ops, encryption.h (a filter: ciphers) */
  INSTAR_KIND_FILTER = 5,     /**< instar_filter_ops, filter.h (a filter: a node above another) */
  INSTAR_KIND_COMMAND = 6,    /**< instar_command_ops, command.h */
  INSTAR_KIND_DIGEST = 7      /**< instar_digest_ops, digest.h (a filter: hashes) */
};

/** One provided thing. Everything it points to lives as long as the process. */
typedef struct instar_provide {
  uint32_t kind; /**< enum instar_kind */
  uint32_t reserved;
  const char* name; /**< as in the manifest */
  const void* ops;
} instar_provide;

INSTAR_PIN_SIZE(instar_provide, 24);

/** Filled in by the entry function. The host refuses it when it disagrees with the manifest. */
typedef struct instar_plugin {
  uint32_t struct_size; /**< in: the size the host knows; out: the size the plugin filled in */
  uint32_t abi_minor;   /**< the INSTAR_ABI_MINOR that the plugin was compiled with */
  const char* name;
  const char* version;
  const instar_provide* provides;
  size_t provides_count;
} instar_plugin;

INSTAR_PIN_SIZE(instar_plugin, 40);
INSTAR_PIN_OFFSET(instar_plugin, provides, 24);

/** Type of the one exported symbol. 0, or a negative errno when the plugin cannot work here.
 * [main], called once. */
typedef int (*instar_plugin_entry_fn)(const instar_host* host, instar_plugin* plugin);

#define INSTAR_PLUGIN_ENTRY_SYMBOL "instar_plugin_entry_v1"

#ifdef __cplusplus
}
#endif
#endif
