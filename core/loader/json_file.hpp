// SPDX-License-Identifier: Apache-2.0
/** @file json_file.hpp The JSON files that plugins and administrators lay into folders: manifests and
 * overlays. As root only those are read that nobody but root can write (trust.hpp). */
#pragma once

#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/loader/manifest.hpp"

namespace instar::loader {

/** Paths of the folder's files that end in ".json", sorted; nothing when there is no such folder.
 * The error, of a folder that can't be read or that others can write, names it. */
Result<std::vector<std::string>> json_files(const std::string& folder);

/** The text of a file in a folder that json_files has checked, of kMaxManifestSize bytes at most. */
Result<std::string> read_json(const std::string& path);

/** The same for a manifest. */
Result<Manifest> read_manifest(const std::string& path);

}  // namespace instar::loader
