// SPDX-License-Identifier: Apache-2.0
#include "core/engine/plan.hpp"

#include <algorithm>

#include "sdk/cpp/bytes.hpp"

namespace instar::engine {

namespace {
constexpr uint64_t kLongestOffload = 256 << 20;
}  // namespace

Result<bool> Planner::fill(const Call& call) {
  while (current_.length == 0) {
    INSTAR_TRY(const bool more, walk_.next(call, current_));
    if (!more) return false;
  }
  return true;
}

/** Whether nothing is to be read where the segment at hand lies. */
bool Planner::idle() const {
  if (current_.kind == SegmentKind::kZero) return !options_.zeroes_are_data;
  return current_.kind == SegmentKind::kBacking;
}

/** Length of the whole units that the segment at hand covers from here on. */
uint64_t Planner::idle_units() const {
  const uint64_t end = current_.offset + current_.length;
  const uint64_t last = end == options_.total ? end : sdk::round_down(end, options_.unit);
  return last > current_.offset ? last - current_.offset : 0;
}

/** Whether enough of the segment at hand may be offloaded, `wait` bytes from here on. */
bool Planner::offloadable(uint64_t* wait) const {
  const uint64_t unit = options_.offload_unit;
  if (unit == 0 || current_.file == nullptr || !offload_.load(std::memory_order_relaxed))
    return false;
  const RawFile& target = *options_.offload_target;
  if (!target.same_file_system(*current_.file)) return false;
  *wait = sdk::round_up(current_.offset, unit) - current_.offset;
  const uint64_t block = target.block_size();
  if ((current_.file->base() + current_.file_offset + *wait) % block != 0) return false;
  return current_.length >= *wait &&
         sdk::round_down(current_.length - *wait, unit) >= std::max(options_.offload_least, unit);
}

bool Planner::take_idle(Ticket& out) {
  const uint64_t covered = idle() ? idle_units() : 0;
  if (covered == 0) return false;
  const bool backing = current_.kind == SegmentKind::kBacking;
  const bool look = backing && options_.look;
  const bool silent = (backing && !look) || (!backing && options_.target_zero);
  const uint64_t wanted = look ? options_.window : options_.zero_window;
  const uint64_t most = std::max(sdk::round_down(wanted, options_.unit), options_.unit);
  const uint64_t length = silent ? covered : std::min(covered, most);
  out.kind = look ? TicketKind::kLook : TicketKind::kZero;
  out.offset = current_.offset;
  out.length = silent ? 0 : length;
  if (look) append(out.pieces, current_, length);
  current_.skip(length);
  return true;
}

Result<bool> Planner::next(const Call& call, Ticket& out) {
  out.pieces.clear();
  for (;;) {
    INSTAR_TRY(const bool more, fill(call));
    if (!more) return false;
    if (take_idle(out)) {
      if (out.length == 0) continue;
      break;
    }
    uint64_t wait = 0;
    if (offloadable(&wait) && wait == 0) {
      out.kind = TicketKind::kOffload;
      out.offset = current_.offset;
      out.length = std::min(sdk::round_down(current_.length, options_.offload_unit),
                            std::max(kLongestOffload, options_.offload_unit));
      append(out.pieces, current_, out.length);
      current_.skip(out.length);
      break;
    }
    INSTAR_CHECK(window(call, out));
    break;
  }
  out.number = number_++;
  return true;
}

/** How much of the segment at hand belongs to the window, or `stop`: it begins something else. */
uint64_t Planner::next_piece(uint64_t position, uint64_t limit, bool* stop) const {
  const bool at_unit = position % options_.unit == 0;
  uint64_t length = std::min(current_.length, limit - position);
  if (idle()) {
    if (at_unit && idle_units() > 0) *stop = true;
    return std::min(length, sdk::round_up(position + 1, options_.unit) - position);
  }
  uint64_t wait = 0;
  if (!offloadable(&wait)) return length;
  if (wait == 0) *stop = true;
  return std::min(length, std::max<uint64_t>(wait, 1));
}

Status Planner::window(const Call& call, Ticket& out) {
  out.kind = TicketKind::kData;
  out.offset = current_.offset;
  const uint64_t limit = out.offset + options_.window;
  uint64_t position = out.offset;
  while (position < limit) {
    INSTAR_TRY(const bool more, fill(call));
    if (!more) break;
    bool stop = false;
    const uint64_t length = next_piece(position, limit, &stop);
    if (stop && position > out.offset) break;
    append(out.pieces, current_, length);
    current_.skip(length);
    position += length;
  }
  out.length = position - out.offset;
  return {};
}

/** Joins what one request can read. */
void Planner::append(std::vector<Segment>& pieces, const Segment& segment, uint64_t length) {
  Segment piece = segment;
  piece.length = length;
  if (piece.kind == SegmentKind::kBacking) piece.kind = SegmentKind::kData;
  if (!pieces.empty()) {
    Segment& last = pieces.back();
    const bool same = last.kind == piece.kind && last.node == piece.node &&
                      last.node_offset + last.length == piece.node_offset &&
                      last.file == piece.file;
    if (same && (piece.file == nullptr || last.file_offset + last.length == piece.file_offset)) {
      last.length += length;
      return;
    }
  }
  pieces.push_back(piece);
}

Result<uint64_t> Planner::measure(const Call& call) {
  uint64_t bytes = 0;
  for (;;) {
    if (call.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
    INSTAR_TRY(const bool more, fill(call));
    if (!more) break;
    if (!idle()) bytes += current_.length;
    current_.length = 0;
  }
  walk_.rewind();
  return bytes;
}

}  // namespace instar::engine
