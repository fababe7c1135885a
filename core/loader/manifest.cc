// SPDX-License-Identifier: Apache-2.0
#include "core/loader/manifest.hpp"

#include <algorithm>
#include <array>
#include <boost/json/monotonic_resource.hpp>
#include <boost/json/parser.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <filesystem>
#include <limits>
#include <mutex>

#include "core/base/hex.hpp"

namespace instar::loader {
namespace {

namespace json = boost::json;

constexpr std::array<const char*, 8> kKindNames = {nullptr,      "format", "protocol", "codec",
                                                   "encryption", "filter", "command",  "digest"};

std::string_view view(const json::string& text) {
  return {text.data(), text.size()};
}

/** Walks the parsed text. The first thing that is wrong stays in `problem`, later ones are of no
 * interest. */
class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path) {}

  Result<Manifest> read(const json::value& root) {
    Manifest manifest;
    const auto* object = root.if_object();
    if (object == nullptr) return error("is not a JSON object");
    where_ = "the manifest";
    if (number(*object, "manifest", 1) != 1)
      return error("\"manifest\" is not 1: it is made for a newer host");
    head(*object, manifest);
    each_object(*object, "provides",
                [&](const json::object& entry) { manifest.provides.push_back(provide(entry)); });
    if (object->if_contains("provides") == nullptr) wrong("lacks \"provides\"");
    if (!problem_.empty()) return error(problem_);
    return manifest;
  }

 private:
  Error error(std::string_view what) const {
    return fail(EINVAL, "manifest '", path_, "': ", what);
  }
  void wrong(std::string_view what) {
    if (problem_.empty()) problem_ = cat(where_, " ", what);
  }
  void wrong_type(std::string_view key, std::string_view wanted) {
    wrong(cat("has a \"", key, "\" that is not ", wanted));
  }

  std::string text(const json::object& object, std::string_view key, bool required = false) {
    const auto* value = object.if_contains(key);
    if (value == nullptr) {
      if (required) wrong(cat("lacks \"", key, "\""));
      return {};
    }
    const auto* string = value->if_string();
    if (string == nullptr || (required && string->empty())) {
      wrong_type(key, "a text");
      return {};
    }
    return std::string(view(*string));
  }
  int64_t number(const json::object& object, std::string_view key, int64_t fallback = 0) {
    const auto* value = object.if_contains(key);
    if (value == nullptr) return fallback;
    if (const auto* n = value->if_int64()) return *n;
    wrong_type(key, "a number");
    return fallback;
  }
  int64_t number_within(const json::object& object, std::string_view key, int64_t low,
                        int64_t high) {
    const int64_t n = number(object, key);
    if (n < low || n > high) wrong_type(key, cat("between ", low, " and ", high));
    return n;
  }
  bool flag(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    if (value == nullptr) return false;
    if (const auto* b = value->if_bool()) return *b;
    wrong_type(key, "true or false");
    return false;
  }
  const json::array* array(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    if (value == nullptr) return nullptr;
    const auto* list = value->if_array();
    if (list == nullptr) wrong_type(key, "a list");
    return list;
  }
  std::vector<std::string> texts(const json::object& object, std::string_view key) {
    std::vector<std::string> out;
    const auto* list = array(object, key);
    if (list == nullptr) return out;
    out.reserve(list->size());
    for (const auto& item : *list) {
      if (const auto* string = item.if_string())
        out.emplace_back(view(*string));
      else
        wrong_type(key, "a list of texts");
    }
    return out;
  }
  template <class Each>
  void each_object(const json::object& object, std::string_view key, Each each) {
    const auto* list = array(object, key);
    if (list == nullptr) return;
    for (const auto& item : *list) {
      if (const auto* entry = item.if_object())
        each(*entry);
      else
        wrong_type(key, "a list of objects");
    }
  }

  void head(const json::object& object, Manifest& manifest) {
    manifest.path = path_;
    manifest.name = text(object, "name", true);
    manifest.version = text(object, "version", true);
    manifest.vendor = text(object, "vendor");
    manifest.license = text(object, "license");
    manifest.package = text(object, "package");
    manifest.architecture = text(object, "architecture");
    manifest.build_id = text(object, "build_id");
    min_host_abi(object, manifest);
    library(object, manifest);
  }
  void library(const json::object& object, Manifest& manifest) {
    const std::filesystem::path own(path_);
    std::string name = text(object, "library");
    if (name.empty()) name = own.stem().string() + ".so";
    if (name.find('/') != std::string::npos) wrong("names a \"library\" in another folder");
    manifest.library = (own.parent_path() / name).string();
  }
  void min_host_abi(const json::object& object, Manifest& manifest) {
    const std::string version = text(object, "min_host_abi");
    if (version.empty()) return;
    const char* end = version.data() + version.size();
    const auto major = std::from_chars(version.data(), end, manifest.min_abi_major);
    if (major.ec == std::errc() && major.ptr != end && *major.ptr == '.') {
      const auto minor = std::from_chars(major.ptr + 1, end, manifest.min_abi_minor);
      if (minor.ec == std::errc() && minor.ptr == end) return;
    }
    wrong_type("min_host_abi", "a version such as \"1.0\"");
  }

