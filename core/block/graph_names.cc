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
  for (const auto& spec : driver.provider->info().open_options) {
    if (!spec.identity && !(driver.is_protocol() && spec.name == "filename")) continue;
    for (const auto& [key, value] : given) {
      const std::string_view name(key.data(), key.size());
      if (spec.is_prefix() ? name.starts_with(spec.name) : name == spec.name)
        kept.emplace(key, value);
    }
  }
  return kept;
}

/** The same members, the last one first: so that what was printed is printed in that order again. */
json::value mirrored(const json::value& value) {
  if (const auto* array = value.if_array()) {
    json::array copy;
    for (const auto& item : *array)
      copy.push_back(mirrored(item));
    return copy;
  }
  const auto* object = value.if_object();
  if (object == nullptr) return value;
  json::object copy;
  for (size_t i = object->size(); i-- > 0;) {
    const auto& member = object->begin()[static_cast<ptrdiff_t>(i)];
    copy.emplace(member.key(), mirrored(member.value()));
  }
  return copy;
}

json::value parsed(const std::string& text) {
  const auto value = options::parse_driver_json(text);
  return value && value->is_object() ? mirrored(*value) : json::value(json::object{});
}

/** A protocol's own: what the driver says, else the name it was opened by, or its file name if that
 * says it all. */
std::string protocol_name(const Driver& driver, const json::object& identity, const Node& node,
                          std::string_view plain_name) {
  if (auto told = node.told_filename()) return *told;
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
                     !backing_overridden && file != nullptr && file->kind() != NodeKind::kFormat;
  return plain ? file->names().exact_filename : std::string{};
}

/** By the manifest's form ("blkdebug:{config}:{image}"), if all of the identity is in there and all
 * children have plain names. */
std::string filter_name(const Driver& driver, const json::object& identity, const Node& node) {
  std::string_view form = driver.provider->info().filename;
  size_t told = 0;
  std::string name;
  while (!form.empty()) {
    const size_t open = std::min(form.find('{'), form.size());
    const size_t close = std::min(form.find('}', open), form.size());
    name += form.substr(0, open);
    if (close == form.size()) break;
    const auto key = form.substr(open + 1, close - open - 1);
    form.remove_prefix(close + 1);
    if (const Node* child = node.child(key)) {
      if (child->names().exact_filename.empty()) return {};
      name += child->names().exact_filename;
    } else if (const auto* value = identity.if_contains(key)) {
      name += options::scalar_text(*value);
      ++told;
    }
  }
  return told == identity.size() ? name : std::string{};
}

/** "children.0" and so on are a list. */
void add_child(json::object& document, const Driver& driver, const Child& child) {
  constexpr std::string_view kMember = "children.";
  json::value value = parsed(child.node->names().options);
  if (driver.kind() != NodeKind::kFilter || !child.name.starts_with(kMember)) {
    document[child.name] = std::move(value);
    return;
  }
  auto& list = document["children"];
  if (!list.is_array()) list.emplace_array();
  list.get_array().push_back(std::move(value));
}

}  // namespace

NodeNames make_names(const Driver& driver, const json::object& given, const Node& node,
                     std::string_view plain_name, bool backing_overridden) {
  json::object identity = identity_of(driver, given);
  NodeNames names;
  if (driver.is_protocol())
    names.exact_filename = protocol_name(driver, identity, node, plain_name);
  else if (driver.is_named_filter())
    names.exact_filename = filter_name(driver, identity, node);
  else
    names.exact_filename = format_name(driver, identity, node, backing_overridden);
  json::object document;
  document["driver"] = driver.name();
  for (auto& [key, value] : identity)
    document[key] = std::move(value);
  for (const auto& child : node.children())
    if (child.role != INSTAR_CHILD_BACKING || backing_overridden)
      add_child(document, driver, child);
  if (backing_overridden && node.child("backing") == nullptr) document["backing"] = nullptr;
  names.options = options::compact_json(document);
  names.filename =
      !names.exact_filename.empty() ? names.exact_filename : cat("json:", names.options);
  return names;
}

}  // namespace instar::block
