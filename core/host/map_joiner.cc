// SPDX-License-Identifier: Apache-2.0
#include "core/host/map_joiner.hpp"

namespace instar::host {

namespace {

constexpr size_t kBatch = 4096;
/** What map shows; whether the file may know more (RECURSE) is not part of it. */
constexpr uint32_t kShownFlags = INSTAR_EXTENT_DATA | INSTAR_EXTENT_ZERO | INSTAR_EXTENT_ALLOCATED |
                                 INSTAR_EXTENT_OFFSET | INSTAR_EXTENT_COMPRESSED |
                                 INSTAR_EXTENT_ENCRYPTED;

instar_map_extent shown(const block::ChainExtent& extent) {
  return {extent.offset,      extent.length,
          extent.file_offset, extent.shown_flags() & kShownFlags,
          extent.depth,       extent.file != nullptr ? extent.file->filename().c_str() : nullptr};
}

bool continues(const instar_map_extent& left, const instar_map_extent& right) {
  if (left.flags != right.flags || left.depth != right.depth || left.filename != right.filename)
    return false;
  return (left.flags & INSTAR_EXTENT_OFFSET) == 0 || left.offset + left.length == right.offset;
}

}  // namespace

Status MapJoiner::add(const std::vector<block::ChainExtent>& batch) {
  for (const auto& extent : batch) {
    const auto run = shown(extent);
    if (!runs_.empty() && continues(runs_.back(), run)) {
      runs_.back().length += run.length;
      continue;
    }
    if (runs_.size() >= kBatch) INSTAR_CHECK(hand_over());
    runs_.push_back(run);
  }
  return {};
}

Status MapJoiner::finish() {
  return runs_.empty() ? Status() : hand_over();
}

Status MapJoiner::hand_over() {
  if (const int result = each_(opaque_, runs_.data(), runs_.size()); result < 0)
    return fail(-result, errno_text(-result));
  runs_.clear();
  return {};
}

}  // namespace instar::host
