// SPDX-License-Identifier: Apache-2.0
// Which driver opens a name.
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "core/block/graph_private.hpp"
#include "core/options/filename.hpp"
#include "sdk/abi/forward.h"

namespace instar::block {

namespace {

constexpr size_t kProbeSize = 512;
constexpr size_t kMaxNodeName = 31;

std::string device_driver(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) == 0 && (S_ISBLK(info.st_mode) || S_ISCHR(info.st_mode)))
    return "host_device";
  return "file";
}

Error with_hint(Error error, std::string hint) {
  error.hint = std::move(hint);
  return error;
}

/** The first bytes of a file, fewer if there are no more. @param size nothing: not known yet. */
Result<size_t> read_head(const Call& call, Node& file, std::optional<uint64_t> size,
                         sdk::Bytes to) {
  sdk::OutgoingCall outgoing(&call);
  if (size) {
    const size_t length = std::min<uint64_t>(*size, to.size());
    INSTAR_CHECK(file.read(Call(outgoing.abi()), 0, to.data(), length));
    return length;
  }
  void* self = nullptr;
  const auto* ops = file.interface<instar_forward_ops>(INSTAR_FORWARD_ID, &self);
  const int64_t n = ops->read(self, outgoing.abi(), 0, to.data(), to.size());
  if (n < 0) return outgoing.error(n);
  return static_cast<size_t>(n);
}

bool well_formed(const std::string& name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (name.empty() || !letter(name[0])) return false;
  for (const char c : name)
    if (!letter(c) && !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_') return false;
  return true;
}

}  // namespace

NodeKind Driver::kind() const {
  switch (provider->kind()) {
    case INSTAR_KIND_PROTOCOL:
      return NodeKind::kProtocol;
    case INSTAR_KIND_FILTER:
      return NodeKind::kFilter;
    default:
      return NodeKind::kFormat;
  }
}

Result<Driver> Graph::Private::find_driver(std::string_view name) {
  if (const Provider* provider = registry.find_driver(name)) return Driver{provider};
  return with_hint(fail(EINVAL, "Unknown driver '", name, "'"), registry.driver_hint(name));
}

Result<Driver> Graph::Private::find_protocol(const std::string& filename, bool allow_prefix) {
  const auto prefix = allow_prefix ? options::protocol_prefix(filename) : std::nullopt;
  if (!prefix) {
    const std::string name = device_driver(filename);
    if (const Provider* provider = registry.find_protocol(name)) return Driver{provider};
    return find_driver("file");
  }
  if (const Provider* provider = registry.protocol_for_scheme(*prefix)) return Driver{provider};
  return with_hint(fail(EINVAL, "Unknown protocol '", *prefix, "'"), registry.scheme_hint(*prefix));
}

Result<Driver> Graph::Private::probe(Node& file, const std::string& filename, bool packed) {
  void* self = nullptr;
  std::optional<uint64_t> known;
  if (file.interface<instar_forward_ops>(INSTAR_FORWARD_ID, &self) == nullptr) {
    INSTAR_TRY(known, file.size());
    if (known == 0) return find_driver("raw");
  }
  std::array<uint8_t, kProbeSize> head{};
  instar_call messages = users_call();
  const Call call(&messages);
  const auto len = read_head(call, file, known, head);
  if (!len)
    return with_hint(fail(len.error().code, "Could not read image for determining its format: ",
                          errno_text(len.error().code)),
                     packed ? len.error().hint : "");
  if (*len == 0) return find_driver("raw");
  std::array<uint8_t, 2 * kProbeSize> tail{};
  size_t tail_len = 0;
  if (registry.wants_tail(packed ? filename : "")) {
    INSTAR_TRY(const uint64_t size, file.size());
    tail_len = size > *len ? std::min<uint64_t>(size, tail.size()) : 0;
    // Whatever can't be read there is no format's mark.
    if (tail_len != 0 && !file.read(call, size - tail_len, tail.data(), tail_len)) tail_len = 0;
  }
  const auto probed = registry.probe({head.data(), *len}, filename, {tail.data(), tail_len});
  if (probed.provider != nullptr) return Driver{probed.provider};
  return find_driver("raw");
}

Result<std::string> Graph::Private::pick_node_name(const std::string& wanted) {
  if (wanted.empty()) {
    // Not by std::random_device, which asks the CPU what it can do: slow in a virtual machine.
    unsigned random = 0;
    if (getentropy(&random, sizeof random) != 0) random = next_node;
    const unsigned salt = random % 100;
    return cat("#block", next_node++, salt < 10 ? "0" : "", salt);
  }
  if (!well_formed(wanted)) return fail(EINVAL, "Invalid node-name: '", wanted, "'");
  if (wanted.size() > kMaxNodeName) return fail(EINVAL, "Node name too long");
  if (const auto found = nodes.find(wanted); found != nodes.end() && !found->second.expired())
    return fail(EINVAL, "Duplicate nodes with node-name='", wanted, "'");
  return wanted;
}

Result<NodePtr> Graph::Private::find_node(const std::string& name) const {
  if (const auto found = nodes.find(name); found != nodes.end())
    if (auto node = found->second.lock()) return node;
  return fail(ENODEV, "Cannot find device='", name, "' nor node-name='", name, "'");
}

options::OptionTable table_of(const std::vector<loader::OptionSpec>& specs) {
  std::vector<options::OptionSpec> converted;
  for (const auto& spec : specs) {
    options::OptionSpec out;
    out.name = spec.name;
    out.default_text = spec.default_value;
    out.help = spec.help;
    out.values = spec.values;
    out.checked_as = spec.checked_as;
    out.extension = spec.extension;
    switch (spec.type) {
      case INSTAR_OPTION_BOOL:
        out.type = options::OptionType::kBool;
        break;
      case INSTAR_OPTION_NUMBER:
        out.type = options::OptionType::kNumber;
        break;
      case INSTAR_OPTION_SIZE:
        out.type = options::OptionType::kSize;
        break;
      case INSTAR_OPTION_STRING:
        out.type = spec.values.empty() ? options::OptionType::kString : options::OptionType::kEnum;
        break;
    }
    converted.push_back(std::move(out));
  }
  return options::OptionTable(std::move(converted));
}

}  // namespace instar::block
