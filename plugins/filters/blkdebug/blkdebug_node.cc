// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/blkdebug/blkdebug_node.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <climits>
#include <utility>

#include "plugins/filters/blkdebug/config.hpp"
#include "sdk/abi/permissions.h"
#include "sdk/cpp/plugin.hpp"

namespace instar::blkdebug {

using sdk::Call;
using sdk::fail;
using sdk::IoVec;
using sdk::Result;
using sdk::Status;

namespace {

constexpr std::string_view kPrefix = "blkdebug:";

constexpr std::pair<std::string_view, uint32_t> kPermissions[] = {
    {"consistent-read", INSTAR_PERMISSION_READ},
    {"write", INSTAR_PERMISSION_WRITE},
    {"write-unchanged", INSTAR_PERMISSION_WRITE_UNCHANGED},
    {"resize", INSTAR_PERMISSION_RESIZE}};

/** Reads a list of permissions: "take-child-perms.0" and so on. */
Result<uint32_t> read_permissions(const sdk::Options& options, std::string_view prefix) {
  uint32_t all = 0;
  size_t count = 0, largest = 0;
  for (const auto& option : options) {
    const std::string_view name = option.name;
    if (!name.starts_with(prefix)) continue;
    size_t index = 0;
    std::from_chars(name.data() + prefix.size(), name.data() + name.size(), index);
    largest = std::max(largest, index);
    ++count;
    const auto* found = std::find_if(std::begin(kPermissions), std::end(kPermissions),
                                     [&](const auto& entry) { return entry.first == option.text; });
    if (found == std::end(kPermissions))
      return fail(EINVAL, "Parameter 'null' does not accept value '", option.text, "'");
    all |= found->second;
  }
  if (count != 0 && largest != count - 1)
    return fail(EINVAL, "List indices are not contiguous, saw ", count, " elements but ", largest,
                " largest index");
  return all;
}

Result<sdk::MorePermissions> more_permissions(const sdk::OpenContext& context) {
  constexpr uint32_t kWrites = INSTAR_PERMISSION_WRITE | INSTAR_PERMISSION_WRITE_UNCHANGED;
  sdk::MorePermissions more;
  INSTAR_TRY(more.taken, read_permissions(context.options(), "take-child-perms."));
  INSTAR_TRY(more.unshared, read_permissions(context.options(), "unshare-child-perms."));
  if ((more.taken & kWrites) != 0 && !context.writable())
    return fail(EPERM, "Block node is read-only");
  return more;
}

/** A size that is a multiple of `unit`, or 0. */
Result<uint32_t> constraint(const sdk::Options& options, const char* name, uint64_t unit) {
  const uint64_t value = options.number(name);
  if (value >= INT_MAX || value % std::max<uint64_t>(unit, 1) != 0)
    return fail(EINVAL, "Cannot meet constraints with ", name, " ", value);
  return static_cast<uint32_t>(value);
}

}  // namespace

Result<Constraints> Constraints::read(const sdk::Options& options) {
  Constraints c;
  const uint64_t align = options.number("align");
  if (align >= INT_MAX || (align != 0 && !std::has_single_bit(align)))
    return fail(EINVAL, "Cannot meet constraints with align ", align);
  c.align = static_cast<uint32_t>(align);
  INSTAR_TRY(c.max_transfer, constraint(options, "max-transfer", c.align));
  INSTAR_TRY(c.opt_write_zero, constraint(options, "opt-write-zero", c.align));
  INSTAR_TRY(c.max_write_zero,
             constraint(options, "max-write-zero", std::max(c.opt_write_zero, c.align)));
  INSTAR_TRY(c.opt_discard, constraint(options, "opt-discard", c.align));
  INSTAR_TRY(c.max_discard, constraint(options, "max-discard", std::max(c.opt_discard, c.align)));
  return c;
}

Result<std::string> BlkdebugNode::parse_filename(std::string_view filename) {
  sdk::JsonWriter json;
  json.begin_object();
  if (filename.starts_with(kPrefix)) {
    filename.remove_prefix(kPrefix.size());
    const size_t colon = filename.find(':');
    if (colon == std::string_view::npos)
      return fail(EINVAL, "blkdebug requires both config file and image path");
    if (colon != 0) json.field("config", filename.substr(0, colon));
    filename.remove_prefix(colon + 1);
  }
  json.field("x-image", filename).end_object();
  return json.text();
}

Result<std::unique_ptr<BlkdebugNode>> BlkdebugNode::open(sdk::OpenContext& context) {
  const auto options = context.options();
  Sections sections;
  if (options.has("config")) {
    INSTAR_TRY(const std::string text, read_config(options.text("config")));
    INSTAR_CHECK(parse_config(text, sections));
  }
  INSTAR_CHECK(read_options(options, sections));
  Rules probe;  // rules that are wrong come before an image that is not there
  INSTAR_CHECK(probe.add(sections));
  INSTAR_TRY(const auto more, more_permissions(context));
  const std::string image = options.text("x-image");
  INSTAR_TRY(const sdk::NodeRef below,
             context.child("image", INSTAR_CHILD_FILTERED,
                           options.has("x-image") ? image.c_str() : nullptr, nullptr,
                           INSTAR_CHILD_USER_NAME, more));
  INSTAR_TRY(const Constraints constraints, Constraints::read(options));
  auto node = std::make_unique<BlkdebugNode>(below, constraints);
  INSTAR_CHECK(node->rules_.add(sections));
  return node;
}

void BlkdebugNode::limits(instar_node_limits& limits) const {
  PassThrough::limits(limits);
  const auto set = [](auto& limit, uint32_t wanted) {
    if (wanted != 0) limit = wanted;
  };
  set(limits.request_alignment, constraints_.align);
  set(limits.max_transfer, constraints_.max_transfer);
  set(limits.write_zeroes_alignment, std::bit_floor(constraints_.opt_write_zero));
  set(limits.max_write_zeroes, constraints_.max_write_zero);
  set(limits.discard_alignment, std::bit_floor(constraints_.opt_discard));
  set(limits.max_discard, constraints_.max_discard);
}

Status BlkdebugNode::check(RequestKind kind, uint64_t offset, uint64_t length) {
  const int error = rules_.check(kind, offset, length);
  if (error != 0) return fail(error, sdk::errno_text(error));
  return {};
}

Status BlkdebugNode::read(const Call& call, uint64_t offset, IoVec to) {
  INSTAR_CHECK(check(kRead, offset, to.length()));
  return PassThrough::read(call, offset, to);
}

Status BlkdebugNode::write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) {
  INSTAR_CHECK(check(kWrite, offset, from.length()));
  return PassThrough::write(call, offset, from, flags);
}

Status BlkdebugNode::write_zeroes(const Call& call, uint64_t offset, uint64_t length,
                                  uint32_t flags) {
  INSTAR_CHECK(check(kWriteZeroes, offset, length));
  return PassThrough::write_zeroes(call, offset, length, flags);
}

Status BlkdebugNode::discard(const Call& call, uint64_t offset, uint64_t length) {
  INSTAR_CHECK(check(kDiscard, offset, length));
  return PassThrough::discard(call, offset, length);
}

Status BlkdebugNode::flush(const Call& call) {
  INSTAR_CHECK(check(kFlush, 0, 0));
  return PassThrough::flush(call);
}

Result<size_t> BlkdebugNode::extents(const Call& call, uint64_t offset, uint64_t length,
                                     instar_extent* out, size_t max) {
  INSTAR_CHECK(check(kBlockStatus, offset, length));
  return PassThrough::extents(call, offset, length, out, max);
}

}  // namespace instar::blkdebug

INSTAR_PLUGIN("blkdebug", "1.0.0", instar::sdk::filter<instar::blkdebug::BlkdebugNode>("blkdebug"))
