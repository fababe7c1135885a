// SPDX-License-Identifier: Apache-2.0
#include "core/loader/search.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "core/base/fd.hpp"
#include "core/base/file.hpp"
#include "core/base/strings.hpp"
#include "core/loader/manifest.hpp"
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

/** Paths of the folder's files that end in ".json", sorted; nothing when there is no such folder.
 */
Result<std::vector<std::string>> json_files(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code ec;
  fs::directory_iterator entries(folder, ec);
  if (ec == std::errc::no_such_file_or_directory) return files;
  if (!ec) INSTAR_CHECK(check_trust(folder));
  for (; !ec && entries != fs::directory_iterator(); entries.increment(ec))
    if (entries->path().extension() == ".json") files.push_back(entries->path().string());
  if (ec) return fail(ec.value(), "plugin folder '", folder, "': ", ec.message());
  std::sort(files.begin(), files.end());
  return files;
}

/** A file in a folder that json_files has checked. Start-up time is made of these calls: few. */
Result<std::string> read_json(const std::string& path) {
  base::Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd && errno == ELOOP) {
    INSTAR_CHECK(check_trust(path));
    return base::read_file(path, kMaxManifestSize);
  }
  struct stat file {};
  if (!fd || fstat(fd.get(), &file) != 0)
    return fail(errno, "Could not open '", path, "': ", errno_text(errno));
  INSTAR_CHECK(check_trust_within(path, file));
  if (!S_ISREG(file.st_mode) || static_cast<uint64_t>(file.st_size) > kMaxManifestSize)
    return fail(EINVAL, "'", path, "' is no manifest: it is too large, or not a file");
  std::string text(static_cast<size_t>(file.st_size), '\0');
  const ssize_t n = read(fd.get(), text.data(), text.size());
  if (n < 0) return fail(errno, "Could not read '", path, "': ", errno_text(errno));
  text.resize(static_cast<size_t>(n));
  return text;
}

void find_in_folder(const std::string& folder, Tier tier, std::vector<FoundManifest>& found) {
  if (folder.empty()) return;
  auto files = json_files(folder);
  if (!files) {
    found.push_back({folder, tier, std::move(files).error()});
    return;
  }
  for (auto& file : *files) {
    auto text = read_json(file);
    found.push_back({std::move(file), tier, std::move(text)});
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
  for (const auto folder : base::split(folders != nullptr ? folders : "", ':'))
    if (!folder.empty()) path.environment.emplace_back(folder);
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
    auto text = trusted ? base::read_file(manifest, kMaxManifestSize) : trusted.error();
    found.push_back({std::move(manifest), Tier::kArgument, std::move(text)});
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
