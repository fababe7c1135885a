// SPDX-License-Identifier: Apache-2.0
// Room for guest clusters before the guest writes them.
#include <algorithm>

#include "plugins/formats/qcow2/image.hpp"

namespace instar::qcow2 {
namespace {
/** Guest clusters that are placed one behind another in one step. */
constexpr uint64_t kClustersAtOnce = 1u << 20;
}  // namespace

/** [begin, end) lies behind the image's end and has no entries; `begin` is the start of a cluster.
 * New places lie behind all that was ever used, so they read as zeroes. */
Status Image::preallocate(const Call& call, uint64_t begin, uint64_t end, uint32_t mode) {
  end = geometry_.cluster_end(end);
  while (begin < end) {
    if (call.cancelled()) return fail(ECANCELED, sdk::errno_text(ECANCELED));
    const uint64_t part_end =
        begin + std::min(end - begin, kClustersAtOnce << geometry_.cluster_bits);
    INSTAR_CHECK(preallocate_part(call, begin, part_end, mode));
    begin = part_end;
  }
  return {};
}

Status Image::preallocate_part(const Call& call, uint64_t begin, uint64_t end, uint32_t mode) {
  if (data_file_) return link_preallocated(call, &begin, end, begin, 0);
  uint64_t host = 0;
  Status result;
  {
    Lock lock(mutex_);
    INSTAR_CHECK(begin_change(call, lock));
    // What entries refer to lies inside the file, before they are there.
    const uint32_t below = mode == INSTAR_PREALLOCATION_METADATA
                               ? static_cast<uint32_t>(INSTAR_PREALLOCATION_OFF)
                               : mode;
    const auto make_room = [&](uint64_t host_end) {
      return sdk::explained("Failed to resize underlying file",
                            file_.resize(call, host_end, below));
    };
    INSTAR_TRY(const uint64_t first,
               refcounts_.allocate_area(call, geometry_.clusters(end - begin), make_room));
    host = first << geometry_.cluster_bits;
    result = write_metadata(call, lock);
  }
  // Otherwise subclusters stay unallocated.
  const bool hides = mode >= INSTAR_PREALLOCATION_FALLOC && backing_size_ > size();
  uint64_t linked = begin;
  if (result) result = link_preallocated(call, &linked, end, host, hides ? kAllSubclusters : 0);
  if (result) return {};
  // Nothing refers to the rest.
  const Lock lock(mutex_);
  free_later({geometry_.cluster_of(host + (linked - begin)), geometry_.clusters(end - linked)},
             false);
  return sdk::explained(mode == INSTAR_PREALLOCATION_METADATA ? "Allocating clusters failed"
                                                              : "Failed to update L2 tables",
                        std::move(result));
}

/** @param position guest, where the next entry goes; moves on */
Status Image::link_preallocated(const Call& call, uint64_t* position, uint64_t end, uint64_t host,
                                uint64_t bitmap) {
  uint64_t& begin = *position;
  while (begin < end) {
    Lock lock(mutex_);
    INSTAR_CHECK(begin_change(call, lock));
    INSTAR_CHECK(own_table(call, begin));
    INSTAR_TRY(const L2Tables::Slice slice, l2_.slice(call, begin));
    const uint64_t part_end =
        std::min(end, slice.first_guest + (slice.count << geometry_.cluster_bits));
    for (; begin < part_end; begin += geometry_.cluster_size, host += geometry_.cluster_size) {
      const uint64_t index = (begin - slice.first_guest) >> geometry_.cluster_bits;
      l2_.set(slice, index, {host | kEntryCopied, geometry_.extended ? bitmap : 0});
    }
  }
  return {};
}

}  // namespace instar::qcow2
