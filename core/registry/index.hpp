// SPDX-License-Identifier: Apache-2.0
/** @file index.hpp The registry's insides: what was found, and which implementation stands for a
 * name. Built once, then only read. */
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/registry/registry.hpp"
#include "sdk/abi/registry.h"

namespace instar::registry {

/** The table that a plugin is given. Its `opaque` is the HostTable itself. */
struct HostTable {
  instar_host abi{};
  Index* index = nullptr;
  Entry* entry = nullptr;  ///< nullptr: the host itself
};

/** One manifest that was found, usable or not. */
struct Entry {
  std::string manifest_path;
  loader::Tier tier{};
  std::unique_ptr<loader::Plugin> plugin;  ///< nullptr: the manifest can't be read
  std::string problem;                     ///< not empty: refused, and why
  std::string disabled_by;                 ///< not empty: the overlay that says so
  std::vector<Provider*> providers;        ///< empty unless it is usable
  HostTable host;

  bool usable() const { return problem.empty() && disabled_by.empty(); }
  const std::string& library() const {
    return plugin != nullptr ? plugin->manifest().library : manifest_path;
  }
};

/** All implementations of one name. */
struct Slot {
  std::vector<Provider*> chain;     ///< from the one in use along `next`
  std::vector<Provider*> shadowed;  ///< they don't declare `replaces`, and another one came first
  std::atomic<bool> warned = false;
};

/** One row of catalogue.json: what exists, installed or not. */
struct CatalogueRow {
  std::string kind;
  std::string name;
  std::vector<std::string> aliases;
  std::vector<std::string> schemes;
  std::string package;

  bool has_name(std::string_view wanted) const;
};

/** Rows of lib/instar/catalogue.json; none when it can't be read. */
std::vector<CatalogueRow> read_catalogue(const std::string& path);

/** Kind and name. */
using Name = std::pair<uint32_t, std::string>;

struct Index {
  explicit Index(Registry* registry, Settings settings);

  /** Finds and reads the manifests, once. */
  void ensure() { std::call_once(once_, &Index::build, this); }
  /** nullptr: no such name. Warns of what it shadows, once. */
  Provider* find(uint32_t kind, std::string_view name);
  void warn_of_shadows(Slot& slot) const;
  Slot* slot(uint32_t kind, std::string_view name);
  const std::vector<CatalogueRow>& catalogue();

  static Entry& entry(const Provider& provider) { return *provider.entry_; }
  static size_t place(const Provider& provider) { return provider.index_; }
  static int rank(const Provider& provider) { return provider.rank_; }
  static const Provider* shadowed_by(const Provider& provider) { return provider.shadowed_by_; }

  /** An entry of the search path, or one outside of it (for verify). */
  std::unique_ptr<Entry> make_entry(loader::FoundManifest found);

  Settings settings;
  Registry* const registry;
  HostTable core_host;
  std::vector<std::unique_ptr<Entry>> entries;  ///< in search order
  std::vector<std::string> problems;            ///< of overlays
  std::map<Name, Slot> slots;
  std::map<Name, Slot*> aliases;
  std::map<std::string, Provider*, std::less<>> schemes;
  std::vector<Provider*> probed;  ///< formats and packings in use

  mutable std::shared_mutex services_mutex;
  std::map<std::string, const void*, std::less<>> services;

 private:
  void build();
  void apply_overlays();
  void add_providers(Entry& entry);
  void order(Slot& slot);
  void add_further_names();

  std::once_flag once_;
  std::deque<Provider> providers_;
  std::once_flag catalogue_once_;
  std::vector<CatalogueRow> catalogue_;
};

/** The table that plugins of `entry` get. */
void fill_host_table(HostTable& table, Index& index, Entry* entry);

/** The service "instar.registry/1". */
const void* registry_service();

/** The service "instar.manifest-cache/1". */
const void* manifest_cache_service();

}  // namespace instar::registry
