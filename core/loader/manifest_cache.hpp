// SPDX-License-Identifier: Apache-2.0
/**
 * @file manifest_cache.hpp
 * The manifests of a plugin folder in one file, FOLDER/manifests.cache, as they were when it was
 * written. It only saves time: what it says of a manifest counts as long as that file has the same
 * size and modification time, and any other manifest is read from its own file.
 *
 * Layout: "instarMC", the number of the layout, the count of entries, and for each entry the file's
 * name, size, modification time and the Manifest, in this machine's own byte order. A cache of
 * another layout or machine, and one that is damaged, counts as none.
 */
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/fd.hpp"
#include "core/base/result.hpp"
#include "core/loader/manifest.hpp"

namespace instar::loader {

inline constexpr const char* kManifestCacheName = "manifests.cache";

class ManifestCache {
 public:
  /** Empty when the folder has no cache, or none that can be used. For root one that others can
   * write is none. */
  explicit ManifestCache(const std::string& folder);

  /** The manifest in the file FOLDER/`name`; nothing when the cache doesn't know that file as it is
   * now. The manifest keeps what it needs of the cache. */
  std::optional<Manifest> find(const std::string& name) const;

 private:
  std::string folder_;
  base::Fd fd_;
  std::shared_ptr<const std::string> bytes_;
  /** File name and the entry's rest, sorted as they were written: what is not is not found. */
  std::vector<std::pair<std::string_view, std::string_view>> entries_;
};

/**
 * Writes the cache of all manifests in `folder` that can be used, under another name first, so that
 * no reader ever sees half of it. Returns their number. Errors name the file.
 */
Result<size_t> write_manifest_cache(const std::string& folder);

}  // namespace instar::loader
