// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/blkdebug/blkdebug_node.hpp"

#include <algorithm>
#include <bit>
#include <climits>

#include "plugins/filters/blkdebug/config.hpp"
#include "sdk/cpp/plugin.hpp"

namespace instar::blkdebug {

using sdk::Call;
using sdk::fail;
using sdk::IoVec;
using sdk::Result;
using sdk::Status;

namespace {

constexpr std::string_view kPrefix = "blkdebug:";
constexpr const char* kPermissions[] = {"consistent-read", "write", "write-unchanged", "resize"};

/** Checks a list of permissions ("take-child-perms.0"); whether one of them is to write. */
Result<bool> read_permissions(const sdk::Options& options, std::string_view prefix) {
  bool writes = false;
  for (const auto& option : options) {
    if (!std::string_view(option.name).starts_with(prefix)) continue;
    const std::string_view name = option.text;
    if (std::find(std::begin(kPermissions), std::end(kPermissions), name) == std::end(kPermissions))
      return fail(EINVAL, "Parameter 'null' does not accept value '", name, "'");
    writes = writes || name != kPermissions[0];
  }
  return writes;
}

Status check_permissions(const sdk::OpenContext& context) {
  INSTAR_TRY(const bool writes, read_permissions(context.options(), "take-child-perms."));
  INSTAR_CHECK(read_permissions(context.options(), "unshare-child-perms."));
  if (writes && !context.writable()) return fail(EPERM, "Block node is read-only");
  return {};
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
  INSTAR_CHECK(check_permissions(context));
  const std::string image = options.text("x-image");
  INSTAR_TRY(const sdk::NodeRef below,
             context.child("image", INSTAR_CHILD_FILTERED,
                           options.has("x-image") ? image.c_str() : nullptr, nullptr,
                           INSTAR_CHILD_USER_NAME));
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
