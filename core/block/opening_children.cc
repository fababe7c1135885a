// SPDX-License-Identifier: Apache-2.0
// The children of a node that is being opened: what options, an image or a user say of them.
#include "core/block/opening.hpp"
#include "core/options/filename.hpp"
#include "core/options/json_text.hpp"

namespace instar::block {

namespace {

constexpr const char* kBackingPrefix = "Could not open backing file: ";

bool names_a_file(const json::object& options) {
  return options.contains("filename") || options.contains("file.filename");
}

std::string text_or_empty(const char* text) {
  return text != nullptr ? text : "";
}

}  // namespace

/** What a child inherits. */
uint32_t Opening::child_flags(instar_child_role role, bool read_only) const {
  uint32_t flags = request_.flags & ~uint32_t{INSTAR_OPEN_NO_BACKING};
  if (role == INSTAR_CHILD_BACKING) {
    read_only = true;
    flags &= ~uint32_t{INSTAR_OPEN_CHECK | INSTAR_OPEN_UNMAP};
  } else if (driver_.provider == nullptr || driver_.kind() == NodeKind::kFormat) {
    flags |= INSTAR_OPEN_UNMAP;  // the format itself heeds the user's wish
  }
  if (role == INSTAR_CHILD_FILE) flags &= ~uint32_t{INSTAR_OPEN_NO_IO};
  flags &= ~uint32_t{INSTAR_OPEN_NO_SHARE | INSTAR_OPEN_RESIZE};
  // Only what the user writes to needs every write on the storage.
  flags &= ~uint32_t{INSTAR_OPEN_WRITETHROUGH};
  if (read_only) flags &= ~uint32_t{INSTAR_OPEN_WRITE};
  return flags;
}

/** The file below a format, before the format is known. */
Status Opening::open_file() {
  auto file_options = options::take_subtree(options_, "file.");
  if (const auto reference = take_reference("file")) {
    INSTAR_TRY(NodePtr node, graph_.find_node(*reference));
    children_.push_back({"file", INSTAR_CHILD_FILE, std::move(node)});
    return {};
  }
  if (!request_.filename && file_options.empty()) return {};
  NodeRequest below;
  below.filename = request_.filename;
  below.options = std::move(file_options);
  below.flags = child_flags(file_role(), false);
  below.permissions = child_permissions(request_.permissions, request_.flags, file_role());
  below.protocol = true;
  below.top = false;
  below.chain = request_.chain;
  INSTAR_TRY(NodePtr node, graph_.open_node(std::move(below)));
  if (const std::string& plain = node->names().exact_filename;
      node->kind() == NodeKind::kProtocol && !plain.empty() && !options::protocol_prefix(plain))
    INSTAR_CHECK(request_.chain.enter(plain));
  children_.push_back({"file", file_role(), std::move(node)});
  return {};
}

/** As far as it can be told before the driver asks for it. */
instar_child_role Opening::file_role() const {
  if (driver_.provider == nullptr) return INSTAR_CHILD_FILE;
  if (driver_.kind() == NodeKind::kFilter) return INSTAR_CHILD_FILTERED;
  if (driver_.name() != "raw") return INSTAR_CHILD_FILE;
  const bool window = options_.contains("offset") || options_.contains("size");
  return window ? INSTAR_CHILD_DATA : INSTAR_CHILD_FILTERED;
}

Result<uint32_t> Opening::open_child(const instar_child_request& request, instar_node** out) {
  const auto& opened = node_ != nullptr ? node_->children() : children_;
  for (uint32_t i = 0; i < opened.size(); ++i) {
    if (opened[i].name != request.name || request.reference != nullptr) continue;
    *out = const_cast<instar_node*>(opened[i].node->abi());
    if (node_ == nullptr) INSTAR_CHECK(settle_role(children_[i], request));
    return i;
  }
  INSTAR_TRY(NodePtr child, request_child(request));
  if (child == nullptr) return uint32_t{0};
  INSTAR_CHECK(apply_permissions(*child, permissions_of(request)));
  *out = const_cast<instar_node*>(child->abi());
  Child edge{request.name, static_cast<instar_child_role>(request.role), std::move(child)};
  if (node_ != nullptr) return node_->add_child(std::move(edge));
  children_.push_back(std::move(edge));
  return static_cast<uint32_t>(children_.size() - 1);
}

Permissions Opening::permissions_of(const instar_child_request& request) const {
  auto permissions = child_permissions(request_.permissions, request_.flags,
                                       static_cast<instar_child_role>(request.role));
  if (request.struct_size < sizeof request) return permissions;  // a driver from before these
  permissions.used |= request.taken;
  permissions.shared &= ~request.unshared;
  return permissions;
}

/** Now the driver says what the file below is to it. */
Status Opening::settle_role(Child& child, const instar_child_request& request) {
  child.role = static_cast<instar_child_role>(request.role);
  return apply_permissions(*child.node, permissions_of(request));
}

/** nullptr for an optional child that nobody names. */
Result<NodePtr> Opening::request_child(const instar_child_request& request) {
  const bool backing = request.role == INSTAR_CHILD_BACKING;
  if (backing && (request_.flags & INSTAR_OPEN_NO_BACKING) != 0) return NodePtr();
  const std::string name = request.name;
  auto options = options::take_subtree(options_, name + ".");
  const auto reference = take_reference(name);
  const bool optional = (request.flags & INSTAR_CHILD_OPTIONAL) != 0;
  const bool probed = (request.flags & INSTAR_CHILD_PROBED) != 0;  // then it is all that there is
  if (optional && !probed && request.role == INSTAR_CHILD_DATA &&
      (request_.flags & INSTAR_OPEN_NO_IO) != 0)
    return NodePtr();
  if (reference) {
    backing_overridden_ |= backing;
    auto node = graph_.find_node(*reference);
    if (!node && backing) node.error().message.insert(0, kBackingPrefix);
    return node;
  }
  const bool user_name =
      (request.flags & INSTAR_CHILD_USER_NAME) != 0 && request.reference != nullptr;
  if (options.empty() && text_or_empty(request.reference).empty() && !user_name) {
    if (optional || backing) return NodePtr();
    return fail(EINVAL, "A block device must be specified for \"", name, "\"");
  }
  return backing ? open_backing(request, std::move(options))
                 : open_data(request, std::move(options));
}

/** A node-name that the user gives for a child, taken out of the options. */
std::optional<std::string> Opening::take_reference(const std::string& name) {
  const auto* value = options_.if_contains(name);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  std::string reference = options::scalar_text(*value);
  options_.erase(name);
  return reference;
}

Result<NodePtr> Opening::open_backing(const instar_child_request& request, json::object options) {
  const std::string reference = text_or_empty(request.reference);
  NodeRequest below;
  below.flags = child_flags(INSTAR_CHILD_BACKING, true);
  below.permissions = permissions_of(request);
  below.top = false;
  if (!options.empty()) backing_overridden_ = true;
  const Node* file = opened_file();
  if (!reference.empty() && !names_a_file(options)) {
    INSTAR_TRY(below.filename, resolve_reference(*file, reference));
  }
  const auto open = [&]() -> Result<NodePtr> {
    if (below.filename) {
      INSTAR_CHECK(graph_.gate.admit(plain_name_of(*file), *below.filename));
      below.chain = request_.chain;  // what the user names may well be there twice
    }
    if (text_or_empty(request.format) != "" && !options.contains("driver"))
      options["driver"] = request.format;
    below.options = std::move(options);
    return graph_.open_node(std::move(below));
  };
  auto node = open();
  if (!node) node.error().message.insert(0, kBackingPrefix);
  return node;
}

/** A data file, an extent: opened as the protocol says, unless the user names a driver. */
Result<NodePtr> Opening::open_data(const instar_child_request& request, json::object options) {
  const std::string reference = text_or_empty(request.reference);
  NodeRequest below;
  const bool probed = (request.flags & INSTAR_CHILD_PROBED) != 0;
  const bool read_only = (request.flags & INSTAR_CHILD_READ_ONLY) != 0;
  below.flags = child_flags(static_cast<instar_child_role>(request.role), read_only);
  below.permissions = permissions_of(request);
  below.top = false;
  below.protocol = !probed;
  below.chain = request_.chain;
  if ((request.flags & INSTAR_CHILD_USER_NAME) != 0) {
    if (request.reference != nullptr) below.filename = reference;
  } else if (!reference.empty() && !names_a_file(options)) {
    const Node* file = opened_file();
    if (file == nullptr) return fail(EINVAL, "An image without a file names '", reference, "'");
    if ((request.flags & INSTAR_CHILD_PLAIN_NAME) != 0) {
      const bool odd = options::protocol_prefix(reference).has_value();
      INSTAR_CHECK(graph_.gate.admit(plain_name_of(*file), odd ? "./" + reference : reference));
      options["filename"] = reference;
    } else {
      INSTAR_TRY(below.filename, resolve_reference(*file, reference));
      INSTAR_CHECK(graph_.gate.admit(plain_name_of(*file), *below.filename));
    }
  }
  if (text_or_empty(request.format) != "" && !options.contains("driver"))
    options["driver"] = request.format;
  below.options = std::move(options);
  return graph_.open_node(std::move(below));
}

std::string plain_name_of(const Node& node) {
  for (const Node* at = &node; at != nullptr; at = at->file()) {
    if (at->kind() == NodeKind::kProtocol) return at->names().exact_filename;
    // Copies of a file may lie in different folders.
    if (at->children().size() > 1 && at->child("file") == nullptr) break;
  }
  return {};
}

Result<std::string> resolve_reference(const Node& image_file, const std::string& reference) {
  if (options::protocol_prefix(reference) || options::is_absolute_path(reference)) return reference;
  const std::string base = plain_name_of(image_file);
  if (base.empty())
    return fail(EINVAL, "Cannot generate a base directory for ", image_file.driver(), " nodes");
  return options::combine_paths(base, reference);
}

}  // namespace instar::block
