// SPDX-License-Identifier: Apache-2.0
#include "core/registry/registry.hpp"

#include <algorithm>
#include <set>

#include "core/base/trace.hpp"
#include "core/loader/guard.hpp"
#include "core/registry/index.hpp"
#include "sdk/cpp/bytes.hpp"

namespace instar::registry {
namespace {

/** What is known of a file whose format is looked for. */
struct Evidence {
  std::span<const uint8_t> head, tail;
  std::string_view filename;
};

/** @param padding bytes behind the file's end, which are taken for its own. */
bool holds(const loader::ProbeMatch& match, const Evidence& file, size_t padding) {
  if (!match.name_ends.empty())
    return file.filename.size() > match.name_ends.size() &&
           file.filename.ends_with(match.name_ends);
  const bool at_end = match.offset < 0;
  const auto bytes = at_end ? file.tail.first(file.tail.size() - padding) : file.head;
  const uint64_t offset = static_cast<uint64_t>(match.offset) + (at_end ? bytes.size() : 0);
  const size_t length = match.be32_min ? sizeof(uint32_t) : match.bytes.size();
  if (offset > bytes.size() || length > bytes.size() - offset) return false;
  const uint8_t* at = bytes.data() + offset;
  if (match.be32_min) return sdk::load_be<uint32_t>(at) >= *match.be32_min;
  for (size_t i = 0; i < length; ++i) {
    const auto mask = match.mask.empty() ? uint8_t{0xff} : static_cast<uint8_t>(match.mask[i]);
    if (((at[i] ^ static_cast<uint8_t>(match.bytes[i])) & mask) != 0) return false;
  }
  return true;
}

bool looks_at_end(const loader::ProbeRule& rule) {
  return std::any_of(rule.matches.begin(), rule.matches.end(),
                     [](const auto& match) { return match.offset < 0; });
}

/** A file's length is only known in sectors. */
bool holds(const loader::ProbeRule& rule, const Evidence& file) {
  const size_t most = looks_at_end(rule) ? std::min<size_t>(file.tail.size(), 511) : 0;
  for (size_t padding = 0; padding <= most; ++padding)
    if (std::all_of(rule.matches.begin(), rule.matches.end(),
                    [&](const auto& match) { return holds(match, file, padding); }))
      return true;
  return false;
}

bool counts(const loader::ProbeRule& rule, bool strict) {
  return rule.only == loader::ProbeCaller::kAny ||
         (rule.only == loader::ProbeCaller::kQemuImg) == strict;
}

int code_score(const Provider& provider, std::span<const uint8_t> head,
               const std::string& filename) {
  const auto loaded = provider.load<instar_format_ops>();
  if (!loaded || loaded->ops->probe == nullptr) return 0;
  sdk::OutgoingCall call;
  const int score =
      loader::call_plugin(sdk::Call(call.abi()), provider.manifest().name, [&]() -> int {
        return loaded->ops->probe(loaded->host, head.data(), head.size(), filename.c_str());
      });
  if (score < 0) base::trace(base::Event::kNote, call.error(score).message);
  return std::clamp(score, 0, 100);
}

int score_of(const Provider& format, const Evidence& file, bool strict) {
  int best = 0;
  for (const auto& rule : format.info().probe) {
    if (!counts(rule, strict) || !holds(rule, file)) continue;
    best = std::max(best, rule.by_code ? code_score(format, file.head, std::string(file.filename))
                                       : rule.score);
  }
  return best;
}

}  // namespace

const loader::Manifest& Provider::manifest() const {
  return entry_->plugin->manifest();
}

const loader::Provide& Provider::info() const {
  return manifest().provides[index_];
}

const instar_host* Provider::host() const {
  return &entry_->host.abi;
}

Result<const void*> Provider::load_table(uint32_t kind) const {
  if (kind != info().kind)
    return fail(EINVAL, "'", name(), "' is a ", loader::kind_name(info().kind), ", not a ",
                loader::kind_name(kind));
  INSTAR_CHECK(entry_->plugin->load(host()));
  return entry_->plugin->table(index_).clamped.get();
}

Registry::Registry(Settings settings)
    : index_(std::make_unique<Index>(this, std::move(settings))) {}

Registry::~Registry() = default;

const Provider* Registry::find(uint32_t kind, std::string_view name) {
  return index_->find(kind, name);
}

const Provider* Registry::find_driver(std::string_view name) {
  for (const uint32_t kind : {INSTAR_KIND_FORMAT, INSTAR_KIND_PROTOCOL, INSTAR_KIND_FILTER})
    if (const auto* provider = find(kind, name)) return provider;
  return nullptr;
}

const Provider* Registry::protocol_for_scheme(std::string_view scheme) {
  index_->ensure();
  const auto found = index_->schemes.find(scheme);
  if (found == index_->schemes.end()) return nullptr;
  if (strict() && found->second->info().has_flag("extension")) return nullptr;
  return find(found->second->kind(), found->second->name());
}

bool Registry::strict() const {
  return index_->settings.strict;
}

bool Registry::wants_tail(std::string_view packed) {
  index_->ensure();
  return std::any_of(index_->probed.begin(), index_->probed.end(), [&](const auto* format) {
    const auto& rules = format->info().probe;
    const auto& endings = format->info().extensions;
    const bool named = packed.empty() || std::any_of(endings.begin(), endings.end(), [&](auto& e) {
                         return packed.find(cat(".", e, ".")) != std::string_view::npos;
                       });
    return named && std::any_of(rules.begin(), rules.end(), [&](const auto& rule) {
             return counts(rule, index_->settings.strict) && looks_at_end(rule);
           });
  });
}

Probed Registry::probe(std::span<const uint8_t> head, const std::string& filename,
                       std::span<const uint8_t> tail) {
  index_->ensure();
  Probed best;
  for (const auto* format : index_->probed) {
    const int score = score_of(*format, {head, tail, filename}, index_->settings.strict);
    if (score > best.score) best = {format, score};
  }
  if (best.provider != nullptr) (void)find(best.provider->kind(), best.provider->name());
  return best;
}

std::vector<const Provider*> Registry::all(uint32_t kind) {
  index_->ensure();
  std::vector<const Provider*> out;
  for (const auto& [key, slot] : index_->slots)
    if (key.first == kind && !slot.chain.empty()) out.push_back(slot.chain.front());
  return out;
}

std::vector<std::string> Registry::driver_names() {
  std::set<std::string> names;
  for (const uint32_t kind : {INSTAR_KIND_FORMAT, INSTAR_KIND_PROTOCOL, INSTAR_KIND_FILTER})
    for (const auto* provider : all(kind))
      names.insert(provider->name());
  return {names.begin(), names.end()};
}

void Registry::register_service(const char* id, const void* table) {
  const std::unique_lock lock(index_->services_mutex);
  index_->services[id] = table;
}

const void* Registry::service(std::string_view id) const {
  if (id.starts_with("instar.draft.") && !index_->settings.allow_draft) return nullptr;
  const std::shared_lock lock(index_->services_mutex);
  const auto found = index_->services.find(id);
  return found != index_->services.end() ? found->second : nullptr;
}

const instar_host* Registry::core_host() const {
  return &index_->core_host.abi;
}

}  // namespace instar::registry
