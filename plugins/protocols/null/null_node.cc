// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/null/null_node.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "sdk/cpp/plugin.hpp"

namespace instar::null {

using sdk::Call;
using sdk::fail;
using sdk::IoVec;
using sdk::Result;
using sdk::Status;

Result<NullNode::Settings> NullNode::parse_settings(const sdk::Options& options) {
  Settings settings;
  settings.size = options.number("size", kDefaultSize);
  if (settings.size > INT64_MAX - 511) return fail(EINVAL, "The image size is too large");
  settings.size = sdk::round_up(settings.size, 512);
  settings.latency_ns = options.number("latency-ns");
  if (settings.latency_ns > INT64_MAX) return fail(EINVAL, "latency-ns is invalid");
  settings.read_zeroes = options.flag("read-zeroes");
  return settings;
}

/** Takes as long as the user wants a request to take. */
Status NullNode::wait(const Call& call) const {
  using std::chrono::nanoseconds;
  constexpr nanoseconds kStep = std::chrono::milliseconds(50);
  for (nanoseconds left(settings_.latency_ns); left.count() > 0; left -= std::min(left, kStep)) {
    if (call.cancelled()) return fail(ECANCELED, sdk::errno_text(ECANCELED));
    std::this_thread::sleep_for(std::min(left, kStep));
  }
  return {};
}

Status NullNode::read(const Call& call, uint64_t, IoVec to) const {
  // Also without read-zeroes: what was in the caller's memory before is nobody's business.
  to.fill_zero(0, to.length());
  return wait(call);
}

Status NullNode::write(const Call& call, uint64_t, IoVec, uint32_t) const {
  return wait(call);
}

Status NullNode::write_zeroes(const Call& call, uint64_t, uint64_t, uint32_t) const {
  return wait(call);
}

Status NullNode::discard(const Call& call, uint64_t, uint64_t) const {
  return wait(call);
}

Status NullNode::flush(const Call& call) const {
  return wait(call);
}

/** Without read-zeroes nothing is promised: neither data nor zeroes, and nothing allocated. */
Result<size_t> NullNode::extents(const Call&, uint64_t offset, uint64_t length, instar_extent* out,
                                 size_t max) const {
  if (max == 0) return fail(EINVAL, sdk::errno_text(EINVAL));
  constexpr uint32_t kZeroes = INSTAR_EXTENT_ZERO | INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_OFFSET;
  out[0] = {length, offset, settings_.read_zeroes ? kZeroes : 0u, 0};
  return size_t{1};
}

}  // namespace instar::null

INSTAR_PLUGIN("null", "1.0.0", instar::sdk::protocol<instar::null::NullCo>("null-co"),
              instar::sdk::protocol<instar::null::NullAio>("null-aio"))