  Provide provide(const json::object& object) {
    Provide out;
    where_ = "the manifest";
    const std::string kind = text(object, "kind", true);
    out.name = text(object, "name", true);
    if (const auto known = kind_from_name(kind))
      out.kind = *known;
    else
      wrong(cat("has the unknown kind \"", kind, "\""));
    where_ = cat(kind, " '", out.name, "'");
    out.aliases = texts(object, "aliases");
    out.summary = text(object, "summary");
    out.extensions = texts(object, "extensions");
    out.schemes = texts(object, "schemes");
    out.filename = text(object, "filename");
    out.interfaces = texts(object, "interfaces");
    out.flags = texts(object, "flags");
    out.threads = threads(object);
    out.rank = static_cast<int>(number_within(object, "rank", -1000000, 1000000));
    out.replaces = flag(object, "replaces");
    each_object(object, "probe", [&](const json::object& rule) { probe_rule(rule, out); });
    options(object, out);
    return out;
  }
  instar_thread_model threads(const json::object& object) {
    const std::string name = text(object, "threads");
    if (name.empty() || name == "per-node") return INSTAR_THREADS_PER_NODE;
    if (name == "parallel") return INSTAR_THREADS_PARALLEL;
    if (name != "global") wrong_type("threads", "parallel, per-node or global");
    return INSTAR_THREADS_GLOBAL;
  }

  void probe_rule(const json::object& object, Provide& out) {
    ProbeRule rule;
    rule.by_code = flag(object, "code");
    out.probe_by_code |= rule.by_code;
    rule.score = static_cast<int>(number_within(object, "score", 0, 100));
    rule.only = probe_caller(object);
    each_object(object, "match",
                [&](const json::object& match) { rule.matches.push_back(probe_match(match)); });
    out.probe.push_back(std::move(rule));
  }
  ProbeCaller probe_caller(const json::object& object) {
    const std::string name = text(object, "only");
    if (name.empty()) return ProbeCaller::kAny;
    if (name == "qemu-img") return ProbeCaller::kQemuImg;
    if (name != "instar") wrong_type("only", "qemu-img or instar");
    return ProbeCaller::kInstar;
  }
  ProbeMatch probe_match(const json::object& object) {
    ProbeMatch match;
    match.name_ends = text(object, "name_ends");
    if (!match.name_ends.empty()) return match;
    match.offset = number_within(object, "offset", -512, INT32_MAX);
    match.bytes = bytes(object, "bytes");
    match.mask = bytes(object, "mask");
    if (object.if_contains("be32_min") != nullptr)
      match.be32_min = static_cast<uint32_t>(number_within(object, "be32_min", 0, UINT32_MAX));
    if (match.bytes.empty() == !match.be32_min)
      wrong("has a probe match without exactly one of \"bytes\", \"be32_min\" and \"name_ends\"");
    if (!match.mask.empty() && match.mask.size() != match.bytes.size())
      wrong("has a probe \"mask\" that is not as long as its \"bytes\"");
    return match;
  }
  std::string bytes(const json::object& object, std::string_view key) {
    const std::string digits = text(object, key);
    const auto raw = base::from_hex(digits);
    if (!raw) {
      wrong_type(key, "pairs of hexadecimal digits");
      return {};
    }
    return {raw->begin(), raw->end()};
  }

  void options(const json::object& object, Provide& out) {
    const auto* value = object.if_contains("options");
    if (value == nullptr) return;
    const auto* tables = value->if_object();
    if (tables == nullptr) return wrong_type("options", "an object");
    out.open_options = option_table(*tables, "open");
    out.create_options = option_table(*tables, "create");
    out.amend_options = option_table(*tables, "amend");
  }
  OptionSpecs::Rows option_table(const json::object& tables, std::string_view name) {
    OptionSpecs::Rows rows;
    each_object(tables, name, [&](const json::object& row) { option(row, rows); });
    return rows;
  }
  void option(const json::object& object, std::vector<OptionSpec>& table) {
    OptionSpec spec;
    spec.name = text(object, "name", true);
    spec.help = text(object, "help");
    spec.values = texts(object, "values");
    option_type(text(object, "type"), spec);
    if (const auto* value = object.if_contains("default"))
      spec.default_value = default_text(*value);
    spec.identity = flag(object, "identity");
    spec.extension = flag(object, "extension");
    if (object.contains("checked_as")) spec.checked_as = text(object, "checked_as");
    table.push_back(std::move(spec));
  }
  void option_type(std::string_view type, OptionSpec& spec) {
    if (type == "bool")
      spec.type = INSTAR_OPTION_BOOL;
    else if (type == "number")
      spec.type = INSTAR_OPTION_NUMBER;
    else if (type == "size")
      spec.type = INSTAR_OPTION_SIZE;
    else if (!type.empty() && type != "string" && type != "enum")
      wrong(cat("has the option '", spec.name, "' of the unknown type \"", type, "\""));
    if ((type == "enum") == spec.values.empty())
      wrong(
          cat("has the option '", spec.name, "', which needs \"values\" exactly if it is an enum"));
  }
  std::string default_text(const json::value& value) {
    if (const auto* string = value.if_string()) return std::string(view(*string));
    if (const auto* b = value.if_bool()) return *b ? "on" : "off";
    if (const auto* n = value.if_int64()) return std::to_string(*n);
    if (const auto* n = value.if_uint64()) return std::to_string(*n);
    wrong_type("default", "a text, number, true or false");
    return {};
  }

