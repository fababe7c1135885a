// SPDX-License-Identifier: Apache-2.0
// How nodes are printed back: by a plain name where that opens the same thing again, else as
// json:{…}.
#include <algorithm>

#include "core/block/graph_private.hpp"
#include "core/options/json_text.hpp"

namespace instar::block {

namespace {

/** What decides the content; the rest (caches, locks) is left out of names. */
json::object identity_of(const Driver& driver, const json::object& given) {
  json::object kept;
  for (const auto& spec : driver.provider->info().open_options)
    if (const auto* value = given.if_contains(spec.name);
        value != nullptr && (spec.identity || (driver.is_protocol() && spec.name == "filename")))
      kept.emplace(spec.name, *value);
  return kept;
}

json::object parsed(const std::string& text) {
  auto value = options::parse_driver_json(text);
  return value && value->is_object() ? std::move(value->as_object()) : json::object{};
}

/** A protocol's own: the name it was opened by, or its file name if that says it all. */
std::string protocol_name(const Driver& driver, const json::object& identity,
                          std::string_view plain_name) {
  if (!plain_name.empty()) {
    const bool all = std::all_of(identity.begin(), identity.end(),
                                 [](const auto& entry) { return entry.key() == "filename"; });
    return all ? std::string(plain_name) : std::string{};
  }
  const auto& schemes = driver.provider->info().schemes;
  if (!identity.empty() || schemes.empty()) return {};
  return cat(schemes[0], "://");
}

/** The file's name, if the format would be opened from it in just the same way. */
std::string format_name(const Driver& driver, const json::object& identity, const Node& node,
                        bool backing_overridden) {
  const Node* file = node.file();
  const bool plain = driver.kind() == NodeKind::kFormat && identity.empty() &&
                     !backing_overridden && file != nullptr && file->kind() == NodeKind::kProtocol;
  return plain ? file->names().exact_filename : std::string{};
}

}  // namespace

NodeNames make_names(const Driver& driver, const json::object& given, const Node& node,
                     std::string_view plain_name, bool backing_overridden) {
  json::object identity = identity_of(driver, given);
  NodeNames names;
  names.exact_filename = driver.is_protocol()
                             ? protocol_name(driver, identity, plain_name)
                             : format_name(driver, identity, node, backing_overridden);
  json::object document;
  document["driver"] = driver.name();
  for (auto& [key, value] : identity)
    document[key] = std::move(value);
  for (const auto& child : node.children())
    if (child.role != INSTAR_CHILD_BACKING || backing_overridden)
      document[child.name] = parsed(child.node->names().options);
  if (backing_overridden && node.child("backing") == nullptr) document["backing"] = nullptr;
  names.options = options::compact_json(document);
  names.filename =
      !names.exact_filename.empty() ? names.exact_filename : cat("json:", names.options);
  return names;
}

}  // namespace instar::block
