// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/raw/raw_node.hpp"

#include <algorithm>

#include "sdk/abi/forward.h"
#include "sdk/cpp/json_reader.hpp"
#include "sdk/cpp/measure.hpp"
#include "sdk/cpp/plugin.hpp"

namespace instar::raw {

using sdk::Call;
using sdk::fail;
using sdk::IoVec;
using sdk::NodeRef;
using sdk::Options;
using sdk::Result;
using sdk::Status;

namespace {

constexpr uint64_t kSector = 512;

Status check_window(uint64_t offset, std::optional<uint64_t> size, uint64_t file_size) {
  if (offset > file_size)
    return fail(EINVAL, "Offset (", offset,
                ") cannot be greater than size of the containing file (", file_size, ")");
  if (!size) return {};
  if (*size > file_size - offset)
    return fail(EINVAL, "The sum of offset (", offset, ") and size (", *size,
                ") has to be smaller or equal to the  actual size of the containing file (",
                file_size, ")");
  if (*size % kSector != 0) return fail(EINVAL, "Specified size is not multiple of 512");
  return {};
}

bool is_filter(const NodeRef& node) {
  const auto limits = node.limits();
  return limits && (limits->flags & INSTAR_NODE_FILTER) != 0;
}

}  // namespace

Result<std::unique_ptr<RawNode>> RawNode::open(sdk::OpenContext& context) {
  const Options options = context.options();
  const uint64_t offset = options.number("offset");
  std::optional<uint64_t> size;
  if (options.has("size")) size = options.number("size");
  // Without a window it is the file itself, as a filter is.
  const bool whole = offset == 0 && !size;
  INSTAR_TRY(const NodeRef file, context.file(whole ? INSTAR_CHILD_FILTERED : INSTAR_CHILD_DATA));
  void* self = nullptr;
  // A size that can only be found by making all of the content is not asked for without need.
  if (!whole || file.interface<instar_forward_ops>(INSTAR_FORWARD_ID, &self) == nullptr) {
    INSTAR_TRY(const uint64_t file_size, file.size());
    INSTAR_CHECK(check_window(offset, size, file_size));
  }
  return std::unique_ptr<RawNode>(new RawNode(file, offset, size));
}

RawNode::RawNode(NodeRef file, uint64_t offset, std::optional<uint64_t> fixed_size)
    : file_(file),
      events_(file),
      over_filter_(is_filter(file)),
      offset_(offset),
      fixed_size_(fixed_size) {}

Status RawNode::create(sdk::CreateContext& context) {
  // The file's own options (preallocation and the like) are between the host and the protocol.
  INSTAR_CHECK(context.create_file(nullptr, context.options().number("size")));
  return {};
}

Status RawNode::stream(sdk::Host, const Call& call, const Options&, const sdk::StreamSource& source,
                       const instar_content& out) {
  return source.read(call, out);
}

Result<instar_measure_result> RawNode::measure(sdk::Host, const Options& options, NodeRef source) {
  INSTAR_TRY(uint64_t size, sdk::size_to_measure(options, source));
  if (size > INT64_MAX) return fail(EINVAL, "Image size is too large");
  size = sdk::round_up(size, kSector);
  return sdk::measured(size, size);
}

Result<uint64_t> RawNode::size() const {
  if (fixed_size_) return *fixed_size_;
  INSTAR_TRY(const uint64_t file_size, file_.size());
  return file_size > offset_ ? file_size - offset_ : 0;
}

void RawNode::limits(instar_node_limits& limits) const {
  const auto file = file_.limits();
  if (!file) return;
  constexpr uint32_t kInherited =
      INSTAR_NODE_READ_ONLY | INSTAR_NODE_ZERO_INIT | INSTAR_NODE_SPARSE_ZERO;
  limits.flags = file->flags & kInherited;
  limits.optimal_transfer = file->optimal_transfer;
  limits.cluster_size = file->cluster_size;
  limits.can_write = file->can_write;
  limits.can_write_zeroes = file->can_write_zeroes;
  limits.can_discard = file->can_discard;
  limits.can_flush = file->can_flush;
}

/** A request that begins in a window of fixed size stays there: what follows is somebody else's. */
bool RawNode::inside(uint64_t offset, uint64_t length) const {
  if (fixed_size_) return offset <= *fixed_size_ && length <= *fixed_size_ - offset;
  return offset <= INT64_MAX - offset_ && length <= INT64_MAX - offset_ - offset;
}

Status RawNode::read(const Call& call, uint64_t offset, IoVec to) const {
  if (!inside(offset, to.length())) return fail(EINVAL, sdk::errno_text(EINVAL));
  events_.say("read_aio");
  return file_.read(call, offset_ + offset, to);
}

Status RawNode::write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) const {
  if (!inside(offset, from.length())) return fail(ENOSPC, sdk::errno_text(ENOSPC));
  events_.say("write_aio");
  return file_.write(call, offset_ + offset, from, flags);
}

