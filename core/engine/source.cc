// SPDX-License-Identifier: Apache-2.0
#include "core/engine/source.hpp"

#include <algorithm>

namespace instar::engine {

namespace {
constexpr uint64_t kSector = 512;
constexpr size_t kBatch = 512;
constexpr size_t kKept = 16384;  // segments: about 1 MiB
}  // namespace

void Segment::skip(uint64_t bytes) {
  offset += bytes;
  length -= bytes;
  node_offset += bytes;
  file_offset += bytes;
}

Result<uint64_t> SourceWalk::open() {
  if (options_.offset != 0 || options_.length != 0) return open_window();
  uint64_t total = 0;
  for (block::Node* node : options_.nodes) {
    INSTAR_TRY(const uint64_t size, node->size());
    uint64_t end = 0;
    if (size > INT64_MAX - kSector ||
        sdk::add_overflows(total, sdk::round_up(size, kSector), &end) || end > INT64_MAX)
      return fail(EFBIG, "the sources are too large together");
    sources_.push_back({node, total, end - total, 0});
    total = end;
  }
  return total;
}

/** A part of the only source; what it has no more is left out. */
Result<uint64_t> SourceWalk::open_window() {
  if (options_.nodes.size() != 1) return fail(EINVAL, "a part of several sources can't be copied");
  block::Node* node = options_.nodes.front();
  INSTAR_TRY(const uint64_t size, node->size());
  const uint64_t rest = size - std::min(size, options_.offset);
  const uint64_t length = options_.length == 0 ? rest : std::min(rest, options_.length);
  sources_.push_back({node, 0, length, options_.offset});
  return length;
}

void SourceWalk::rewind() {
  taken_ = 0;
  if (from_start_) return;
  from_start_ = true;
  current_ = 0;
  position_ = 0;
  kept_.clear();
}

Result<bool> SourceWalk::next(const Call& call, Segment& out) {
  while (taken_ == kept_.size()) {
    while (current_ < sources_.size() && position_ == sources_[current_].length) {
      ++current_;
      position_ = 0;
    }
    if (current_ == sources_.size()) return false;
    INSTAR_CHECK(refill(call, sources_[current_]));
  }
  out = kept_[taken_++];
  return true;
}

Status SourceWalk::refill(const Call& call, const Source& source) {
  if (kept_.size() + kBatch > kKept) {
    kept_.clear();
    taken_ = 0;
    from_start_ = false;
  }
  INSTAR_TRY(const auto extents, ask(call, source));
  for (const auto& extent : extents) {
    Segment whole = segment(source, extent);
    position_ = extent.offset - source.offset + extent.length;
    // From the end of the backing file on, zeroes need not be written.
    const uint64_t edge = options_.backing_size;
    const bool split = options_.has_backing && whole.kind == SegmentKind::kZero;
    if (split && whole.offset < edge && whole.offset + whole.length > edge) {
      Segment head = whole;
      head.length = edge - whole.offset;
      kept_.push_back(head);
      whole.skip(head.length);
    }
    if (split && whole.offset >= edge) whole.kind = SegmentKind::kBacking;
    kept_.push_back(whole);
  }
  return {};
}

Result<std::vector<block::ChainExtent>> SourceWalk::ask(const Call& call, const Source& source) {
  block::StatusOptions status;
  if (options_.has_backing)
    status.base = options_.base != nullptr ? options_.base : source.node->backing();
  uint64_t length = source.length - position_;
  for (;;) {
    auto extents =
        chain_status(call, *source.node, source.offset + position_, length, status, kBatch);
    if (extents && !extents->empty()) return extents;
    const std::string text =
        sdk::cat("error while reading block status at offset ", source.begin + position_, ": ",
                 errno_text(extents ? EIO : extents.error().code));
    if (!options_.salvage) return fail(extents ? EIO : extents.error().code, text);
    if (length <= kSector) {
      if (!options_.quiet) call.warn(text);
      block::ChainExtent unknown;
      unknown.offset = source.offset + position_;
      unknown.length = length;
      unknown.flags = INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED;
      return std::vector{unknown};
    }
    length = std::max(sdk::round_down(length / 4, kSector), kSector);
  }
}

Segment SourceWalk::segment(const Source& source, const block::ChainExtent& extent) {
  Segment segment;
  segment.offset = source.begin + extent.offset - source.offset;
  segment.length = extent.length;
  segment.node = source.node;
  segment.node_offset = extent.offset;
  if ((extent.flags & INSTAR_EXTENT_ZERO) != 0) {
    segment.kind = SegmentKind::kZero;
  } else if ((extent.flags & INSTAR_EXTENT_DATA) == 0 && options_.has_backing) {
    segment.kind = SegmentKind::kBacking;
  } else {
    segment.kind = SegmentKind::kData;
    segment.file = files_.plain(extent);
    segment.file_offset = extent.file_offset;
  }
  return segment;
}

}  // namespace instar::engine
