// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/compress/compress_node.hpp"

#include <algorithm>
#include <bit>
#include <string>
#include <vector>

#include "sdk/cpp/plugin.hpp"

namespace instar::compress {

using sdk::Call;
using sdk::fail;
using sdk::IoVec;
using sdk::NodeRef;
using sdk::Result;
using sdk::Status;

namespace {

/** The driver's name as its description tells it; raw has none. */
std::string format_of(const NodeRef& node) {
  void* self = nullptr;
  const auto* ops = node.interface<instar_info_ops>(INSTAR_INFO_ID, &self);
  sdk::StringSink sink;
  sdk::OutgoingCall call;
  if (ops == nullptr || ops->describe(self, call.abi(), sink.abi()) < 0) return "raw";
  return sdk::JsonObject(sink.text).object("format-specific").string("type").value_or("raw");
}

}  // namespace

Result<std::unique_ptr<CompressNode>> CompressNode::open(sdk::OpenContext& context) {
  INSTAR_TRY(const NodeRef below, context.file(INSTAR_CHILD_FILTERED));
  INSTAR_TRY(const instar_node_limits limits, below.limits());
  const std::string format = format_of(below);
  void* self = nullptr;
  // Formats offer it only while they may be written to.
  const bool packs = below.interface<void>(INSTAR_COMPRESS_ID, &self) != nullptr ||
                     (!context.writable() && format == "qcow2");
  if (!packs || !std::has_single_bit(limits.cluster_size))
    return fail(ENOTSUP, "Compression is not supported for underlying format: ", format);
  return std::make_unique<CompressNode>(below, limits.cluster_size);
}

void CompressNode::limits(instar_node_limits& limits) const {
  PassThrough::limits(limits);
  limits.request_alignment = cluster_size_;
}

Status CompressNode::write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) const {
  if (packer_ == nullptr) return fail(EACCES, sdk::errno_text(EACCES));
  INSTAR_TRY(const uint64_t size, below_.size());
  std::vector<uint8_t> block(cluster_size_);
  std::vector<uint8_t> packed(cluster_size_);
  const uint64_t length = from.length();
  for (uint64_t at = 0; at < length && offset + at < size; at += cluster_size_) {
    const uint64_t n = std::min<uint64_t>(cluster_size_, size - offset - at);
    from.copy_out(at, block.data(), n);
    sdk::OutgoingCall packing(&call);
    const int64_t packed_length =
        packer_->pack(packer_self_, packing.abi(), block.data(), n, packed.data(), packed.size());
    if (packed_length == -ENOSPC) {  // it would not get smaller
      INSTAR_CHECK(below_.write(call, offset + at, block.data(), n));
      continue;
    }
    if (packed_length < 0) return packing.error(packed_length);
    sdk::OutgoingCall storing(&call);
    INSTAR_CHECK(storing.status(packer_->store(packer_self_, storing.abi(), offset + at, n,
                                               packed.data(), static_cast<size_t>(packed_length))));
  }
  return (flags & INSTAR_WRITE_FUA) != 0 ? below_.flush(call) : Status{};
}

}  // namespace instar::compress

INSTAR_PLUGIN("compress", "1.0.0", instar::sdk::filter<instar::compress::CompressNode>("compress"))
