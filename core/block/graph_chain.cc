// SPDX-License-Identifier: Apache-2.0
// What commands do with the images of a backing chain: find them by name, open them once more, and
// change what their creation has set.
#include <cstdlib>

#include "core/block/graph_private.hpp"
#include "core/options/filename.hpp"
#include "core/options/json_text.hpp"
#include "sdk/abi/amend.h"

namespace instar::block {

namespace {

using options::BoundOptions;
using sdk::OutgoingCall;

/** As realpath(3) has it; "" where there is no such file. */
std::string real_path(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                         &std::free);
  return real != nullptr ? real.get() : "";
}

/** Whether options of the user say what the backing file is, not the image. */
bool has_given_backing(const Node& overlay) {
  const auto document = options::parse_json(overlay.names().options);
  return document && document->is_object() && document->as_object().contains("backing");
}

bool is_called(const Node& overlay, const Node& below, const std::string& name) {
  if (has_given_backing(overlay)) return below.filename() == name;  // then only by its full name
  const std::string plain = plain_name_of(below);
  if (name.empty()) return false;
  // Only what is no path is compared as it stands.
  if (plain.empty() || options::protocol_prefix(name) || options::protocol_prefix(plain))
    return below.filename() == name || (!plain.empty() && plain == name);
  const auto full = overlay.file() != nullptr ? resolve_reference(*overlay.file(), name)
                                              : Result<std::string>(name);
  const std::string real = full ? real_path(*full) : "";
  return !real.empty() && real == real_path(plain);
}

/** Protocol nodes below `node`, but for its backing file, let others write from now on. */
Status share(const Node& node) {
  if (node.kind() == NodeKind::kProtocol)
    return apply_permissions(node, {INSTAR_PERMISSION_READ, INSTAR_PERMISSION_ALL});
  for (const auto& child : node.children())
    if (child.role != INSTAR_CHILD_BACKING) INSTAR_CHECK(share(*child.node));
  return {};
}

}  // namespace

Node* Graph::find_backing(Node& top, const std::string& name) {
  Node* overlay = &top;
  for (Node* below = top.backing(); below != nullptr; below = below->backing()) {
    if (is_called(*overlay, *below, name)) return below;
    overlay = below;
  }
  return nullptr;
}

Result<NodePtr> Graph::open_backing(const Node& image, const OpenSpec& spec) {
  OpenSpec full = spec;
  const bool relative =
      !options::protocol_prefix(spec.filename) && !options::is_absolute_path(spec.filename);
  if (relative && image.names().exact_filename.empty())
    return fail(EINVAL,
                "Could not resolve backing filename: Cannot use relative backing file names for '",
                image.filename(), "'");
  auto resolved = image.file() != nullptr ? resolve_reference(*image.file(), spec.filename)
                                          : Result<std::string>(spec.filename);
  if (!resolved) {
    resolved.error().message.insert(0, "Could not resolve backing filename: ");
    return std::move(resolved).error();
  }
  full.filename = *std::move(resolved);
  auto opened = private_->open_image(full);
  if (!opened)
    opened.error().message =
        cat("Could not open new backing file '", spec.filename, "': ", opened.error().message);
  return opened;
}

Result<NodePtr> Graph::open_writable(Node& node) {
  INSTAR_TRY(json::value document, options::parse_json(node.names().options));
  if (!document.is_object()) return fail(EINVAL, "'", node.filename(), "' can't be opened again");
  INSTAR_CHECK(share(node));
  NodeRequest request;
  request.options = options::flatten(document.as_object());
  request.flags = node.open_flags() | INSTAR_OPEN_WRITE | INSTAR_OPEN_RESIZE | INSTAR_OPEN_UNMAP;
  request.permissions = top_permissions(request.flags);
  return private_->open_node(std::move(request));
}

namespace {

/** What amend gets, after its options were checked. */
struct Amendment {
  const instar_amend_ops* ops;
  void* self;
  BoundOptions options;
};

Result<Amendment> plan_amendment(Graph::Private& graph, Node& image, const std::string& options) {
  INSTAR_TRY(const Driver driver, graph.find_driver(image.driver()));
  const auto& info = driver.provider->info();
  void* self = nullptr;
  const auto* ops = image.interface<instar_amend_ops>(INSTAR_AMEND_ID, &self);
  if (info.amend_options.empty() || ops == nullptr || ops->amend == nullptr)
    return fail(ENOTSUP, "Format driver '", driver.name(), "' does not support option amendment");
  BoundOptions bound(table_of(info.amend_options));
  if (auto set = bound.set_all(options); !set) {
    options::OptionTable all = table_of(info.amend_options);
    all.append(table_of(info.create_options));
    if (BoundOptions(std::move(all)).set_all(options))
      set.error().hint = "This option is only supported for image creation";
    return std::move(set).error();
  }
  INSTAR_CHECK(bound.check_values());
  return Amendment{ops, self, std::move(bound)};
}

}  // namespace

Status Graph::check_amend(Node& image, const std::string& options) {
  INSTAR_TRY(const auto amendment, plan_amendment(*private_, image, options));
  (void)amendment;
  return {};
}

Status Graph::amend(Node& image, const std::string& options, bool force,
                    const instar_progress& progress) {
  INSTAR_TRY(const auto amendment, plan_amendment(*private_, image, options));
  const auto items = amendment.options.to_abi();
  const instar_options given{items.data(), items.size()};
  OutgoingCall call;
  if (progress.report != nullptr) progress.report(progress.opaque, 0, 1);
  const int result =
      amendment.ops->amend(amendment.self, call.abi(), &given, force ? 1 : 0, &progress);
  if (progress.report != nullptr) progress.report(progress.opaque, 1, 1);
  return call.status(result);
}

}  // namespace instar::block
