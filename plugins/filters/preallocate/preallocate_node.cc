// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/preallocate/preallocate_node.hpp"

#include <algorithm>

#include "sdk/cpp/plugin.hpp"

namespace instar::preallocate {

using sdk::Call;
using sdk::fail;
using sdk::IoVec;
using sdk::Result;
using sdk::Status;

namespace {
constexpr uint64_t kSector = 512;
constexpr uint64_t kMaxEnd = uint64_t{1} << 62;
}  // namespace

Result<std::unique_ptr<PreallocateNode>> PreallocateNode::open(sdk::OpenContext& context) {
  INSTAR_TRY(const sdk::NodeRef below, context.file(INSTAR_CHILD_FILTERED));
  const auto options = context.options();
  Settings settings;
  settings.align = options.number("prealloc-align", settings.align);
  settings.step = options.number("prealloc-size", settings.step);
  if (settings.align == 0 || settings.align % kSector != 0)
    return fail(EINVAL, "prealloc-align parameter of preallocate filter is not aligned to ",
                kSector);
  if (settings.align > kMaxEnd || settings.step > kMaxEnd)
    return fail(EINVAL, "The size to preallocate is too large");
  INSTAR_TRY(const uint64_t size, below.size());
  return std::make_unique<PreallocateNode>(below, settings, size);
}

Result<uint64_t> PreallocateNode::size() const {
  const std::lock_guard lock(mutex_);
  return data_end_;
}

/** A write up to `end` is coming: the file gets longer by more than that, in zeroes that need no
 * writing. A wish: the write itself does without. */
Status PreallocateNode::reach(const Call& call, uint64_t end) {
  const std::lock_guard lock(mutex_);
  if (end <= file_end_ || refused_ || end > kMaxEnd) return {};
  const uint64_t wanted = sdk::round_up(end + settings_.step, settings_.align);
  constexpr uint32_t kCheaply = INSTAR_WRITE_NO_FALLBACK;
  if (below_.write_zeroes(call, file_end_, wanted - file_end_, kCheaply))
    file_end_ = wanted;
  else
    refused_ = true;
  return {};
}

void PreallocateNode::note_data(uint64_t end) {
  const std::lock_guard lock(mutex_);
  data_end_ = std::max(data_end_, end);
  file_end_ = std::max(file_end_, end);
}

Status PreallocateNode::write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) {
  const uint64_t end = offset + from.length();
  INSTAR_CHECK(reach(call, end));
  INSTAR_CHECK(PassThrough::write(call, offset, from, flags));
  note_data(end);
  return {};
}

Status PreallocateNode::write_zeroes(const Call& call, uint64_t offset, uint64_t length,
                                     uint32_t flags) {
  INSTAR_CHECK(reach(call, offset + length));
  INSTAR_CHECK(PassThrough::write_zeroes(call, offset, length, flags));
  note_data(offset + length);
  return {};
}

Status PreallocateNode::resize(const Call& call, uint64_t size, uint32_t preallocation,
                               uint32_t flags, const instar_progress* progress) {
  INSTAR_CHECK(PassThrough::resize(call, size, preallocation, flags, progress));
  const std::lock_guard lock(mutex_);
  data_end_ = file_end_ = size;
  return {};
}

Status PreallocateNode::close(const Call& call) {
  if (file_end_ <= data_end_) return {};
  return PassThrough::resize(call, data_end_, INSTAR_PREALLOCATION_OFF, 0, nullptr);
}

}  // namespace instar::preallocate

INSTAR_PLUGIN("preallocate", "1.0.0",
              instar::sdk::filter<instar::preallocate::PreallocateNode>("preallocate"))
