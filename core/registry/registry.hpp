// SPDX-License-Identifier: Apache-2.0
/**
 * @file registry.hpp
 * What plugins there are, and which of them stands for a name. Manifests are read at the first
 * question; a library is loaded when its table is asked for.
 */
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/base/result.hpp"
#include "core/loader/plugin.hpp"
#include "core/loader/search.hpp"
#include "sdk/abi/codec.h"
#include "sdk/abi/command.h"
#include "sdk/abi/digest.h"
#include "sdk/abi/encryption.h"
#include "sdk/abi/filter.h"
#include "sdk/abi/format.h"
#include "sdk/abi/plugin.h"
#include "sdk/abi/protocol.h"

namespace instar::registry {

struct Entry;
struct Index;

/** The kind that a table belongs to. */
template <class Ops>
inline constexpr uint32_t kKindOf = 0;
template <>
inline constexpr uint32_t kKindOf<instar_format_ops> = INSTAR_KIND_FORMAT;
template <>
inline constexpr uint32_t kKindOf<instar_protocol_ops> = INSTAR_KIND_PROTOCOL;
template <>
inline constexpr uint32_t kKindOf<instar_codec_ops> = INSTAR_KIND_CODEC;
template <>
inline constexpr uint32_t kKindOf<instar_encryption_ops> = INSTAR_KIND_ENCRYPTION;
template <>
inline constexpr uint32_t kKindOf<instar_filter_ops> = INSTAR_KIND_FILTER;
template <>
inline constexpr uint32_t kKindOf<instar_command_ops> = INSTAR_KIND_COMMAND;
template <>
inline constexpr uint32_t kKindOf<instar_digest_ops> = INSTAR_KIND_DIGEST;

/** A loaded implementation: its table, complete and with NULL in absent slots, and the host table
 * that goes into its calls. Valid as long as the process. */
template <class Ops>
struct Loaded {
  const instar_host* host = nullptr;
  const Ops* ops = nullptr;
};

/** One implementation of a name. Owned by the registry; thread-safe. */
class Provider {
 public:
  instar_kind kind() const { return info().kind; }
  const std::string& name() const { return info().name; }
  /** Options, flags, interfaces, thread model. */
  const loader::Provide& info() const;
  const loader::Manifest& manifest() const;

  /** Loads the plugin at the first call. The error is one line that names the library, with a hint.
   */
  template <class Ops>
  Result<Loaded<Ops>> load() const {
    static_assert(kKindOf<Ops> != 0, "not the table of a kind");
    INSTAR_TRY(const void* table, load_table(kKindOf<Ops>));
    return Loaded<Ops>{host(), static_cast<const Ops*>(table)};
  }
  /** The same for a kind that is known at run time only. */
  Result<const void*> load_table(uint32_t kind) const;
  const instar_host* host() const;

  /** What this one replaces (`replaces`), or nullptr. */
  const Provider* next() const { return next_; }

 private:
  friend struct Index;
  Entry* entry_ = nullptr;  ///< the plugin
  size_t index_ = 0;        ///< in its manifest's provides
  int rank_ = 0;
  const Provider* next_ = nullptr;
  const Provider* shadowed_by_ = nullptr;
};

/** Result of probing. */
struct Probed {
  const Provider* provider = nullptr;  ///< nullptr: nobody knows it
  int score = 0;
};

struct Settings {
  loader::SearchPath search;
  bool allow_draft = false;  ///< "instar.draft.X/1" interfaces are given
  bool strict = false;       ///< called as qemu-img: files are probed as the genuine tool does
  /** Told of two plugins of one name when that name is used, once per name; from any thread. */
  std::function<void(std::string_view text)> warn;
};

/** One per process: what plugins were given points to it. Thread-safe after register_service. */
class Registry {
 public:
  explicit Registry(Settings settings);
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /** The implementation of a name or alias, or nullptr. */
  const Provider* find(uint32_t kind, std::string_view name);
  const Provider* find_format(std::string_view name) { return find(INSTAR_KIND_FORMAT, name); }
  const Provider* find_protocol(std::string_view name) { return find(INSTAR_KIND_PROTOCOL, name); }
  const Provider* find_filter(std::string_view name) { return find(INSTAR_KIND_FILTER, name); }
  const Provider* find_codec(std::string_view name) { return find(INSTAR_KIND_CODEC, name); }
  const Provider* find_encryption(std::string_view name) {
    return find(INSTAR_KIND_ENCRYPTION, name);
  }
  const Provider* find_command(std::string_view name) { return find(INSTAR_KIND_COMMAND, name); }
  /** What QEMU calls a driver: a format, protocol or filter. */
  const Provider* find_driver(std::string_view name);
  /** The protocol for "SCHEME:…" or "SCHEME://…", or nullptr. */
  const Provider* protocol_for_scheme(std::string_view scheme);
  /** The format of a file, or the filter that unpacks it, by its first bytes (QEMU looks at 512), its name, and its last bytes if
   * given: up to 1023, as its length is only known in sectors. A plugin that has to be asked and
   * fails is passed over. */
  Probed probe(std::span<const uint8_t> head, const std::string& filename,
               std::span<const uint8_t> tail = {});
  /** Called as qemu-img. */
  bool strict() const;
  /** Whether some format is recognised by its last bytes. @param packed not empty: the name of the
   * file that what is probed is packed in, as "disk.vhd.gz"; its end is worth a look only if the
   * name tells of such a format, as going there may mean to unpack all of it. */
  bool wants_tail(std::string_view packed = {});

  /** All that can be used of a kind, sorted by name; one per name. */
  std::vector<const Provider*> all(uint32_t kind);
  /** The names of all drivers, sorted: what "Supported formats:" lists. */
  std::vector<std::string> driver_names();

  /**
   * Why a name that find() does not know isn't there, as the hint behind QEMU's error line: "The
   * format 'vmdk' is in the package instar-format-vmdk.", or why its plugin was refused; empty:
   * nothing is known about it. `driver_hint` is for names that may be a format, protocol or filter,
   * `scheme_hint` for schemes.
   */
  std::string package_hint(uint32_t kind, std::string_view name);
  std::string driver_hint(std::string_view name);
  std::string scheme_hint(std::string_view scheme);

  /** Gives plugins a service of the host by its id ("instar.graph/1"). Both live as long as the
   * process. "instar.registry/1" and "instar.manifest-cache/1" are there from the start. */
  void register_service(const char* id, const void* table);
  const void* service(std::string_view id) const;
  /** The host's table for code of the host itself that calls plugins' services. */
  const instar_host* core_host() const;

  /** JSON texts of the service "instar.registry/1" (sdk/abi/registry.h). */
  std::string list_json();
  Result<std::string> show_json(const std::string& name);
  /** `file` empty: everything that is installed. */
  Result<std::string> verify_json(const std::string& file);

 private:
  std::unique_ptr<Index> index_;
};

}  // namespace instar::registry
