// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vmdk/image.hpp"

namespace instar::vmdk {

using sdk::Block;
using sdk::Call;
using sdk::fail;
using sdk::Result;
using sdk::Status;

void Image::info(sdk::JsonWriter& json) const {
  json.begin_object().field("dirty-flag", false);
  if (!extents_.empty() && extents_.front().sparse && uniform())
    json.field("cluster-size", extents_.front().sparse->layout().grain_bytes());
  if (!backing_name_.empty())
    json.field("backing-filename", backing_name_).field("backing-filename-format", "vmdk");
  json.key("format-specific").begin_object().field("type", "vmdk").key("data").begin_object();
  json.field("cid", cid_).field("parent-cid", parent_cid_).field("create-type", create_type_);
  json.key("extents").begin_array();
  for (const auto& extent : extents_) {
    json.begin_object();
    if (extent.compressed()) json.field("compressed", true);
    json.field("virtual-size", extent.size).field("filename", extent.filename);
    if (extent.sparse) json.field("cluster-size", extent.sparse->layout().grain_bytes());
    json.field("format", extent.type).end_object();
  }
  json.end_array().end_object().end_object().end_object();
}

/** Of all files. */
Result<uint64_t> Image::allocated_size() {
  uint64_t sum = 0;
  const auto add = [&](const sdk::HostFile& file) -> Status {
    void* self = nullptr;
    const auto* ops = file.node().interface<instar_info_ops>(INSTAR_INFO_ID, &self);
    if (ops == nullptr || ops->allocated_size == nullptr)
      return fail(ENOTSUP, sdk::errno_text(ENOTSUP));
    sdk::OutgoingCall call;
    const int64_t size = ops->allocated_size(self, call.abi());
    if (size < 0) return call.error(size);
    sum += static_cast<uint64_t>(size);
    return {};
  };
  INSTAR_CHECK(add(file_));
  for (auto& extent : extents_)
    if (!extent.own_file) INSTAR_CHECK(add(extent.file()));
  return sum;
}

/** Grains lie inside their file. It ends at the first error, as QEMU's does. */
Status Image::check(const Call& call, uint32_t fix, instar_check_result& result,
                    const instar_sink* messages, const instar_progress*) {
  if (fix != 0) return fail(ENOTSUP, "This image format does not support checks");
  const auto wrong = [&](uint64_t at, const char* what, const char* then, int code) -> Status {
    ++result.corruptions;
    INSTAR_CHECK(sdk::send(messages, sdk::cat("ERROR: ", what, at / kSector, then, "\n")));
    return fail(code, sdk::errno_text(code));
  };
  for (auto& extent : extents_) {
    const uint64_t file_end = extent.file().size();
    const uint64_t step = extent.sparse ? extent.sparse->layout().grain_bytes() : extent.size;
    for (uint64_t at = extent.begin; at < extent.end();) {
      Block grain{Block::Kind::kData, extent.flat_offset, 0};
      if (extent.sparse) {
        const auto found = extent.sparse->grain_at(call, at);
        if (!found) return wrong(at, "could not get cluster_offset for sector ", "", EPERM);
        grain = *found;
      }
      const bool placed = grain.kind == Block::Kind::kData || grain.kind == Block::Kind::kPacked;
      if (placed && grain.offset >= file_end)
        return wrong(at, "cluster offset for sector ", " points after EOF", EINVAL);
      at += step * grain.count;
    }
  }
  return {};
}

}  // namespace instar::vmdk
