// SPDX-License-Identifier: Apache-2.0
// The least that the installed headers and build files must carry: a plugin of the bare ABI.
#include <instar/abi/plugin.h>

#include <string>

// With default visibility in spite of the build's flags: the version script must still hide it.
[[gnu::visibility("default")]] std::string leaked() {
  return "must not be exported";
}

extern "C" INSTAR_EXPORT int instar_plugin_entry_v1(const instar_host* host,
                                                    instar_plugin* plugin) {
  if (host == nullptr || plugin == nullptr) return -22;
  plugin->abi_minor = INSTAR_ABI_MINOR;
  plugin->name = "minimal";
  plugin->version = "1";
  plugin->provides = nullptr;
  plugin->provides_count = 0;
  return leaked().empty() ? -1 : 0;
}