  const std::string& path_;
  std::string where_;
  std::string problem_;
};

Error parse_error(std::string_view text, size_t end, const std::string& path,
                  const std::string& what) {
  const auto upto = text.substr(0, std::min(end, text.size()));
  const auto line = 1 + std::count(upto.begin(), upto.end(), '\n');
  return fail(EINVAL, "manifest '", path, "': line ", line, ": ", what);
}

}  // namespace

struct OptionSpecs::Table {
  std::function<Rows()> make;
  Rows rows;
  std::once_flag once;
};

OptionSpecs::OptionSpecs(Rows rows) {
  if (rows.empty()) return;
  table_ = std::make_shared<Table>();
  table_->rows = std::move(rows);
}

OptionSpecs::OptionSpecs(std::function<Rows()> make) : table_(std::make_shared<Table>()) {
  table_->make = std::move(make);
}

const OptionSpecs::Rows& OptionSpecs::rows() const {
  static const Rows none;
  if (table_ == nullptr) return none;
  std::call_once(table_->once, [this] {
    if (table_->make) table_->rows = table_->make();
    table_->make = nullptr;
  });
  return table_->rows;
}

bool Provide::has_flag(std::string_view flag) const {
  return std::find(flags.begin(), flags.end(), flag) != flags.end();
}

const char* kind_name(uint32_t kind) {
  return kind > 0 && kind < kKindNames.size() ? kKindNames[kind] : "unknown";
}

std::optional<instar_kind> kind_from_name(std::string_view name) {
  for (size_t kind = 1; kind < kKindNames.size(); ++kind)
    if (name == kKindNames[kind]) return static_cast<instar_kind>(kind);
  return std::nullopt;
}

Result<Manifest> parse_manifest(std::string_view text, const std::string& path) {
  // Most manifests fit on the stack; the resource takes more from the heap when they don't.
  std::array<unsigned char, 32768> memory;
  json::monotonic_resource resource(memory.data(), memory.size());
  std::array<unsigned char, 4096> temporary;
  json::parser parser({}, {}, temporary.data(), temporary.size());
  parser.reset(&resource);
  boost::system::error_code ec;
  const size_t end = parser.write(text.data(), text.size(), ec);
  if (ec) return parse_error(text, end, path, ec.message());
  return Reader(path).read(parser.release());
}

const char* host_architecture() {
#if defined(__x86_64__)
  return "x86_64";
#elif defined(__aarch64__)
  return "aarch64";
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
  return "ppc64le";
#elif defined(__s390x__)
  return "s390x";
#elif defined(__riscv) && __riscv_xlen == 64
  return "riscv64";
#elif defined(__loongarch64)
  return "loongarch64";
#elif defined(__arm__)
  return "armv7l";
#elif defined(__i386__)
  return "i686";
#else
#error "name this machine as uname -m does, here and in tools/manifest_gen"
#endif
}

Status check_host(const Manifest& manifest) {
  const auto host = cat(INSTAR_ABI_MAJOR, ".", INSTAR_ABI_MINOR);
  if (manifest.min_abi_major != INSTAR_ABI_MAJOR || manifest.min_abi_minor > INSTAR_ABI_MINOR)
    return Error{ENOTSUP,
                 cat("plugin '", manifest.library, "' needs plugin ABI ", manifest.min_abi_major,
                     ".", manifest.min_abi_minor, ", this instar has ", host),
                 manifest.min_abi_major < INSTAR_ABI_MAJOR ? "Install a newer build of the plugin."
                                                           : "Update instar."};
  if (!manifest.architecture.empty() && manifest.architecture != host_architecture())
    return Error{ENOEXEC,
                 cat("plugin '", manifest.library, "' is built for ", manifest.architecture,
                     ", this is ", host_architecture()),
                 cat("Install the plugin's build for ", host_architecture(), ".")};
  return {};
}

}  // namespace instar::loader
