// SPDX-License-Identifier: Apache-2.0
#include "core/engine/target.hpp"

#include <algorithm>
#include <array>

#include "sdk/abi/open.h"
#include "sdk/cpp/bytes.hpp"

namespace instar::engine {

namespace {
constexpr size_t kPlacesPerCall = 64;

Error stopped() {
  return Error{ECANCELED, errno_text(ECANCELED)};
}

/** Whether it gives blocks places of its own. What only shows the file below (raw) does not. */
bool allocates(const block::Node& node) {
  return node.limits().cluster_size > 1 && node.filtered() == nullptr;
}

}  // namespace

Error write_error(uint64_t offset, int code) {
  return fail(code, "error while writing at byte ", offset, ": ", errno_text(code));
}

Target::Target(block::Node& node, bool one_writer) : node_(node), one_writer_(one_writer) {
  refresh_size();
  // What must be stable before it counts as written has to pass the node.
  if ((node.open_flags() & INSTAR_OPEN_WRITETHROUGH) != 0) return;
  own_file_ = RawFile::of(node);
  if (own_file_ != nullptr) {
    file_ = own_file_.get();
    mode_ = Mode::kRaw;
    ordered_ = false;
    return;
  }
  map_ = node.interface<instar_map_ops>(INSTAR_MAP_ID, &map_self_);
  if (map_ == nullptr || map_->prepare_write == nullptr) {
    ordered_ = node.kind() != block::NodeKind::kFormat || allocates(node);
    return;
  }
  mode_ = Mode::kMap;
  cluster_ = std::max<uint64_t>(node.limits().cluster_size, 1);
  const uint64_t zeroes = node.limits().write_zeroes_alignment;
  grain_ = zeroes > 1 && zeroes < cluster_ ? zeroes : cluster_;
  for (const auto& child : node.children()) {
    child_files_.push_back(child.node != nullptr ? RawFile::of(*child.node) : nullptr);
    // A format's data lies in its data file if it has one.
    const bool data = child.role == INSTAR_CHILD_DATA;
    const bool first = child.role == INSTAR_CHILD_FILE && file_ == nullptr;
    if (data || first) file_ = child_files_.back().get();
  }
}

void Target::refresh_size() {
  const auto size = node_.size();
  size_ = size ? *size : 0;
}

const RawFile* Target::child_file(uint32_t child) const {
  return child < child_files_.size() ? child_files_[child].get() : nullptr;
}

Status Target::write(const Call& call, Turn& turn, std::span<const WriteRun> runs, bool more) {
  if (mode_ == Mode::kRaw) return write_raw(call, runs);
  if (runs.empty()) return {};
  if (takes_turns() && !turn.wait()) return stopped();
  if (mode_ == Mode::kNode) {
    for (const auto& run : runs) {
      if (call.cancelled()) return stopped();
      INSTAR_CHECK(write_node(call, run));
    }
    return {};
  }
  std::vector<Placed> placed;
  Status status;
  for (const auto& run : runs)
    if (status) status = place(call, run, placed);
  if (!more) turn.pass();
  for (size_t i = 0; i < placed.size() && status;)
    status = fill(call, placed, &i);
  std::vector<instar_placement> places;
  places.reserve(placed.size());
  for (const auto& one : placed)
    places.push_back(one.place);
  if (status)
    status = commit(call, places);
  else
    abort(places);
  return status;
}

Status Target::write_raw(const Call& call, std::span<const WriteRun> runs) const {
  for (const auto& run : runs) {
    if (call.cancelled()) return stopped();
    if (file_->direct()) {
      INSTAR_CHECK(write_node(call, run));
      continue;
    }
    const int result = write_file(*file_, run.offset, run.data, run.length);
    if (result < 0) return write_error(run.offset, -result);
  }
  return {};
}

int Target::write_file(const RawFile& file, uint64_t offset, const void* from,
                       size_t length) const {
  std::unique_lock alone(writing_, std::defer_lock);
  if (one_writer_) alone.lock();
  return file.write(offset, from, length);
}

Status Target::write_node(const Call& call, const WriteRun& run) const {
  if (run.length == 0) return {};
  const auto status = node_.write(call, run.offset, run.data, run.length);
  if (!status) return write_error(run.offset, status.error().code);
  return {};
}

/** Gets room for the clusters that a run covers; writes the rest through the node. */
Status Target::place(const Call& call, const WriteRun& run, std::vector<Placed>& out) {
  const uint64_t end = run.offset + run.length;
  const uint64_t first = std::min(sdk::round_up(run.offset, cluster_), end);
  const uint64_t last = end == size_ ? end : std::max(sdk::round_down(end, cluster_), first);
  INSTAR_CHECK(write_node(call, {run.offset, run.data, static_cast<size_t>(first - run.offset)}));
  std::array<instar_placement, kPlacesPerCall> places;
  uint64_t position = first;
  while (position < last) {
    INSTAR_TRY(const size_t count,
               prepare(call, position, last - position, places.data(), places.size()));
    if (count == 0) break;
    for (size_t i = 0; i < count; ++i) {
      out.push_back({places[i], run.data + (position - run.offset)});
      position += places[i].length;
    }
  }
  return write_node(
      call, {position, run.data + (position - run.offset), static_cast<size_t>(end - position)});
}

/** 0: the range must go through the node. */
Result<size_t> Target::prepare(const Call& call, uint64_t offset, uint64_t length,
                               instar_placement* out, size_t max) const {
  sdk::OutgoingCall outgoing(&call);
  const int64_t count = map_->prepare_write(map_self_, outgoing.abi(), offset, length, out, max);
  if (count == -ENOTSUP) return size_t{0};
  if (count < 0) return write_error(offset, outgoing.error(count).code);
  uint64_t position = offset;
  bool sound = static_cast<uint64_t>(count) <= max;
  for (int64_t i = 0; i < count && sound; ++i) {
    sound = out[i].offset == position && out[i].length > 0 &&
            out[i].length <= length - (position - offset) && out[i].child < node_.children().size();
    position += out[i].length;
  }
  if (!sound) return fail(EIO, node_.driver(), ": the driver placed data outside of the request");
  return static_cast<size_t>(count);
}

/** Writes the data of places from *next on that lie one behind another. */
Status Target::fill(const Call& call, const std::vector<Placed>& placed, size_t* next) const {
  if (call.cancelled()) return stopped();
  const Placed& first = placed[*next];
  const auto& place = first.place;
  auto length = static_cast<size_t>(place.length);
  for (++*next; *next < placed.size(); ++*next) {
    const Placed& other = placed[*next];
    if (other.place.child != place.child || other.data != first.data + length ||
        other.place.child_offset != place.child_offset + length)
      break;
    length += static_cast<size_t>(other.place.length);
  }
  const RawFile* file = child_file(place.child);
  if (file == nullptr || file->direct()) {
    const auto status =
        node_.children()[place.child].node->write(call, place.child_offset, first.data, length);
    if (!status) return write_error(place.offset, status.error().code);
    return {};
  }
  const int result = write_file(*file, place.child_offset, first.data, length);
  if (result < 0) return write_error(place.offset, -result);
  return {};
}

Status Target::commit(const Call& call, const std::vector<instar_placement>& places) const {
  if (places.empty()) return {};
  sdk::OutgoingCall outgoing(&call);
  const int result = map_->commit_write(map_self_, outgoing.abi(), places.data(), places.size());
  if (result < 0) return write_error(places.front().offset, outgoing.error(result).code);
  return {};
}

void Target::abort(const std::vector<instar_placement>& places) const {
  if (!places.empty() && map_->abort_write != nullptr)
    map_->abort_write(map_self_, places.data(), places.size());
}

Status Target::write_zeroes(const Call& call, Turn& turn, uint64_t offset, uint64_t length) {
  if (takes_turns() && !turn.wait()) return stopped();
  const auto status = node_.write_zeroes(call, offset, length, INSTAR_WRITE_MAY_UNMAP);
  if (!status) return write_error(offset, status.error().code);
  return {};
}

Result<bool> Target::offload(const Call& call, Turn& turn, const RawFile& source,
                             uint64_t source_offset, uint64_t offset, uint64_t length, bool clone) {
  if (file_ == nullptr) return false;
  if (mode_ != Mode::kMap) {
    const int result = clone ? file_->clone_from(source, source_offset, offset, length)
                             : file_->copy_from(source, source_offset, offset, length);
    return result == 0;
  }
  if (!turn.wait()) return stopped();
  std::vector<instar_placement> places;
  std::array<instar_placement, kPlacesPerCall> some;
  for (uint64_t position = offset; position < offset + length;) {
    auto count = prepare(call, position, offset + length - position, some.data(), some.size());
    if (!count || *count == 0) {
      abort(places);
      if (!count) return std::move(count).error();
      return false;
    }
    places.insert(places.end(), some.begin(), some.begin() + static_cast<ptrdiff_t>(*count));
    position = places.back().offset + places.back().length;
  }
  if (!offload_into(source, source_offset, offset, places, clone)) {
    abort(places);
    return false;
  }
  INSTAR_CHECK(commit(call, places));
  return true;
}

bool Target::offload_into(const RawFile& source, uint64_t source_offset, uint64_t base,
                          const std::vector<instar_placement>& places, bool clone) const {
  for (size_t i = 0; i < places.size();) {
    const auto& first = places[i];
    const RawFile* file = child_file(first.child);
    if (file == nullptr) return false;
    uint64_t length = first.length;
    for (++i; i < places.size() && places[i].child == first.child &&
              places[i].child_offset == first.child_offset + length;
         ++i)
      length += places[i].length;
    const uint64_t from = source_offset + (first.offset - base);
    const int result = clone ? file->clone_from(source, from, first.child_offset, length)
                             : file->copy_from(source, from, first.child_offset, length);
    if (result != 0) return false;
  }
  return true;
}

}  // namespace instar::engine
