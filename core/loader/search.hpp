// SPDX-License-Identifier: Apache-2.0
/** @file search.hpp Where plugins are looked for, and what the administrator's overlays say. */
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/loader/manifest.hpp"

namespace instar::loader {

/** From low to high. */
enum class Tier { kSystem, kLocal, kEnvironment, kArgument };

/** "system", "local", "environment", "argument". */
const char* tier_name(Tier tier);

struct SearchPath {
  std::string system_folder;              ///< also the place of ../catalogue.json
  std::string local_folder;               ///< empty: none
  std::vector<std::string> environment;   ///< folders of $INSTAR_PLUGIN_PATH
  std::vector<std::string> plugin_files;  ///< --plugin: a library or its manifest
  std::string overlay_folder;             ///< empty: none
};

/**
 * The search path of this process. The system folder is found from where the core library (or,
 * where it is linked in, the program) lies. With raised privileges (AT_SECURE) the environment and
 * `plugin_files` are ignored.
 */
SearchPath standard_search_path(std::vector<std::string> plugin_files = {});

/** A manifest that lies on the search path. */
struct FoundManifest {
  std::string path;
  Tier tier{};
  /** Or why it is not used: it can't be read, others can write it, or what is wrong in it. */
  Result<Manifest> manifest;
};

/**
 * All manifests, from the lowest tier to the highest, within a folder sorted by name. Folders that
 * do not exist are passed over; one that others can write appears as an entry of its own with the
 * reason, and nothing in it is used.
 */
std::vector<FoundManifest> find_manifests(const SearchPath& path);

/** What /etc/instar/plugins.d/NAME.json says: an object {"plugin": NAME, "disabled": true, "rank":
 * N} or an array of those. */
struct Overlay {
  std::string path;    ///< of the overlay
  std::string plugin;  ///< a plugin's name, or the path of its library or manifest
  bool disabled = false;
  std::optional<int> rank;
};

/** The overlays in the order of their file names; bad ones go to `problems`, a line each. */
std::vector<Overlay> read_overlays(const SearchPath& path, std::vector<std::string>& problems);

}  // namespace instar::loader
