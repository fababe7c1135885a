// SPDX-License-Identifier: Apache-2.0
#include "core/loader/search.hpp"

#include <dlfcn.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "core/base/strings.hpp"
#include "core/loader/json_file.hpp"
#include "core/loader/manifest_cache.hpp"
#include "core/loader/trust.hpp"

namespace instar::loader {
namespace {

namespace fs = std::filesystem;

/** The folder lib/instar of the tree that this code runs from. */
fs::path library_folder() {
  std::error_code ec;
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&tier_name), &info) != 0 && info.dli_fname != nullptr) {
    const fs::path own = fs::canonical(info.dli_fname, ec);
    if (!ec && own.filename().string().find(".so") != std::string::npos) return own.parent_path();
  }
  const fs::path program = fs::canonical("/proc/self/exe", ec);
  return program.parent_path().parent_path() / "lib" / "instar";
}

void find_in_folder(const std::string& folder, Tier tier, std::vector<FoundManifest>& found) {
  if (folder.empty()) return;
  auto files = json_files(folder);
  if (!files) {
    found.push_back({folder, tier, std::move(files).error()});
    return;
  }
  if (files->empty()) return;
  const ManifestCache cache(folder);
  for (auto& path : *files) {
    auto cached = cache.find(path.substr(path.rfind('/') + 1));
    auto manifest = cached ? Result<Manifest>(*std::move(cached)) : read_manifest(path);
    found.push_back({std::move(path), tier, std::move(manifest)});
  }
}

/** --plugin names the library or the manifest. */
std::string manifest_of(const std::string& file) {
  fs::path path(file);
  if (path.extension() != ".json") path.replace_extension(".json");
  return path.string();
}

Status add_overlay(const boost::json::value& value, const std::string& path,
                   std::vector<Overlay>& overlays) {
  const auto* object = value.if_object();
  const auto* plugin = object != nullptr ? object->if_contains("plugin") : nullptr;
  if (plugin == nullptr || !plugin->is_string())
    return fail(EINVAL, "overlay '", path, "': lacks \"plugin\"");
  Overlay overlay;
  overlay.path = path;
  overlay.plugin.assign(plugin->get_string().data(), plugin->get_string().size());
  if (const auto* disabled = object->if_contains("disabled")) {
    if (!disabled->is_bool())
      return fail(EINVAL, "overlay '", path, "': \"disabled\" is not true or false");
    overlay.disabled = disabled->get_bool();
  }
  if (const auto* rank = object->if_contains("rank")) {
    if (!rank->is_int64() || rank->get_int64() != static_cast<int>(rank->get_int64()))
      return fail(EINVAL, "overlay '", path, "': \"rank\" is not a number");
    overlay.rank = static_cast<int>(rank->get_int64());
  }
  overlays.push_back(std::move(overlay));
  return {};
}

Status read_overlay(const std::string& path, std::vector<Overlay>& overlays) {
  INSTAR_TRY(const std::string text, read_json(path));
  boost::system::error_code ec;
  const auto value = boost::json::parse(text, ec);
  if (ec) return fail(EINVAL, "overlay '", path, "': ", ec.message());
  if (!value.is_array()) return add_overlay(value, path, overlays);
  for (const auto& entry : value.get_array())
    INSTAR_CHECK(add_overlay(entry, path, overlays));
  return {};
}

}  // namespace

const char* tier_name(Tier tier) {
  switch (tier) {
    case Tier::kSystem:
      return "system";
    case Tier::kLocal:
      return "local";
    case Tier::kEnvironment:
      return "environment";
    case Tier::kArgument:
      return "argument";
  }
  return "unknown";
}

SearchPath standard_search_path(std::vector<std::string> plugin_files) {
  SearchPath path;
  path.system_folder = library_folder() / "plugins";
  path.local_folder = "/usr/local/lib/instar/plugins";
  if (path.local_folder == path.system_folder) path.local_folder.clear();
  path.overlay_folder = "/etc/instar/plugins.d";
  if (has_raised_privileges()) return path;
  path.plugin_files = std::move(plugin_files);
  const char* folders = std::getenv("INSTAR_PLUGIN_PATH");
  for (auto folder : base::split(folders != nullptr ? folders : "", ':')) {
    while (folder.size() > 1 && folder.ends_with('/'))
      folder.remove_suffix(1);
    if (!folder.empty()) path.environment.emplace_back(folder);
  }
  return path;
}

std::vector<FoundManifest> find_manifests(const SearchPath& path) {
  std::vector<FoundManifest> found;
  find_in_folder(path.system_folder, Tier::kSystem, found);
  find_in_folder(path.local_folder, Tier::kLocal, found);
  for (const auto& folder : path.environment)
    find_in_folder(folder, Tier::kEnvironment, found);
  for (const auto& file : path.plugin_files) {
    auto manifest = manifest_of(file);
    const Status trusted = check_trust(manifest);
    auto read = trusted ? read_manifest(manifest) : trusted.error();
    found.push_back({std::move(manifest), Tier::kArgument, std::move(read)});
  }
  return found;
}

std::vector<Overlay> read_overlays(const SearchPath& path, std::vector<std::string>& problems) {
  std::vector<Overlay> overlays;
  if (path.overlay_folder.empty()) return overlays;
  const auto files = json_files(path.overlay_folder);
  if (!files) {
    problems.push_back(files.error().message);
    return overlays;
  }
  for (const auto& file : *files) {
    const Status status = read_overlay(file, overlays);
    if (!status) problems.push_back(status.error().message);
  }
  return overlays;
}

}  // namespace instar::loader