Status RawNode::write_zeroes(const Call& call, uint64_t offset, uint64_t length,
                             uint32_t flags) const {
  if (!inside(offset, length)) return fail(ENOSPC, sdk::errno_text(ENOSPC));
  return file_.write_zeroes(call, offset_ + offset, length, flags);
}

Status RawNode::discard(const Call& call, uint64_t offset, uint64_t length) const {
  if (!inside(offset, length)) return fail(ENOSPC, sdk::errno_text(ENOSPC));
  return file_.discard(call, offset_ + offset, length);
}

Status RawNode::flush(const Call& call) const {
  return file_.flush(call);
}

/** The file's answer about what lies plainly where it is asked is our own. Anything else (an image
 * within raw, a filter on one) is left to be asked itself. */
uint32_t RawNode::passed_on(const instar_extent& answer, uint64_t position) const {
  constexpr uint32_t kHow = INSTAR_EXTENT_OFFSET | INSTAR_EXTENT_RECURSE;
  const bool here = !over_filter_ && (answer.flags & kHow) == INSTAR_EXTENT_OFFSET &&
                    answer.child_offset == position;
  return here ? answer.flags : kHow;
}

Result<size_t> RawNode::extents(const Call& call, uint64_t offset, uint64_t length,
                                instar_extent* out, size_t max) const {
  if (!inside(offset, length)) return fail(EINVAL, sdk::errno_text(EINVAL));
  INSTAR_TRY(const size_t count, file_.extents(call, offset_ + offset, length, out, max));
  uint64_t position = offset_ + offset;
  for (size_t i = 0; i < count; ++i) {
    out[i].flags = passed_on(out[i], position);
    out[i].child = file_.id();
    out[i].child_offset = position;
    position += out[i].length;
  }
  return count;
}

Status RawNode::resize(const Call& call, uint64_t size, uint32_t preallocation, uint32_t flags,
                       const instar_progress* progress) const {
  if (fixed_size_) return fail(ENOTSUP, "Cannot resize fixed-size raw disks");
  if (size > INT64_MAX - offset_) return fail(EINVAL, "Disk size too large for the chosen offset");
  void* self = nullptr;
  const auto* ops = file_.interface<instar_resize_ops>(INSTAR_RESIZE_ID, &self);
  if (ops == nullptr) return fail(ENOTSUP, "Image format driver does not support resize");
  sdk::OutgoingCall outgoing(&call);
  return outgoing.status(
      ops->resize(self, outgoing.abi(), offset_ + size, preallocation, flags, progress));
}

