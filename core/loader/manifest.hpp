// SPDX-License-Identifier: Apache-2.0
/**
 * @file manifest.hpp
 * What is known about a plugin without loading it: NAME.json beside NAME.so, as sdk/MANIFEST.md
 * describes it. Immutable once parsed.
 */
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "sdk/abi/plugin.h"
#include "sdk/abi/types.h"

namespace instar::loader {

/** Largest manifest that is read, in bytes. */
inline constexpr size_t kMaxManifestSize = 1 << 20;

/** One option of an option table. */
struct OptionSpec {
  std::string name;
  instar_option_type type = INSTAR_OPTION_STRING;
  std::vector<std::string> values;           ///< not empty: the text is one of these ("enum")
  std::optional<std::string> default_value;  ///< as text; none: absent when it is not given
  std::string help;
  /** Stands for all options that begin with its name. */
  bool is_prefix() const { return name.ends_with('.'); }
  bool extension = false;  ///< QEMU has none such: not listed when called as qemu-img
  bool identity = false;   ///< an open option that decides what the image holds: names show it
  std::optional<std::string> checked_as;  ///< what the message about a wrong value calls it
};

/**
 * An option table. Its rows may be made when they are first asked for, by any thread: of all tables
 * that are found a command needs a few. Copies share the rows.
 */
class OptionSpecs {
 public:
  using Rows = std::vector<OptionSpec>;

  OptionSpecs() = default;
  OptionSpecs(Rows rows);
  /** `make` is called once at most, and not at all if nobody asks. */
  explicit OptionSpecs(std::function<Rows()> make);

  const Rows& rows() const;
  operator const Rows&() const { return rows(); }
  auto begin() const { return rows().begin(); }
  auto end() const { return rows().end(); }
  bool empty() const { return rows().empty(); }
  size_t size() const { return rows().size(); }
  const OptionSpec& operator[](size_t i) const { return rows()[i]; }

 private:
  struct Table;
  std::shared_ptr<Table> table_;  ///< nullptr: empty
};

/** A condition on a file: on its first bytes, its last ones or its name. Bytes beyond what was read
 * don't match. */
struct ProbeMatch {
  int64_t offset = 0;  ///< bytes; negative: from the file's end
  std::string bytes;   ///< as they lie in the file
  std::string mask;    ///< empty, or as long as `bytes`
  std::optional<uint32_t> be32_min;
  std::string name_ends;  ///< not empty: the file's name ends so, and is longer
};

/** By which name the tool must be called for a rule to count. */
enum class ProbeCaller { kAny, kQemuImg, kInstar };

/** All matches hold: the file is of this format with that score (0 to 100), or with the one that the
 * plugin says. */
struct ProbeRule {
  int score = 0;
  bool by_code = false;  ///< the plugin is loaded and asked
  ProbeCaller only = ProbeCaller::kAny;
  std::vector<ProbeMatch> matches;
};

/** One thing that a plugin provides. */
struct Provide {
  instar_kind kind{};
  std::string name;
  std::vector<std::string> aliases;
  std::string summary;
  std::vector<ProbeRule> probe;
  bool probe_by_code = false;  ///< one of the rules does
  std::vector<std::string> extensions;
  std::vector<std::string> schemes;
  std::string filename;  ///< of a filter: its nodes' names, "blkdebug:{config}:{image}"
  OptionSpecs open_options;
  OptionSpecs create_options;
  OptionSpecs amend_options;
  std::vector<std::string> interfaces;
  instar_thread_model threads = INSTAR_THREADS_PER_NODE;
  int rank = 0;
  bool replaces = false;
  std::vector<std::string> flags;  ///< "backing", "compress", "read-only", "device"

  bool has_flag(std::string_view flag) const;
};

struct Manifest {
  std::string path;     ///< of the manifest
  std::string library;  ///< path of the library, beside the manifest
  std::string name;
  std::string version;
  std::string vendor;
  std::string license;
  std::string package;
  std::string architecture;  ///< as `uname -m` names it; empty: not said
  std::string build_id;      ///< hex; empty: not said
  uint32_t min_abi_major = INSTAR_ABI_MAJOR;
  uint32_t min_abi_minor = 0;
  std::vector<Provide> provides;
};

/** "format" for INSTAR_KIND_FORMAT and so on; kind_from_name gives nothing for other words. */
const char* kind_name(uint32_t kind);
std::optional<instar_kind> kind_from_name(std::string_view name);

/** Parses the text of the manifest at `path`. Unknown keys are passed over. Errors name the path
 * and what is wrong, in one line. */
Result<Manifest> parse_manifest(std::string_view text, const std::string& path);

/** The machine that this program is built for, as `uname -m` names it. */
const char* host_architecture();

/** The manifest asks for no more than this host has: its ABI version, its architecture. */
Status check_host(const Manifest& manifest);

}  // namespace instar::loader
