// SPDX-License-Identifier: Apache-2.0
/**
 * @file plugin.hpp
 * The one macro that makes a shared library a plugin:
 *     INSTAR_PLUGIN("acme", "1.0.0", instar::sdk::format<Acme>("acme"))
 * Several things may be provided, separated by commas.
 */
#pragma once

#include <algorithm>

#include "../abi/plugin.h"
#include "codec.hpp"
#include "command.hpp"
#include "digest.hpp"
#include "driver.hpp"
#include "encryption.hpp"

namespace instar::sdk {

template <class T>
instar_provide format(const char* name) {
  return {INSTAR_KIND_FORMAT, 0, name, FormatTable<T>::ops()};
}
template <class T>
instar_provide protocol(const char* name) {
  return {INSTAR_KIND_PROTOCOL, 0, name, ProtocolTable<T>::ops()};
}
template <class T>
instar_provide filter(const char* name) {
  return {INSTAR_KIND_FILTER, 0, name, FilterTable<T>::ops()};
}
template <class T>
instar_provide codec(const char* name) {
  return {INSTAR_KIND_CODEC, 0, name, CodecTable<T>::ops()};
}
template <class T>
instar_provide encryption(const char* name) {
  return {INSTAR_KIND_ENCRYPTION, 0, name, EncryptionTable<T>::ops()};
}
template <class T>
instar_provide digest(const char* name) {
  return {INSTAR_KIND_DIGEST, 0, name, DigestTable<T>::ops()};
}
template <class T>
instar_provide command(const char* name) {
  return {INSTAR_KIND_COMMAND, 0, name, CommandTable<T>::ops()};
}

/** Fills in *plugin without going beyond the size that the host knows. */
inline int fill_plugin(instar_plugin* plugin, const char* name, const char* version,
                       const instar_provide* provides, size_t count) {
  const instar_plugin own{sizeof own, INSTAR_ABI_MINOR, name, version, provides, count};
  const uint32_t known = plugin->struct_size;
  std::memcpy(plugin, &own, std::min<size_t>(known, sizeof own));
  plugin->struct_size = static_cast<uint32_t>(std::min<size_t>(known, sizeof own));
  return 0;
}

}  // namespace instar::sdk

#define INSTAR_PLUGIN(name, version, ...)                                                          \
  extern "C" INSTAR_EXPORT int instar_plugin_entry_v1(const instar_host* host,                     \
                                                      instar_plugin* plugin);                      \
  extern "C" INSTAR_EXPORT int instar_plugin_entry_v1(const instar_host*, instar_plugin* plugin) { \
    static const instar_provide provides[] = {__VA_ARGS__};                                        \
    return instar::sdk::fill_plugin(plugin, name, version, provides,                               \
                                    sizeof provides / sizeof *provides);                           \
  }
