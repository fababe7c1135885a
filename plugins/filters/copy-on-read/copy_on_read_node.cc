// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/copy-on-read/copy_on_read_node.hpp"

#include <algorithm>
#include <mutex>
#include <vector>

#include "sdk/abi/chain.h"
#include "sdk/cpp/plugin.hpp"

namespace instar::copy_on_read {

using sdk::Call;
using sdk::fail;
using sdk::IoVec;
using sdk::Result;
using sdk::Status;

namespace {
constexpr uint64_t kStep = 1u << 20;
constexpr uint32_t kOwn = INSTAR_EXTENT_DATA | INSTAR_EXTENT_ZERO | INSTAR_EXTENT_ALLOCATED;
}  // namespace

Result<std::unique_ptr<CopyOnReadNode>> CopyOnReadNode::open(sdk::OpenContext& context) {
  INSTAR_TRY(const sdk::NodeRef below, context.file(INSTAR_CHILD_FILTERED));
  if (!context.writable()) return fail(EPERM, "Block node is read-only");
  INSTAR_TRY(const instar_node_limits limits, below.limits());
  auto node = std::make_unique<CopyOnReadNode>(below, std::max(limits.cluster_size, 1u),
                                               context.options().text("bottom"));
  if (context.options().has("bottom")) INSTAR_CHECK(node->held(context.call(), 0, 0));
  return node;
}

/** What the chain down to the bottom says of a range's begin. */
Result<instar_extent> CopyOnReadNode::held(const Call& call, uint64_t offset,
                                           uint64_t length) const {
  void* self = nullptr;
  const auto* chain = below_.interface<instar_chain_ops>(INSTAR_CHAIN_ID, &self);
  if (chain == nullptr) return fail(ENOTSUP, "The host knows no chains");
  instar_extent extent{};
  sdk::OutgoingCall outgoing(&call);
  const int64_t count =
      chain->extents(self, outgoing.abi(), bottom_.c_str(), offset, length, &extent, 1);
  if (count < 0) return outgoing.error(count);
  return extent;
}

/** Writes back a range that the image has not itself, at most kStep bytes and a cluster. */
Status CopyOnReadNode::copy_part(const Call& call, uint64_t offset, uint64_t length) {
  std::vector<uint8_t> bytes(length);
  INSTAR_CHECK(below_.read(call, offset, bytes.data(), length));
  if (sdk::is_zero(bytes.data(), length)) return below_.write_zeroes(call, offset, length);
  return below_.write(call, offset, bytes.data(), length);
}

/** Afterwards the image has all of [offset, offset + length) itself. */
Status CopyOnReadNode::copy(const Call& call, uint64_t offset, uint64_t length) {
  INSTAR_TRY(const uint64_t size, below_.size());
  const uint64_t begin = sdk::round_down(offset, unit_);
  const uint64_t end = std::min(sdk::round_up(offset + length, unit_), size);
  const uint64_t step = std::max(sdk::round_down(kStep, unit_), unit_);
  for (uint64_t at = begin; at < end;) {
    instar_extent extent{};
    INSTAR_CHECK(below_.extents(call, at, end - at, &extent, 1));
    const bool own = (extent.flags & kOwn) != 0;
    if (!own && !bottom_.empty()) {
      INSTAR_TRY(extent, held(call, at, std::min(extent.length, end - at)));
    }
    const bool wanted = bottom_.empty() || (extent.flags & INSTAR_EXTENT_ALLOCATED) != 0;
    const uint64_t n = std::min({extent.length, step, end - at});
    if (!own && wanted) INSTAR_CHECK(copy_part(call, at, n));
    at += own ? extent.length : n;
  }
  return {};
}

Status CopyOnReadNode::read(const Call& call, uint64_t offset, IoVec to) {
  {
    const std::lock_guard lock(mutex_);
    INSTAR_CHECK(copy(call, offset, to.length()));
  }
  return PassThrough::read(call, offset, to);
}

Status CopyOnReadNode::write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) {
  const std::shared_lock lock(mutex_);
  return PassThrough::write(call, offset, from, flags);
}

Status CopyOnReadNode::write_zeroes(const Call& call, uint64_t offset, uint64_t length,
                                    uint32_t flags) {
  const std::shared_lock lock(mutex_);
  return PassThrough::write_zeroes(call, offset, length, flags);
}

Status CopyOnReadNode::discard(const Call& call, uint64_t offset, uint64_t length) {
  const std::shared_lock lock(mutex_);
  return PassThrough::discard(call, offset, length);
}

}  // namespace instar::copy_on_read

INSTAR_PLUGIN("copy-on-read", "1.0.0",
              instar::sdk::filter<instar::copy_on_read::CopyOnReadNode>("copy-on-read"))
