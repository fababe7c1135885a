// SPDX-License-Identifier: Apache-2.0
#include "core/block/graph.hpp"

#include <boost/json/array.hpp>

#include "core/block/graph_private.hpp"
#include "core/block/upload.hpp"
#include "core/options/json_text.hpp"
#include "core/options/option_text.hpp"
#include "sdk/abi/snapshot.h"

namespace instar::block {

namespace {

using sdk::OutgoingCall;
using sdk::StringSink;

std::string_view view(const json::string& text) {
  return {text.data(), text.size()};
}

/** ID_OR_NAME, or "snapshot.id=…,snapshot.name=…". */
struct SnapshotWish {
  std::string any;
  std::optional<std::string> id;
  std::optional<std::string> name;
};

Result<SnapshotWish> parse_snapshot(const std::string& text) {
  SnapshotWish wish;
  if (!text.starts_with("snapshot.")) {
    wish.any = text;
    return wish;
  }
  for (const auto& option : options::split_options(text)) {
    if (option.name == "snapshot.id")
      wish.id = option.value;
    else if (option.name == "snapshot.name")
      wish.name = option.value;
    else
      return fail(EINVAL, "Failed in parsing snapshot param '", text, "'");
  }
  return wish;
}

/** The id of the snapshot that is meant: by id over the whole table first, then by name. */
std::optional<std::string> find_snapshot(const json::array& table, const SnapshotWish& wish) {
  const auto field = [](const json::value& snapshot, const char* key) -> std::string_view {
    const auto* object = snapshot.if_object();
    const auto* value = object != nullptr ? object->if_contains(key) : nullptr;
    const auto* text = value != nullptr ? value->if_string() : nullptr;
    return text != nullptr ? view(*text) : std::string_view{};
  };
  const auto search = [&](auto matches) -> std::optional<std::string> {
    for (const auto& snapshot : table)
      if (matches(snapshot)) return std::string(field(snapshot, "id"));
    return std::nullopt;
  };
  if (wish.id || wish.name)
    return search([&](const json::value& snapshot) {
      return (!wish.id || field(snapshot, "id") == *wish.id) &&
             (!wish.name || field(snapshot, "name") == *wish.name);
    });
  if (auto by_id = search([&](const json::value& s) { return field(s, "id") == wish.any; }))
    return by_id;
  return search([&](const json::value& s) { return field(s, "name") == wish.any; });
}

}  // namespace

std::optional<CacheMode> parse_cache_mode(std::string_view name) {
  if (name == "none" || name == "off") return CacheMode{true, false, false};
  if (name == "directsync") return CacheMode{true, false, true};
  if (name == "writeback") return CacheMode{};
  if (name == "unsafe") return CacheMode{false, true, false};
  if (name == "writethrough") return CacheMode{false, false, true};
  return std::nullopt;
}

Graph::Graph(registry::Registry& registry, ReferencePolicy policy, Messages messages)
    : registry_(registry), private_(std::make_unique<Private>(registry, policy, messages)) {}

Graph::~Graph() = default;

void Graph::Private::warn(std::string_view text, std::string_view more) const {
  if (messages.warn != nullptr) messages.warn(messages.opaque, text, more);
}

void Graph::Private::caution(std::string_view text, std::string_view more) const {
  if (messages.caution != nullptr) messages.caution(messages.opaque, text, more);
}

Graph::Private::Private(registry::Registry& registry_, ReferencePolicy policy, Messages messages_)
    : registry(registry_), gate(policy), messages(messages_) {}

Graph::Private::~Private() = default;

instar_call Graph::Private::users_call() const {
  instar_call call{};
  call.struct_size = sizeof call;
  call.opaque = const_cast<Private*>(this);
  call.cancelled = messages.cancelled;
  // Lines behind the first one are a hint, printed as they are.
  call.warn = [](instar_call* abi, const char* text, size_t length) {
    const auto& graph = *static_cast<const Private*>(abi->opaque);
    const std::string_view all(text, length);
    const size_t end = all.find('\n');
    graph.warn(all.substr(0, end), end == std::string_view::npos ? "" : all.substr(end + 1));
  };
  return call;
}

Result<NodePtr> Graph::open(const OpenSpec& spec) {
  auto node = private_->open_image(spec);
  if (!node) {
    Error error = std::move(node).error();
    error.message = cat("Could not open '", spec.filename, "': ", error.message);
    return error;
  }
  if (spec.snapshot) INSTAR_CHECK(private_->load_snapshot(**node, *spec.snapshot));
  return node;
}

Result<NodePtr> Graph::Private::open_image(const OpenSpec& spec) {
  NodeRequest request;
  request.flags = spec.flags;
  if (spec.cache.direct) request.flags |= INSTAR_OPEN_NO_CACHE;
  if (spec.cache.no_flush) request.flags |= INSTAR_OPEN_NO_FLUSH;
  if (spec.cache.writethrough) request.flags |= INSTAR_OPEN_WRITETHROUGH;
  request.permissions = top_permissions(request.flags);
  if (spec.image_opts) {
    auto read = options::read_image_options(spec.filename);
    for (const auto& warning : read.warnings)
      warn(warning.message, warning.hint + "\n");
    request.options = std::move(read.flat);
  } else {
    request.filename = spec.filename;
  }
  if (!spec.options.empty())
    for (auto& [key, value] : options::read_image_options(spec.options).flat)
      request.options[key] = std::move(value);
  if (spec.format) request.options["driver"] = *spec.format;
  return open_node(std::move(request));
}

Status Graph::Private::load_snapshot(Node& node, const std::string& text) {
  INSTAR_TRY(const SnapshotWish wish, parse_snapshot(text));
  void* self = nullptr;
  const auto* ops = node.interface<instar_snapshot_ops>(INSTAR_SNAPSHOT_ID, &self);
  if (ops == nullptr || ops->load == nullptr || node.filtered() != nullptr)
    return fail(ENOTSUP, "Failed to load snapshot: Block format '", node.driver(),
                "' used by device '' does not support temporarily loading internal snapshots");
  OutgoingCall list_call;
  StringSink sink;
  INSTAR_CHECK(list_call.status(ops->list(self, list_call.abi(), sink.abi())));
  INSTAR_TRY(const json::value table, options::parse_driver_json(sink.text));
  const auto* array = table.if_array();
  const auto id = array != nullptr ? find_snapshot(*array, wish) : std::nullopt;
  if (!id) return fail(ENOENT, "Failed to load snapshot: Can't find snapshot");
  OutgoingCall call;
  const int result = ops->load(self, call.abi(), id->c_str());
  if (result >= 0) return {};
  Error error = call.error(result);
  error.message = cat("Failed to load snapshot: ", error.message);
  return error;
}

}  // namespace instar::block
