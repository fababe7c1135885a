// SPDX-License-Identifier: Apache-2.0
// What `plugin list` and `plugin show` print, as JSON.
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "core/loader/elf.hpp"
#include "core/loader/trust.hpp"
#include "core/registry/index.hpp"
#include "sdk/cpp/json_writer.hpp"

namespace instar::registry {
namespace {

using sdk::JsonWriter;

void texts(JsonWriter& json, std::string_view key, const std::vector<std::string>& list) {
  json.key(key).begin_array();
  for (const auto& text : list)
    json.value(text);
  json.end_array();
}

const char* thread_model(instar_thread_model model) {
  switch (model) {
    case INSTAR_THREADS_PARALLEL:
      return "parallel";
    case INSTAR_THREADS_GLOBAL:
      return "global";
    default:
      return "per-node";
  }
}

const char* option_type(const loader::OptionSpec& option) {
  if (!option.values.empty()) return "enum";
  switch (option.type) {
    case INSTAR_OPTION_BOOL:
      return "bool";
    case INSTAR_OPTION_NUMBER:
      return "number";
    case INSTAR_OPTION_SIZE:
      return "size";
    default:
      return "string";
  }
}

void options(JsonWriter& json, std::string_view key, const std::vector<loader::OptionSpec>& table) {
  if (table.empty()) return;
  json.key(key).begin_array();
  for (const auto& option : table) {
    json.begin_object().field("name", option.name).field("type", option_type(option));
    if (!option.values.empty()) texts(json, "values", option.values);
    if (option.default_value) json.field("default", *option.default_value);
    json.field("help", option.help).end_object();
  }
  json.end_array();
}

/** "active", "replaced" (reachable through next) or "shadowed", and the libraries around it. */
void precedence(JsonWriter& json, const Provider& provider, const Slot& slot) {
  const auto library = [](const Provider* other) { return Index::entry(*other).library(); };
  if (const auto* winner = Index::shadowed_by(provider)) {
    json.field("status", "shadowed").field("shadowed-by", library(winner));
    return;
  }
  const auto place = std::find(slot.chain.begin(), slot.chain.end(), &provider);
  if (place == slot.chain.end()) {
    json.field("status", "unused");
    return;
  }
  json.field("status", place == slot.chain.begin() ? "active" : "replaced");
  if (place != slot.chain.begin()) json.field("replaced-by", library(place[-1]));
  if (provider.next() != nullptr) json.field("replaces", library(provider.next()));
  if (slot.shadowed.empty() || place + 1 != slot.chain.end()) return;
  json.key("shadows").begin_array();
  for (const auto* other : slot.shadowed)
    json.value(library(other));
  json.end_array();
}

void provide(JsonWriter& json, Index& index, const Entry& entry, size_t i, bool in_full) {
  const auto& info = entry.plugin->manifest().provides[i];
  json.begin_object().field("kind", loader::kind_name(info.kind)).field("name", info.name);
  texts(json, "aliases", info.aliases);
  json.field("summary", info.summary);
  if (i < entry.providers.size()) {
    const auto& provider = *entry.providers[i];
    json.field("rank", Index::rank(provider));
    precedence(json, provider, index.slots.at({info.kind, info.name}));
  } else {
    json.field("rank", info.rank).field("status", "unused");
  }
  if (info.kind != INSTAR_KIND_COMMAND) json.field("threads", thread_model(info.threads));
  texts(json, "interfaces", info.interfaces);
  texts(json, "extensions", info.extensions);
  texts(json, "schemes", info.schemes);
  texts(json, "flags", info.flags);
  if (in_full) {
    json.key("options").begin_object();
    options(json, "open", info.open_options);
    options(json, "create", info.create_options);
    options(json, "amend", info.amend_options);
    json.end_object();
  }
  json.end_object();
}

/** The part that is known without touching the library. Leaves the object open. */
void head(JsonWriter& json, Index& index, const Entry& entry, bool in_full) {
  json.begin_object();
  if (entry.plugin != nullptr) {
    const auto& manifest = entry.plugin->manifest();
    json.field("name", manifest.name)
        .field("version", manifest.version)
        .field("vendor", manifest.vendor)
        .field("license", manifest.license)
        .field("package", manifest.package)
        .field("path", manifest.library);
  }
  json.field("manifest", entry.manifest_path).field("tier", loader::tier_name(entry.tier));
  json.field("status", !entry.problem.empty()       ? "refused"
                       : !entry.disabled_by.empty() ? "disabled"
                                                    : "usable");
  if (!entry.problem.empty()) json.field("problem", entry.problem);
  if (!entry.disabled_by.empty()) json.field("disabled-by", entry.disabled_by);
  if (entry.plugin == nullptr) return;
  json.key("provides").begin_array();
  for (size_t i = 0; i < entry.plugin->manifest().provides.size(); ++i)
    provide(json, index, entry, i, in_full);
  json.end_array();
}

void permissions(JsonWriter& json, const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return;
  std::array<char, 8> mode{};
  std::snprintf(mode.data(), mode.size(), "%04o", info.st_mode & 07777);
  const Status trusted = loader::check_trust_of_root(path);
  json.key("permissions")
      .begin_object()
      .field("user", info.st_uid)
      .field("group", info.st_gid)
      .field("mode", mode.data())
      .field("trusted-by-root", static_cast<bool>(trusted));
  if (!trusted) json.field("problem", trusted.error().message);
  json.end_object();
}

void library(JsonWriter& json, const loader::Manifest& manifest) {
  json.key("library").begin_object();
  const auto elf = loader::read_elf(manifest.library);
  if (elf) {
    json.field("architecture", elf->architecture).field("build-id", elf->build_id);
    json.field("build-id-in-manifest", manifest.build_id);
    texts(json, "exports", elf->exports);
    texts(json, "needed", elf->needed);
  } else {
    json.field("problem", elf.error().message);
  }
  permissions(json, manifest.library);
  json.end_object();
}

void descriptor(JsonWriter& json, const Entry& entry) {
  const auto& manifest = entry.plugin->manifest();
  json.field("min-host-abi", cat(manifest.min_abi_major, ".", manifest.min_abi_minor));
  const Status loaded = entry.usable() ? entry.plugin->load(&entry.host.abi)
                                       : Status(fail(EPERM, "it is not in use"));
  json.field("loads", static_cast<bool>(loaded));
  if (loaded)
    json.field("built-for-abi", cat(INSTAR_ABI_MAJOR, ".", entry.plugin->abi_minor()));
  else
    json.field("load-problem", loaded.error().message);
}

bool has_file(const Entry& entry, const std::string& name) {
  return entry.manifest_path == name || entry.library() == name;
}

bool has_plugin_name(const Entry& entry, const std::string& name) {
  return entry.plugin != nullptr && entry.plugin->manifest().name == name;
}

bool provides_name(const Entry& entry, const std::string& name) {
  if (entry.plugin == nullptr) return false;
  const auto& list = entry.plugin->manifest().provides;
  return std::any_of(list.begin(), list.end(), [&](const auto& item) {
    const auto& other = item.aliases;
    return item.name == name || std::find(other.begin(), other.end(), name) != other.end();
  });
}

using Matches = bool (*)(const Entry&, const std::string&);

const Entry* entry_named(const Index& index, const std::string& name) {
  for (const Matches matches : {&has_file, &has_plugin_name, &provides_name})
    for (const bool usable : {true, false})
      for (const auto& entry : index.entries)
        if (entry->usable() == usable && matches(*entry, name)) return entry.get();
  return nullptr;
}

}  // namespace

std::string Registry::list_json() {
  index_->ensure();
  JsonWriter json;
  json.begin_array();
  for (const auto& entry : index_->entries) {
    head(json, *index_, *entry, false);
    json.end_object();
  }
  for (const auto& problem : index_->problems)
    json.begin_object().field("status", "refused").field("problem", problem).end_object();
  json.end_array();
  return json.text();
}

Result<std::string> Registry::show_json(const std::string& name) {
  index_->ensure();
  const Entry* entry = entry_named(*index_, name);
  if (entry == nullptr) {
    std::string hint;
    for (uint32_t kind = INSTAR_KIND_FORMAT; kind <= INSTAR_KIND_DIGEST && hint.empty(); ++kind)
      hint = package_hint(kind, name);
    return Error{ENOENT, cat("There is no plugin '", name, "'"), hint};
  }
  JsonWriter json;
  head(json, *index_, *entry, true);
  if (entry->plugin != nullptr) {
    library(json, entry->plugin->manifest());
    descriptor(json, *entry);
  }
  json.end_object();
  return json.text();
}

}  // namespace instar::registry
