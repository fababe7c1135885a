// SPDX-License-Identifier: Apache-2.0
// What a plugin gets from the registry: its host table, and the services "instar.registry/1" and
// "instar.manifest-cache/1".
#include "core/base/trace.hpp"
#include "core/loader/manifest_cache.hpp"
#include "core/registry/index.hpp"
#include "sdk/abi/manifest_cache.h"
#include "sdk/abi/registry.h"
#include "sdk/cpp/call.hpp"

namespace instar::registry {
namespace {

const HostTable& table_of(const instar_host* host) {
  return *static_cast<const HostTable*>(host->opaque);
}

const void* get_interface(const instar_host* host, const char* id) noexcept {
  return table_of(host).index->registry->service(id);
}

void write_log(const instar_host* host, int level, const char* message, size_t len) noexcept {
  constexpr base::Event kEvents[] = {base::Event::kPluginTrace, base::Event::kPluginDebug,
                                     base::Event::kPluginInfo, base::Event::kPluginWarning};
  if (level < INSTAR_LOG_TRACE || level > INSTAR_LOG_WARNING) level = INSTAR_LOG_WARNING;
  if (!base::trace_enabled(kEvents[level])) return;
  const Entry* entry = table_of(host).entry;
  const std::string_view who = entry != nullptr ? entry->plugin->manifest().name : "host";
  sdk::guard(nullptr, [&](const sdk::Call&) -> Status {
    base::trace(kEvents[level], who, ": ", std::string_view(message, len));
    return {};
  });
}

/** The table behind `own`. The table tells who asks, not the host: a plugin that delegates passes
 * its own host on. */
Result<const void*> find_next(Index& index, uint32_t kind, std::string_view name, const void* own) {
  const Slot* slot = index.slot(kind, name);
  if (slot == nullptr) return nullptr;
  for (const auto* provider : slot->chain) {
    const int place = Index::entry(*provider).plugin->index_of(own);
    if (place < 0 || static_cast<size_t>(place) != Index::place(*provider)) continue;
    return provider->next() != nullptr ? provider->next()->load_table(kind) : nullptr;
  }
  return nullptr;
}

const void* next(const instar_host* host, instar_call* call, uint32_t kind, const char* name,
                 const void* own) noexcept {
  const void* table = nullptr;
  sdk::guard(call, [&](const sdk::Call&) -> Status {
    INSTAR_TRY(table, find_next(*table_of(host).index, kind, name, own));
    return {};
  });
  return table;
}

const void* find(const instar_host* host, instar_call* call, uint32_t kind,
                 const char* name) noexcept {
  const void* table = nullptr;
  sdk::guard(call, [&](const sdk::Call&) -> Status {
    auto& registry = *table_of(host).index->registry;
    const auto* provider = registry.find(kind, name);
    if (provider == nullptr)
      return Error{ENOENT, cat("Unknown ", loader::kind_name(kind), " '", name, "'"),
                   registry.package_hint(kind, name)};
    INSTAR_TRY(table, provider->load_table(kind));
    return {};
  });
  return table;
}

int put(const instar_sink* sink, const std::string& text) {
  return sink->write(sink->opaque, text.data(), text.size());
}

int list(const instar_host* host, instar_call* call, const instar_sink* json) noexcept {
  return static_cast<int>(sdk::guard(call, [&](const sdk::Call&) -> Result<int64_t> {
    return put(json, table_of(host).index->registry->list_json());
  }));
}

int show(const instar_host* host, instar_call* call, const char* name,
         const instar_sink* json) noexcept {
  return static_cast<int>(sdk::guard(call, [&](const sdk::Call&) -> Result<int64_t> {
    INSTAR_TRY(const std::string text, table_of(host).index->registry->show_json(name));
    return put(json, text);
  }));
}

int verify(const instar_host* host, instar_call* call, const char* file,
           const instar_sink* json) noexcept {
  return static_cast<int>(sdk::guard(call, [&](const sdk::Call&) -> Result<int64_t> {
    INSTAR_TRY(const std::string text,
               table_of(host).index->registry->verify_json(file != nullptr ? file : ""));
    return put(json, text);
  }));
}

constexpr instar_registry_ops kRegistryOps = {
    sizeof(instar_registry_ops), 0, &find, &list, &show, &verify};

int64_t write_cache(const instar_host* host, instar_call* call, const char* folder,
                    const instar_sink* path) noexcept {
  return sdk::guard(call, [&](const sdk::Call&) -> Result<int64_t> {
    const std::string where =
        folder != nullptr ? folder : table_of(host).index->settings.search.system_folder;
    INSTAR_TRY(const size_t count, loader::write_manifest_cache(where));
    const int sent = put(path, cat(where, "/", loader::kManifestCacheName));
    return sent < 0 ? sent : static_cast<int64_t>(count);
  });
}

constexpr instar_manifest_cache_ops kManifestCacheOps = {sizeof(instar_manifest_cache_ops), 0,
                                                         &write_cache};

}  // namespace

void fill_host_table(HostTable& table, Index& index, Entry* entry) {
  table.abi = {sizeof(instar_host), INSTAR_ABI_MINOR, &table, &get_interface, &write_log, &next};
  table.index = &index;
  table.entry = entry;
}

const void* registry_service() {
  return &kRegistryOps;
}

const void* manifest_cache_service() {
  return &kManifestCacheOps;
}

}  // namespace instar::registry
