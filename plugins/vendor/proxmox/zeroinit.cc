// SPDX-License-Identifier: Apache-2.0
#include "plugins/vendor/proxmox/zeroinit.hpp"

#include <algorithm>

#include "sdk/cpp/json_writer.hpp"

namespace instar::proxmox {

using sdk::Call;
using sdk::IoVec;
using sdk::NodeRef;
using sdk::Result;
using sdk::Status;

namespace {
constexpr std::string_view kPrefix = "zeroinit:";
}

Result<std::string> ZeroInit::parse_filename(std::string_view filename) {
  if (filename.starts_with(kPrefix)) filename.remove_prefix(kPrefix.size());
  sdk::JsonWriter json;
  json.begin_object().field("x-next", filename).end_object();
  return json.text();
}

Result<std::unique_ptr<ZeroInit>> ZeroInit::open(sdk::OpenContext& context) {
  const auto options = context.options();
  const std::string name = options.text("x-next");
  INSTAR_TRY(const NodeRef below, context.child("file", INSTAR_CHILD_FILTERED,
                                                options.has("x-next") ? name.c_str() : nullptr,
                                                nullptr, INSTAR_CHILD_USER_NAME));
  return std::make_unique<ZeroInit>(below, options.flag("x-zeroinit", true));
}

void ZeroInit::limits(instar_node_limits& limits) const {
  PassThrough::limits(limits);
  if (zero_init_) limits.flags |= INSTAR_NODE_ZERO_INIT;
}

void ZeroInit::note(uint64_t end) {
  uint64_t known = written_.load();
  while (known < end && !written_.compare_exchange_weak(known, end)) {
  }
}

Status ZeroInit::write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) {
  note(offset + from.length());  // first: zeroes that follow must not be left out
  return below_.write(call, offset, from, flags);
}

Status ZeroInit::write_zeroes(const Call& call, uint64_t offset, uint64_t length, uint32_t flags) {
  if (zero_init_ && offset >= written_.load()) return {};
  note(offset + length);
  return below_.write_zeroes(call, offset, length, flags);
}

}  // namespace instar::proxmox
