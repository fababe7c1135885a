// SPDX-License-Identifier: Apache-2.0
#include "core/registry/index.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <tuple>

#include "core/base/trace.hpp"
#include "sdk/abi/manifest_cache.h"

namespace instar::registry {
namespace {

/** The same file twice on the search path is no conflict. */
bool same_file(const std::string& a, const std::string& b) {
  struct stat first {};
  struct stat second {};
  return stat(a.c_str(), &first) == 0 && stat(b.c_str(), &second) == 0 &&
         first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

}  // namespace

Index::Index(Registry* owner, Settings wanted) : settings(std::move(wanted)), registry(owner) {
  fill_host_table(core_host, *this, nullptr);
  services.emplace(INSTAR_REGISTRY_ID, registry_service());
  services.emplace(INSTAR_MANIFEST_CACHE_ID, manifest_cache_service());
}

std::unique_ptr<Entry> Index::make_entry(loader::FoundManifest found) {
  auto entry = std::make_unique<Entry>();
  entry->manifest_path = std::move(found.path);
  entry->tier = found.tier;
  fill_host_table(entry->host, *this, entry.get());
  if (!found.manifest) {
    entry->problem = found.manifest.error().message;
    return entry;
  }
  const Status fits = loader::check_host(*found.manifest);
  if (!fits) entry->problem = fits.error().message;
  entry->plugin = std::make_unique<loader::Plugin>(*std::move(found.manifest), entry->tier);
  return entry;
}

void Index::build() {
  for (auto& found : loader::find_manifests(settings.search)) {
    auto entry = make_entry(std::move(found));
    const bool known = std::any_of(entries.begin(), entries.end(), [&](const auto& other) {
      return entry->plugin != nullptr && other->plugin != nullptr &&
             entry->plugin->manifest().name == other->plugin->manifest().name &&
             same_file(entry->library(), other->library());
    });
    if (!known) entries.push_back(std::move(entry));
  }
  for (const auto& entry : entries)
    if (!entry->problem.empty()) base::trace(base::Event::kNote, entry->problem);
  for (const auto& entry : entries)
    if (entry->usable()) add_providers(*entry);
  apply_overlays();
  for (auto& [key, slot] : slots)
    order(slot);
  add_further_names();
}

void Index::add_providers(Entry& entry) {
  const auto& provides = entry.plugin->manifest().provides;
  for (size_t i = 0; i < provides.size(); ++i) {
    Provider& provider = providers_.emplace_back();
    provider.entry_ = &entry;
    provider.index_ = i;
    provider.rank_ = provides[i].rank;
    entry.providers.push_back(&provider);
    slots[{provides[i].kind, provides[i].name}].chain.push_back(&provider);
  }
}

void Index::apply_overlays() {
  for (const auto& overlay : loader::read_overlays(settings.search, problems)) {
    for (const auto& entry : entries) {
      if (entry->plugin == nullptr) continue;
      const auto& manifest = entry->plugin->manifest();
      if (overlay.plugin != manifest.name && overlay.plugin != manifest.library &&
          overlay.plugin != manifest.path)
        continue;
      if (overlay.disabled) entry->disabled_by = overlay.path;
      for (auto* provider : entry->providers)
        provider->rank_ = overlay.rank.value_or(provider->rank_);
    }
  }
  for (const auto& problem : problems)
    base::trace(base::Event::kNote, problem);
}

/** Splits a slot's implementations into the chain that is in use and those that are shadowed. */
void Index::order(Slot& slot) {
  std::vector<Provider*> plain;
  std::vector<Provider*> replacing;
  for (auto* provider : slot.chain)
    if (provider->entry_->disabled_by.empty())
      (provider->info().replaces ? replacing : plain).push_back(provider);
  // Found in search order, which decides among equals: the first stays, the last one replaces.
  std::stable_sort(plain.begin(), plain.end(), [](const Provider* a, const Provider* b) {
    return std::tuple(a->entry_->tier, -a->rank_) < std::tuple(b->entry_->tier, -b->rank_);
  });
  std::stable_sort(replacing.begin(), replacing.end(), [](const Provider* a, const Provider* b) {
    return std::tuple(a->rank_, a->entry_->tier) > std::tuple(b->rank_, b->entry_->tier);
  });
  slot.chain = std::move(replacing);
  if (!plain.empty()) {
    slot.chain.push_back(plain.front());
    slot.shadowed.assign(plain.begin() + 1, plain.end());
  }
  for (size_t i = 0; i + 1 < slot.chain.size(); ++i)
    slot.chain[i]->next_ = slot.chain[i + 1];
  for (auto* provider : slot.shadowed)
    provider->shadowed_by_ = plain.front();
}

/** Aliases, schemes and what files are probed for, of what is in use. */
void Index::add_further_names() {
  std::vector<Provider*> active;
  for (auto& [key, slot] : slots)
    if (!slot.chain.empty()) active.push_back(slot.chain.front());
  std::stable_sort(active.begin(), active.end(), [](const Provider* a, const Provider* b) {
    return std::tuple(-a->rank_, a->entry_->tier) < std::tuple(-b->rank_, b->entry_->tier);
  });
  for (auto* provider : active) {
    const auto& info = provider->info();
    for (const auto& alias : info.aliases)
      aliases.try_emplace({info.kind, alias}, &slots.at({info.kind, info.name}));
    for (const auto& scheme : info.schemes)
      schemes.try_emplace(scheme, provider);
    const bool packing = info.kind == INSTAR_KIND_FILTER && !info.probe.empty();
    if (info.kind == INSTAR_KIND_FORMAT || packing) probed.push_back(provider);
  }
}

Slot* Index::slot(uint32_t kind, std::string_view name) {
  ensure();
  const Name key(kind, name);
  if (const auto found = slots.find(key); found != slots.end() && !found->second.chain.empty())
    return &found->second;
  const auto alias = aliases.find(key);
  return alias != aliases.end() ? alias->second : nullptr;
}

Provider* Index::find(uint32_t kind, std::string_view name) {
  Slot* found = slot(kind, name);
  if (found == nullptr) return nullptr;
  warn_of_shadows(*found);
  return found->chain.front();
}

void Index::warn_of_shadows(Slot& slot) const {
  if (slot.shadowed.empty() || slot.warned.exchange(true)) return;
  const auto& used = *slot.chain.back();
  for (const auto* other : slot.shadowed) {
    const auto text = cat("two plugins provide the ", loader::kind_name(used.kind()), " '",
                          used.name(), "': '", used.entry_->library(), "' is used, '",
                          other->entry_->library(), "' is not (it does not declare \"replaces\")");
    base::trace(base::Event::kNote, text);
    if (settings.warn) settings.warn(text);
  }
}

const std::vector<CatalogueRow>& Index::catalogue() {
  std::call_once(catalogue_once_, [this] {
    const auto& folder = settings.search.system_folder;
    catalogue_ = read_catalogue(folder.substr(0, folder.rfind('/') + 1) + "catalogue.json");
  });
  return catalogue_;
}

}  // namespace instar::registry
