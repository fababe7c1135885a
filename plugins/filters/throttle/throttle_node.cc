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

}  // namespace

Result<std::unique_ptr<ThrottleNode>> ThrottleNode::open(sdk::OpenContext& context) {
  INSTAR_TRY(const sdk::NodeRef below, context.file(INSTAR_CHILD_FILTERED));
  const auto options = context.options();
  if (!options.has("throttle-group")) return fail(EINVAL, "Please specify a throttle group");
  INSTAR_TRY(auto group, find_group(context.host(), options.text("throttle-group")));
  return std::make_unique<ThrottleNode>(below, std::move(group));
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
  return PassThrough::read(call, offset, to);
}

Status ThrottleNode::write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) const {
  INSTAR_CHECK(wait(call, Direction::kWrite, from.length()));
  return PassThrough::write(call, offset, from, flags);
}

Status ThrottleNode::write_zeroes(const Call& call, uint64_t offset, uint64_t length,
                                  uint32_t flags) const {
  INSTAR_CHECK(wait(call, Direction::kWrite, length));
  return PassThrough::write_zeroes(call, offset, length, flags);
}

Status ThrottleNode::discard(const Call& call, uint64_t offset, uint64_t length) const {
  INSTAR_CHECK(wait(call, Direction::kWrite, length));
  return PassThrough::discard(call, offset, length);
}

}  // namespace instar::throttle

INSTAR_PLUGIN("throttle", "1.0.0", instar::sdk::filter<instar::throttle::ThrottleNode>("throttle"))
