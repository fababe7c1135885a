// SPDX-License-Identifier: Apache-2.0
// The image-info document.
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <set>

#include "core/block/graph_private.hpp"
#include "core/options/filename.hpp"
#include "core/options/json_text.hpp"
#include "sdk/abi/info.h"
#include "sdk/abi/snapshot.h"

namespace instar::block {

namespace {

using sdk::OutgoingCall;
using sdk::StringSink;

/** What the driver itself says. */
Result<json::object> own_info(const Node& node) {
  void* self = nullptr;
  const auto* ops = node.interface<instar_info_ops>(INSTAR_INFO_ID, &self);
  if (ops == nullptr || ops->describe == nullptr) return json::object{};
  OutgoingCall call;
  StringSink sink;
  INSTAR_CHECK(call.status(ops->describe(self, call.abi(), sink.abi())));
  INSTAR_TRY(json::value value, options::parse_driver_json(sink.text));
  if (!value.is_object()) return fail(EIO, "Driver '", node.driver(), "' gave no description");
  return std::move(value.as_object());
}

Status add_snapshots(const Node& node, json::object& out) {
  void* self = nullptr;
  const auto* ops = node.interface<instar_snapshot_ops>(INSTAR_SNAPSHOT_ID, &self);
  if (ops == nullptr) return {};
  OutgoingCall call;
  StringSink sink;
  INSTAR_CHECK(call.status(ops->list(self, call.abi(), sink.abi())));
  INSTAR_TRY(json::value value, options::parse_driver_json(sink.text));
  if (const auto* array = value.if_array(); array != nullptr && !array->empty())
    out["snapshots"] = std::move(value);
  return {};
}

void add_backing(const Node& node, json::object& out) {
  const auto* recorded = out.if_contains("backing-filename");
  if (recorded == nullptr || node.file() == nullptr) return;
  if (auto full = resolve_reference(*node.file(), options::scalar_text(*recorded)))
    out["full-backing-filename"] = *full;
}

Result<json::object> document_of(const Node& node) {
  INSTAR_TRY(json::object out, own_info(node));
  if (const auto* encrypted = out.if_contains("encrypted");
      encrypted != nullptr && *encrypted == json::value(false))
    out.erase("encrypted");
  // Before any child's: if it has to be found, it may matter who wants to know (instar.forward/1).
  INSTAR_TRY(const uint64_t size, node.size());
  json::array children;
  const auto& edges = node.children();
  for (auto edge = edges.rbegin(); edge != edges.rend(); ++edge) {  // QEMU lists the newest first
    INSTAR_TRY(json::object info, document_of(*edge->node));
    children.push_back(json::object{{"name", edge->name}, {"info", std::move(info)}});
  }
  out["children"] = std::move(children);
  out["virtual-size"] = size;
  out["filename"] = node.filename();
  out["format"] = node.driver();
  OutgoingCall call;
  if (const int64_t allocated = node.allocated_size(Call(call.abi())); allocated >= 0)
    out["actual-size"] = allocated;
  INSTAR_CHECK(add_snapshots(node, out));
  add_backing(node, out);
  return out;
}

std::string text_field(const json::object& document, const char* key) {
  const auto* value = document.if_contains(key);
  return value != nullptr ? options::scalar_text(*value) : std::string{};
}

}  // namespace

Result<std::string> Graph::describe(Node& node) {
  INSTAR_TRY(const json::object document, document_of(node));
  return json::serialize(document);
}

Result<std::string> Graph::describe_chain(const OpenSpec& spec) {
  json::array documents;
  std::set<std::string> seen;
  OpenSpec next = spec;
  next.flags |= INSTAR_OPEN_NO_BACKING | INSTAR_OPEN_NO_IO;
  while (true) {
    if (!seen.insert(next.filename).second)
      return fail(EINVAL, "Backing file '", next.filename, "' creates an infinite loop.");
    if (documents.size() > kMaxChainDepth)
      return fail(ELOOP, "'", next.filename, "' is deeper than ", kMaxChainDepth,
                  " files down the backing chain");
    INSTAR_TRY(const NodePtr node, open(next));
    INSTAR_TRY(json::object document, document_of(*node));
    const std::string below = text_field(document, "full-backing-filename");
    next.format = recorded_format(text_field(document, "backing-filename-format"));
    documents.push_back(std::move(document));
    if (below.empty()) return json::serialize(documents);
    INSTAR_CHECK(private_->gate.admit(plain_name_of(*node), below));
    next.filename = below;
    next.image_opts = false;
    next.snapshot.reset();
  }
}

}  // namespace instar::block
