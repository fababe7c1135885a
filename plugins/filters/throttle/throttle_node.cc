// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/throttle/throttle_node.hpp"

#include <thread>

#include "sdk/abi/objects.h"
#include "sdk/cpp/plugin.hpp"

namespace instar::throttle {

using sdk::Call;
using sdk::fail;
using sdk::IoVec;
using sdk::Result;
using sdk::Status;

namespace {

Result<std::shared_ptr<Group>> find_group(const sdk::Host& host, const std::string& id) {
  sdk::StringSink properties;
  int found = -ENOENT;
  if (const auto* objects = host.service<instar_objects_ops>(INSTAR_OBJECTS_ID)) {
    sdk::OutgoingCall call;
    found = objects->get(host.abi(), call.abi(), "throttle-group", id.c_str(), properties.abi());
  }
  if (found < 0) return fail(EINVAL, "Throttle group '", id, "' does not exist");
  INSTAR_TRY(const Limits limits, parse_limits(sdk::JsonObject(properties.text)));
  return shared_group(id, limits);
}

/** A child's answer as our own. Where it decides nothing (its backing file does), it is left to be
 * asked itself. */
uint32_t passed_on(uint32_t flags) {
  constexpr uint32_t kDecided = INSTAR_EXTENT_DATA | INSTAR_EXTENT_ZERO | INSTAR_EXTENT_ALLOCATED;
  flags &= ~uint32_t{INSTAR_EXTENT_RECURSE};
  if ((flags & kDecided) == 0) flags |= INSTAR_EXTENT_RECURSE;
  return flags | INSTAR_EXTENT_OFFSET;
}

}  // namespace

Result<std::unique_ptr<ThrottleNode>> ThrottleNode::open(sdk::OpenContext& context) {
  INSTAR_TRY(const sdk::NodeRef below, context.file(INSTAR_CHILD_FILTERED));
  const auto options = context.options();
  if (!options.has("throttle-group")) return fail(EINVAL, "Please specify a throttle group");
  INSTAR_TRY(auto group, find_group(context.host(), options.text("throttle-group")));
  return std::make_unique<ThrottleNode>(below, std::move(group));
}

void ThrottleNode::limits(instar_node_limits& limits) const {
  const auto below = below_.limits();
  if (!below) return;
  const uint32_t struct_size = limits.struct_size;
  limits = *below;
  limits.struct_size = struct_size;
  limits.flags |= INSTAR_NODE_FILTER;
}

/** Holds the request back as long as the group says; a user who gives up does not wait. */
Status ThrottleNode::wait(const Call& call, Direction direction, uint64_t bytes) const {
  constexpr Group::Seconds kStep(0.05);
  const auto begin = Group::Clock::now();
  const auto until = begin + group_->admit(direction, bytes, begin);
  for (auto now = begin; now < until; now = Group::Clock::now()) {
    if (call.cancelled()) return fail(ECANCELED, sdk::errno_text(ECANCELED));
    std::this_thread::sleep_for(std::min<Group::Seconds>(until - now, kStep));
  }
  return {};
}

Status ThrottleNode::read(const Call& call, uint64_t offset, IoVec to) const {
  INSTAR_CHECK(wait(call, Direction::kRead, to.length()));
  return below_.read(call, offset, to);
}

Status ThrottleNode::write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) const {
  INSTAR_CHECK(wait(call, Direction::kWrite, from.length()));
  return below_.write(call, offset, from, flags);
}

Status ThrottleNode::write_zeroes(const Call& call, uint64_t offset, uint64_t length,
                                  uint32_t flags) const {
  INSTAR_CHECK(wait(call, Direction::kWrite, length));
  return below_.write_zeroes(call, offset, length, flags);
}

Status ThrottleNode::discard(const Call& call, uint64_t offset, uint64_t length) const {
  INSTAR_CHECK(wait(call, Direction::kWrite, length));
  return below_.discard(call, offset, length);
}

Result<size_t> ThrottleNode::extents(const Call& call, uint64_t offset, uint64_t length,
                                     instar_extent* out, size_t max) const {
  INSTAR_TRY(const size_t count, below_.extents(call, offset, length, out, max));
  for (size_t i = 0; i < count; ++i) {
    out[i].child = below_.id();
    out[i].child_offset = offset;
    out[i].flags = passed_on(out[i].flags);
    offset += out[i].length;
  }
  return count;
}

Status ThrottleNode::resize(const Call& call, uint64_t size, uint32_t preallocation, uint32_t flags,
                            const instar_progress* progress) const {
  void* self = nullptr;
  const auto* ops = below_.interface<instar_resize_ops>(INSTAR_RESIZE_ID, &self);
  if (ops == nullptr) return fail(ENOTSUP, "Image format driver does not support resize");
  sdk::OutgoingCall outgoing(&call);
  return outgoing.status(ops->resize(self, outgoing.abi(), size, preallocation, flags, progress));
}

/** What is below says of itself, but for what is specific to its format. */
void ThrottleNode::info(sdk::JsonWriter& json) const {
  sdk::StringSink sink;
  void* self = nullptr;
  if (const auto* ops = below_.interface<instar_info_ops>(INSTAR_INFO_ID, &self)) {
    sdk::OutgoingCall call;
    ops->describe(self, call.abi(), sink.abi());
  }
  const sdk::JsonObject below(sink.text);
  json.begin_object();
  for (const char* key : {"cluster-size", "dirty-flag"})
    if (const auto value = below.find(key)) json.key(key).raw(*value);
  json.end_object();
}

}  // namespace instar::throttle

INSTAR_PLUGIN("throttle", "1.0.0", instar::sdk::filter<instar::throttle::ThrottleNode>("throttle"))
