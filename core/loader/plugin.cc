// SPDX-License-Identifier: Apache-2.0
#include "core/loader/plugin.hpp"

#include <dlfcn.h>
#include <sys/stat.h>
#include <unwind.h>

#include <algorithm>
#include <boost/dll/shared_library.hpp>
#include <exception>
#include <set>
#include <utility>

#include "core/base/trace.hpp"
#include "core/loader/elf.hpp"
#include "core/loader/trust.hpp"
#include "sdk/abi/codec.h"
#include "sdk/abi/command.h"
#include "sdk/abi/digest.h"
#include "sdk/abi/encryption.h"
#include "sdk/abi/filter.h"
#include "sdk/abi/format.h"
#include "sdk/abi/protocol.h"

namespace instar::loader {
namespace {

using boost::dll::load_mode::rtld_local;
using boost::dll::load_mode::rtld_now;

Error failure(const Manifest& manifest, std::string_view what, std::string hint = {}) {
  if (hint.empty())
    hint = manifest.package.empty() ? "Install the plugin again."
                                    : cat("Install the package ", manifest.package, " again.");
  return Error{ELIBBAD, cat("plugin '", manifest.library, "' ", what), std::move(hint)};
}

/** Plugins are never unloaded: tables, strings and threads of theirs may be in use anywhere. */
boost::dll::shared_library& keep(boost::dll::shared_library library) {
  static auto* kept = new std::vector<std::unique_ptr<boost::dll::shared_library>>;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  kept->push_back(std::make_unique<boost::dll::shared_library>(std::move(library)));
  return *kept->back();
}

/** The system loader's text, which repeats the path: "PATH: undefined symbol: foo". */
std::string loader_text(const std::string& path) {
  const char* text = dlerror();
  std::string_view reason = text != nullptr ? text : "unknown error";
  if (reason.starts_with(path + ": ")) reason.remove_prefix(path.size() + 2);
  return std::string(reason);
}

/** Guard catches what a plugin throws in spite of the rules. The plugin may have an unwinder of its own; ours gives up
 * (abort) when it meets such an exception before any that it has unwound itself. */
void prepare_unwinder() {
  [[maybe_unused]] static const auto once =
      _Unwind_Backtrace([](_Unwind_Context*, void*) { return _URC_END_OF_STACK; }, nullptr);
}

Result<boost::dll::shared_library*> open_library(const Manifest& manifest) {
  boost::dll::shared_library library;
  boost::dll::fs::error_code ec;
  library.load(manifest.library, rtld_now | rtld_local, ec);
  if (ec) return failure(manifest, cat("could not be loaded: ", loader_text(manifest.library)));
  prepare_unwinder();
  return &keep(std::move(library));
}

Error no_entry(const Manifest& manifest) {
  constexpr std::string_view kPrefix = "instar_plugin_entry_v";
  const auto elf = read_elf(manifest.library);
  if (elf)
    for (const auto& symbol : elf->exports)
      if (symbol.starts_with(kPrefix))
        return failure(manifest,
                       cat("is made for plugin ABI ", symbol.substr(kPrefix.size()),
                           ", this instar has ", INSTAR_ABI_MAJOR),
                       cat("Install a build for plugin ABI ", INSTAR_ABI_MAJOR, "."));
  return failure(manifest, "is not a plugin: it lacks " INSTAR_PLUGIN_ENTRY_SYMBOL);
}

/** Runs the entry; the descriptor comes back clamped. */
Result<instar_plugin> describe(const Manifest& manifest, instar_plugin_entry_fn entry,
                               const instar_host* host) {
  instar_plugin descriptor{};
  descriptor.struct_size = sizeof descriptor;
  int result = 0;
  try {
    result = entry(host, &descriptor);
  } catch (const std::exception& e) {
    return failure(manifest, cat("threw an exception while it was loaded: ", e.what()));
  } catch (...) {
    return failure(manifest, "threw an exception while it was loaded");
  }
  if (result < 0)
    return failure(manifest, cat("cannot work here: ", errno_text(result)),
                   "Its documentation says what it needs.");
  if (descriptor.name == nullptr || descriptor.version == nullptr ||
      (descriptor.provides == nullptr && descriptor.provides_count != 0))
    return failure(manifest, "gave an incomplete description of itself");
  return descriptor;
}

using Thing = std::pair<uint32_t, std::string>;

Error disagreement(const Manifest& manifest, std::string_view what) {
  return failure(manifest, cat("and its manifest '", manifest.path, "' disagree: ", what),
                 "Install both from the same build.");
}

Status compare(const Manifest& manifest, const instar_plugin& descriptor) {
  if (manifest.name != descriptor.name)
    return disagreement(manifest, cat("the library is '", descriptor.name, "', the manifest '",
                                      manifest.name, "'"));
  if (manifest.version != descriptor.version)
    return disagreement(manifest, cat("the library has version ", descriptor.version,
                                      ", the manifest ", manifest.version));
  std::multiset<Thing> listed;
  std::multiset<Thing> provided;
  for (const auto& entry : manifest.provides)
    listed.emplace(entry.kind, entry.name);
  for (size_t i = 0; i < descriptor.provides_count; ++i) {
    const auto& entry = descriptor.provides[i];
    if (entry.name == nullptr || entry.ops == nullptr)
      return failure(manifest, "gave an incomplete description of itself");
    provided.emplace(entry.kind, entry.name);
  }
  for (const auto& [kind, name] : listed)
    if (provided.count({kind, name}) != listed.count({kind, name}))
      return disagreement(manifest,
                          cat("only the manifest has the ", kind_name(kind), " '", name, "'"));
  for (const auto& [kind, name] : provided)
    if (listed.count({kind, name}) == 0)
      return disagreement(manifest,
                          cat("only the library has the ", kind_name(kind), " '", name, "'"));
  return {};
}

/** A clamped copy; nullptr when a slot that the kind requires is absent. */
template <class Ops, class... Required>
std::shared_ptr<const void> clamped(const void* table, Required... required) {
  auto own = std::make_shared<Ops>(clamp_table<Ops>(table));
  if (!((own.get()->*required != nullptr) && ...)) return nullptr;
  return own;
}

std::shared_ptr<const void> clamped_of_kind(uint32_t kind, const void* table) {
  switch (kind) {
    case INSTAR_KIND_FORMAT:
      return clamped<instar_format_ops>(table, &instar_format_ops::open);
    case INSTAR_KIND_PROTOCOL:
      return clamped<instar_protocol_ops>(table, &instar_protocol_ops::open);
    case INSTAR_KIND_CODEC:
      return clamped<instar_codec_ops>(table, &instar_codec_ops::open, &instar_codec_ops::close,
                                       &instar_codec_ops::compress, &instar_codec_ops::decompress,
                                       &instar_codec_ops::bound);
    case INSTAR_KIND_ENCRYPTION:
      return clamped<instar_encryption_ops>(
          table, &instar_encryption_ops::open, &instar_encryption_ops::close,
          &instar_encryption_ops::encrypt, &instar_encryption_ops::decrypt);
    case INSTAR_KIND_FILTER:
      return clamped<instar_filter_ops>(table, &instar_filter_ops::open);
    case INSTAR_KIND_COMMAND:
      return clamped<instar_command_ops>(table, &instar_command_ops::run);
    case INSTAR_KIND_DIGEST:
      return clamped<instar_digest_ops>(table, &instar_digest_ops::open, &instar_digest_ops::close,
                                        &instar_digest_ops::update, &instar_digest_ops::finish);
    default:
      return nullptr;
  }
}

}  // namespace

Plugin::Plugin(Manifest manifest, Tier tier) : manifest_(std::move(manifest)), tier_(tier) {}

Status Plugin::load(const instar_host* host) {
  const std::lock_guard lock(mutex_);
  if (state_ == State::kLoading) return failure(manifest_, "asks for itself while it is loaded");
  if (state_ == State::kNew) {
    state_ = State::kLoading;
    result_ = load_now(host);
    state_ = State::kDone;
    if (result_)
      base::trace(base::Event::kLoadModule, "file ", manifest_.library);
    else
      base::trace(base::Event::kNote, result_.error().message);
  }
  return result_;
}

int Plugin::index_of(const void* table) const {
  const std::lock_guard lock(mutex_);
  if (state_ != State::kDone || !result_) return -1;
  for (size_t i = 0; i < tables_.size(); ++i)
    if (tables_[i].own == table || tables_[i].clamped.get() == table) return static_cast<int>(i);
  return -1;
}

Status Plugin::load_now(const instar_host* host) {
  INSTAR_CHECK(check_host(manifest_));
  struct stat file {};
  if (lstat(manifest_.library.c_str(), &file) != 0)
    return failure(manifest_, cat("could not be loaded: ", errno_text(errno)));
  // The search has checked its folders.
  const bool folder_checked = tier_ != Tier::kArgument && S_ISREG(file.st_mode);
  INSTAR_CHECK(folder_checked ? check_trust_within(manifest_.library, file)
                              : check_trust(manifest_.library));
  INSTAR_CHECK(check_loadable(manifest_.library));
  INSTAR_TRY(const auto* library, open_library(manifest_));
  if (!library->has(INSTAR_PLUGIN_ENTRY_SYMBOL)) return no_entry(manifest_);
  const auto entry =
      &library->get<std::remove_pointer_t<instar_plugin_entry_fn>>(INSTAR_PLUGIN_ENTRY_SYMBOL);
  INSTAR_TRY(const instar_plugin descriptor, describe(manifest_, entry, host));
  INSTAR_CHECK(compare(manifest_, descriptor));
  abi_minor_ = descriptor.abi_minor;
  return take_tables(descriptor);
}

Status Plugin::take_tables(const instar_plugin& descriptor) {
  for (const auto& entry : manifest_.provides) {
    const auto* end = descriptor.provides + descriptor.provides_count;
    const auto* found = std::find_if(descriptor.provides, end, [&](const auto& provide) {
      return provide.kind == entry.kind && provide.name == entry.name;
    });
    auto copy = clamped_of_kind(entry.kind, found->ops);
    if (copy == nullptr)
      return failure(manifest_,
                     cat("provides the ", kind_name(entry.kind), " '", entry.name,
                         "' without a function that every ", kind_name(entry.kind), " must have"));
    tables_.push_back({found->ops, std::move(copy)});
  }
  return {};
}

}  // namespace instar::loader
