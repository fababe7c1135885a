// SPDX-License-Identifier: Apache-2.0
// Which objects of an image are there, by librbd's object map.
#include <algorithm>

#include "plugins/protocols/rbd/rbd_node.hpp"

namespace instar::rbd {

using sdk::Call;
using sdk::Result;

namespace {

/** The allocated ranges that librbd tells, in their order, and the gaps between them. */
class Runs {
 public:
  Runs(uint64_t begin, uint64_t end, size_t most) : at_(begin), end_(end), most_(most) {}

  static int take(uint64_t offset, size_t length, int exists, void* opaque) {
    return static_cast<Runs*>(opaque)->add(offset, offset + length, exists != 0) ? 0 : kEnough;
  }
  /** What ends the walk when there is no more room. */
  static constexpr int kEnough = -ECANCELED;

  /** The rest is not there. */
  void finish() { append(end_, false); }
  size_t copy_to(instar_extent* out) const {
    std::copy(extents_.begin(), extents_.end(), out);
    return extents_.size();
  }

 private:
  bool add(uint64_t from, uint64_t until, bool exists) {
    if (!exists) return true;
    return append(std::clamp(from, at_, end_), false) && append(std::min(until, end_), true);
  }
  /** What lies from here to `until`. False: there was no room for it. */
  bool append(uint64_t until, bool data) {
    if (until <= at_) return true;
    constexpr uint32_t kPlace = INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_OFFSET;
    const uint32_t flags = kPlace | (data ? INSTAR_EXTENT_DATA : INSTAR_EXTENT_ZERO);
    if (!extents_.empty() && extents_.back().flags == flags) {
      extents_.back().length += until - at_;
    } else {
      if (extents_.size() == most_) return false;
      extents_.push_back({until - at_, at_, flags, 0});
    }
    at_ = until;
    return true;
  }

  uint64_t at_, end_;
  size_t most_;
  std::vector<instar_extent> extents_;
};

}  // namespace

Result<size_t> RbdNode::extents(const Call& call, uint64_t offset, uint64_t length,
                                instar_extent* out, size_t max) {
  const uint64_t end = std::min(offset + length, size_.load());
  if (!fast_diff_ || end <= offset) {
    out[0] = {length, offset, INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_OFFSET,
              0};
    return size_t{1};
  }
  // Whole objects: some versions of librbd misplace what they tell of parts.
  const uint64_t first = sdk::round_down(offset, object_size_);
  const uint64_t last = std::min(sdk::round_up(end, object_size_), size_.load());
  const auto runs = std::make_shared<Runs>(offset, end, max);
  INSTAR_CHECK(requests_.run_blocking(call, "error reading the object map", [=](rbd_image_t image) {
    const int result =
        rbd_diff_iterate2(image, nullptr, first, last - first, 1, 1, &Runs::take, runs.get());
    if (result >= 0) runs->finish();
    return result == Runs::kEnough ? 0 : result;
  }));
  return runs->copy_to(out);
}

}  // namespace instar::rbd