/** What the file below says of itself, but for what is specific to its format. */
void RawNode::info(sdk::JsonWriter& json) const {
  sdk::StringSink sink;
  void* self = nullptr;
  if (const auto* ops = file_.interface<instar_info_ops>(INSTAR_INFO_ID, &self)) {
    sdk::OutgoingCall call;
    ops->describe(self, call.abi(), sink.abi());
  }
  const sdk::JsonObject below(sink.text);
  json.begin_object();
  for (const char* key : {"cluster-size", "dirty-flag"})
    if (const auto value = below.find(key)) json.key(key).raw(*value);
  json.end_object();
}

bool RawNode::offers(std::string_view id) const {
  void* self = nullptr;
  if (id == INSTAR_MAP_ID) return !events_;
  if (id == INSTAR_SNAPSHOT_ID) return file_.interface<void>(INSTAR_SNAPSHOT_ID, &self) != nullptr;
  if (id == INSTAR_RAWFD_ID) return file_.interface<void>(INSTAR_RAWFD_ID, &self) != nullptr;
  return true;
}

/** Snapshots are those of the file, where its protocol has them: function(table, its self, call). */
template <class Function>
Status RawNode::with_snapshots(const Call* call, Function function) const {
  void* self = nullptr;
  const auto* ops = file_.interface<instar_snapshot_ops>(INSTAR_SNAPSHOT_ID, &self);
  if (ops == nullptr) return fail(ENOTSUP, sdk::errno_text(ENOTSUP));
  sdk::OutgoingCall outgoing(call);
  return outgoing.status(function(*ops, self, outgoing.abi()));
}

Result<std::string> RawNode::snapshot_list() const {
  sdk::StringSink sink;
  INSTAR_CHECK(with_snapshots(nullptr, [&](const auto& ops, void* self, instar_call* call) {
    return ops.list(self, call, sink.abi());
  }));
  return std::move(sink.text);
}

Status RawNode::snapshot_create(const Call& call, std::string_view name, int64_t sec,
                                int32_t nsec) const {
  return with_snapshots(&call, [&](const auto& ops, void* self, instar_call* outgoing) {
    return ops.create(self, outgoing, std::string(name).c_str(), sec, nsec);
  });
}

Status RawNode::snapshot_apply(const Call& call, std::string_view id) const {
  return with_snapshots(&call, [&](const auto& ops, void* self, instar_call* outgoing) {
    return ops.apply(self, outgoing, std::string(id).c_str());
  });
}

Status RawNode::snapshot_remove(const Call& call, std::string_view id,
                                std::string_view name) const {
  return with_snapshots(&call, [&](const auto& ops, void* self, instar_call* outgoing) {
    return ops.remove(self, outgoing, std::string(id).c_str(), std::string(name).c_str());
  });
}

Status RawNode::snapshot_load(const Call& call, std::string_view id) const {
  return with_snapshots(&call, [&](const auto& ops, void* self, instar_call* outgoing) {
    return ops.load(self, outgoing, std::string(id).c_str());
  });
}

Status RawNode::rawfd(instar_rawfd& out) const {
  void* self = nullptr;
  const auto* ops = file_.interface<instar_rawfd_ops>(INSTAR_RAWFD_ID, &self);
  if (ops == nullptr) return fail(ENOTSUP, sdk::errno_text(ENOTSUP));
  sdk::OutgoingCall call;
  INSTAR_CHECK(call.status(ops->get(self, call.abi(), &out)));
  out.base += offset_;
  return {};
}

Result<size_t> RawNode::prepare_write(const Call&, uint64_t offset, uint64_t length,
                                      instar_placement* out, size_t max) const {
  if (max == 0 || !inside(offset, length)) return size_t{0};
  out[0] = {offset, length, offset_ + offset, 0, file_.id(), 0};
  return size_t{1};
}

Status RawNode::commit_write(const Call&, const instar_placement*, size_t) const {
  return {};
}

void RawNode::abort_write(const instar_placement*, size_t) const {}

}  // namespace instar::raw

INSTAR_PLUGIN("raw", "1.0.0", instar::sdk::format<instar::raw::RawNode>("raw"))
