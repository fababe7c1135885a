// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/blkverify/blkverify_node.hpp"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "sdk/cpp/plugin.hpp"

namespace instar::blkverify {

using sdk::Call;
using sdk::cat;
using sdk::fail;
using sdk::IoVec;
using sdk::NodeRef;
using sdk::Result;
using sdk::Status;

namespace {

constexpr std::string_view kPrefix = "blkverify:";
constexpr uint64_t kStep = 1u << 20;

/** Where and how the two differ, on stderr; the request fails. */
Status differ(std::string_view request, uint64_t offset, uint64_t length, std::string_view how) {
  const auto text =
      cat("blkverify: ", request, " offset=", offset, " bytes=", length, " ", how, "\n");
  std::fwrite(text.data(), 1, text.size(), stderr);
  return fail(EIO, sdk::errno_text(EIO));
}

int result_of(const Status& status) {
  return status ? 0 : -status.error().code;
}

/** Both fail in the same way, or none. */
Status compare_results(std::string_view request, uint64_t offset, uint64_t length, Status test,
                       const Status& raw) {
  if (result_of(test) == result_of(raw)) return test;
  return differ(request, offset, length,
                cat("return value mismatch ", result_of(test), " != ", result_of(raw)));
}

Result<NodeRef> open_child(const sdk::OpenContext& context, const char* name, const char* option,
                           instar_child_role role, uint32_t flags) {
  const auto options = context.options();
  const std::string given = options.text(option);
  return context.child(name, role, options.has(option) ? given.c_str() : nullptr, nullptr,
                       flags | INSTAR_CHILD_USER_NAME);
}

}  // namespace

Result<std::string> BlkverifyNode::parse_filename(std::string_view filename) {
  sdk::JsonWriter json;
  json.begin_object();
  if (filename.starts_with(kPrefix)) {
    filename.remove_prefix(kPrefix.size());
    const size_t colon = filename.find(':');
    if (colon == std::string_view::npos)
      return fail(EINVAL, "blkverify requires raw copy and original image path");
    json.field("x-raw", filename.substr(0, colon));
    filename.remove_prefix(colon + 1);
  }
  json.field("x-image", filename).end_object();
  return json.text();
}

Result<std::unique_ptr<BlkverifyNode>> BlkverifyNode::open(sdk::OpenContext& context) {
  INSTAR_TRY(const NodeRef raw, open_child(context, "raw", "x-raw", INSTAR_CHILD_FILTERED, 0));
  INSTAR_TRY(const NodeRef test,
             open_child(context, "test", "x-image", INSTAR_CHILD_DATA, INSTAR_CHILD_PROBED));
  return std::make_unique<BlkverifyNode>(raw, test);
}

Status BlkverifyNode::read(const Call& call, uint64_t offset, IoVec to) const {
  const uint64_t length = to.length();
  std::vector<uint8_t> test(std::min(length, kStep));
  std::vector<uint8_t> raw(test.size());
  for (uint64_t at = 0; at < length; at += kStep) {
    const uint64_t n = std::min(kStep, length - at);
    INSTAR_CHECK(compare_results("read", offset, length,
                                 test_.read(call, offset + at, test.data(), n),
                                 below_.read(call, offset + at, raw.data(), n)));
    to.copy_in(at, test.data(), n);
    const auto end = test.begin() + static_cast<ptrdiff_t>(n);
    const auto found = std::mismatch(test.begin(), end, raw.begin()).first;
    if (found != end)
      return differ("read", offset, length,
                    cat("contents mismatch at offset ",
                        offset + at + static_cast<uint64_t>(found - test.begin())));
  }
  return {};
}

Status BlkverifyNode::write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) const {
  return compare_results("write", offset, from.length(), test_.write(call, offset, from, flags),
                         below_.write(call, offset, from, flags));
}

/** The image may do it in its own way; the copy has the same content in the end. */
Status BlkverifyNode::write_zeroes(const Call& call, uint64_t offset, uint64_t length,
                                   uint32_t flags) const {
  return compare_results("write", offset, length, test_.write_zeroes(call, offset, length, flags),
                         below_.write_zeroes(call, offset, length, flags));
}

/** What is discarded may read as anything: then nothing could be compared. */
Status BlkverifyNode::discard(const Call&, uint64_t, uint64_t) const {
  return {};
}

}  // namespace instar::blkverify

INSTAR_PLUGIN("blkverify", "1.0.0",
              instar::sdk::filter<instar::blkverify::BlkverifyNode>("blkverify"))
