// SPDX-License-Identifier: Apache-2.0
// Why a name isn't there: its package isn't installed, or its plugin can't be used.
#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <filesystem>

#include "core/base/file.hpp"
#include "core/base/trace.hpp"
#include "core/registry/index.hpp"

namespace instar::registry {
namespace {

std::string text_of(const boost::json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) return {};
  return {value->get_string().data(), value->get_string().size()};
}

std::vector<std::string> texts_of(const boost::json::object& object, std::string_view key) {
  std::vector<std::string> out;
  const auto* value = object.if_contains(key);
  if (value == nullptr || !value->is_array()) return out;
  for (const auto& item : value->get_array())
    if (item.is_string()) out.emplace_back(item.get_string().data(), item.get_string().size());
  return out;
}

bool contains(const std::vector<std::string>& list, std::string_view wanted) {
  return std::find(list.begin(), list.end(), wanted) != list.end();
}

bool provides(const Entry& entry, uint32_t kind, std::string_view name) {
  if (entry.plugin == nullptr) {
    // The file's name is all that is known of it.
    const auto stem = std::filesystem::path(entry.manifest_path).stem().string();
    return stem == name || stem == cat(loader::kind_name(kind), "-", name);
  }
  const auto& list = entry.plugin->manifest().provides;
  return std::any_of(list.begin(), list.end(), [&](const auto& item) {
    return item.kind == kind && (item.name == name || contains(item.aliases, name));
  });
}

std::string in_package(std::string_view what, std::string_view name, const std::string& package) {
  if (package.empty()) return {};
  return cat("The ", what, " '", name, "' is in the package ", package, ".");
}

}  // namespace

bool CatalogueRow::has_name(std::string_view wanted) const {
  return name == wanted || contains(aliases, wanted);
}

std::vector<CatalogueRow> read_catalogue(const std::string& path) {
  const auto text = base::read_file(path, loader::kMaxManifestSize);
  if (!text) {
    base::trace(base::Event::kNote, text.error().message);
    return {};
  }
  boost::system::error_code ec;
  const auto value = boost::json::parse(*text, ec);
  if (ec || !value.is_array()) {
    base::trace(base::Event::kNote, "'", path, "' is not a catalogue");
    return {};
  }
  std::vector<CatalogueRow> rows;
  for (const auto& item : value.get_array()) {
    if (!item.is_object()) continue;
    const auto& row = item.get_object();
    rows.push_back({text_of(row, "kind"), text_of(row, "name"), texts_of(row, "aliases"),
                    texts_of(row, "schemes"), text_of(row, "package")});
  }
  return rows;
}

std::string Registry::package_hint(uint32_t kind, std::string_view name) {
  index_->ensure();
  for (const auto& entry : index_->entries) {
    if (entry->usable() || !provides(*entry, kind, name)) continue;
    if (!entry->problem.empty()) return cat("It is installed, but the ", entry->problem, ".");
    return cat("The plugin '", entry->library(), "' is disabled by '", entry->disabled_by, "'.");
  }
  // A folder that is refused as a whole: what is in it isn't known.
  for (const auto& entry : index_->entries)
    if (entry->plugin == nullptr && !entry->manifest_path.ends_with(".json"))
      return cat("The ", entry->problem, ".");
  for (const auto& row : index_->catalogue())
    if (row.kind == loader::kind_name(kind) && row.has_name(name))
      return in_package(row.kind, name, row.package);
  return {};
}

std::string Registry::driver_hint(std::string_view name) {
  for (const uint32_t kind : {INSTAR_KIND_FORMAT, INSTAR_KIND_PROTOCOL, INSTAR_KIND_FILTER})
    if (auto hint = package_hint(kind, name); !hint.empty()) return hint;
  return {};
}

std::string Registry::scheme_hint(std::string_view scheme) {
  index_->ensure();
  if (index_->schemes.contains(scheme)) return {};  // but not under the name qemu-img
  for (const auto& row : index_->catalogue())
    if (contains(row.schemes, scheme)) return in_package("protocol", scheme, row.package);
  return driver_hint(scheme);
}

}  // namespace instar::registry
