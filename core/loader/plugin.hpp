// SPDX-License-Identifier: Apache-2.0
/**
 * @file plugin.hpp
 * A plugin: its manifest, and its library, which is loaded when something of it is used first and
 * then stays for the life of the process.
 */
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/loader/manifest.hpp"
#include "core/loader/search.hpp"
#include "sdk/abi/host.h"
#include "sdk/abi/plugin.h"

namespace instar::loader {

/** A table as this host knows it: what the maker's struct_size does not cover is NULL. */
template <class Ops>
Ops clamp_table(const void* table) {
  Ops own{};
  uint32_t size = 0;
  std::memcpy(&size, table, sizeof size);
  std::memcpy(&own, table, size < sizeof own ? size : sizeof own);
  own.struct_size = sizeof own;
  return own;
}

/** The tables of one provided thing. */
struct Table {
  const void* own = nullptr;            ///< the plugin's
  std::shared_ptr<const void> clamped;  ///< the host's copy; what everyone calls
};

/** Thread-safe. Its library is never unloaded; the tables live as long as the object. */
class Plugin {
 public:
  Plugin(Manifest manifest, Tier tier);
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;

  const Manifest& manifest() const { return manifest_; }
  Tier tier() const { return tier_; }

  /**
   * Checks and loads the library, runs its entry with `host`, and compares what it says with the
   * manifest; from the second call on the first one's result. The error is one line with the path
   * and what to do as the hint.
   */
  Status load(const instar_host* host);
  /** Of the provided thing of that index in the manifest; only after load() succeeded. */
  const Table& table(size_t provide) const { return tables_[provide]; }
  /** The thing's index whose table (the plugin's or the host's copy) this is, or -1: not one of this
   * plugin's, or it is not loaded. */
  int index_of(const void* table) const;
  /** INSTAR_ABI_MINOR of the SDK that it was built with; only after load() succeeded. */
  uint32_t abi_minor() const { return abi_minor_; }

 private:
  enum class State { kNew, kLoading, kDone };
  Status load_now(const instar_host* host);
  Status take_tables(const instar_plugin& descriptor);

  Manifest manifest_;
  Tier tier_;
  mutable std::recursive_mutex mutex_;
  State state_ = State::kNew;
  Status result_;
  std::vector<Table> tables_;
  uint32_t abi_minor_ = 0;
};

}  // namespace instar::loader
