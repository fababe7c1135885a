// SPDX-License-Identifier: Apache-2.0
// The image below: a name and an identity in the descriptor.
#include "plugins/formats/vmdk/image.hpp"
#include "sdk/abi/graph.h"
#include "sdk/cpp/json_reader.hpp"
#include "sdk/cpp/parent_name.hpp"

namespace instar::vmdk {

using sdk::Call;
using sdk::fail;
using sdk::Result;
using sdk::Status;

Result<uint32_t> cid_of_parent(const sdk::Host& host, const Call& call, const std::string& image,
                               const std::string& name) {
  const auto* graph = host.service<instar_graph_ops>(INSTAR_GRAPH_ID);
  if (graph == nullptr) return fail(ENOTSUP, "the host has no graph");
  const std::string full = sdk::name_beside(image, name);
  instar_image_spec spec{};
  spec.struct_size = sizeof spec;
  spec.open_flags = INSTAR_OPEN_NO_IO | INSTAR_OPEN_NO_BACKING;
  spec.filename = full.c_str();
  sdk::StringSink sink;
  sdk::OutgoingCall describing(&call);
  INSTAR_CHECK(
      describing.status(graph->describe(host.abi(), describing.abi(), &spec, 0, sink.abi())));
  const sdk::JsonObject json(sink.text);
  const std::string format = json.string("format").value_or("");
  if (format != "vmdk")
    return fail(EINVAL, "Invalid backing file format: ", format, ". Must be vmdk");
  const auto cid = json.object("format-specific").object("data").number("cid");
  if (!cid) return fail(EINVAL, "Failed to read parent CID");
  return static_cast<uint32_t>(*cid);
}

Status Image::change_backing(const Call& call, const char* filename, const char* format) {
  const std::string name = filename != nullptr ? filename : "";
  // What the image reads as is not known: only who has not opened the parent may let go of it.
  if (backing_ && !backing_trusted_) return fail(EINVAL, sdk::errno_text(EINVAL));
  if (name.size() > kLongestBackingName) return fail(ENOSPC, sdk::errno_text(ENOSPC));
  if (name.find('"') != name.npos || (format != nullptr && std::string_view(format) != "vmdk"))
    return fail(EINVAL, sdk::errno_text(EINVAL));
  uint32_t cid = UINT32_MAX;
  if (!name.empty()) {
    INSTAR_TRY(cid, cid_of_parent(host_, call, filename_, name));
  }
  INSTAR_CHECK(begin_change(call));
  INSTAR_CHECK(flush(call));
  const std::lock_guard lock(mutex_);
  INSTAR_TRY(const std::string text, descriptor_text(call));
  INSTAR_CHECK(write_descriptor(call, replace_parent(text, name, cid)));
  parent_cid_ = cid;
  backing_name_ = name;
  return file_.flush(call);
}

}  // namespace instar::vmdk
