// SPDX-License-Identifier: Apache-2.0
// Another virtual size. The header's field changes last, so that a cut leaves the old size, or the
// new one with all that it needs.
#include <algorithm>
#include <cstddef>

#include "plugins/formats/qcow2/image.hpp"

namespace instar::qcow2 {

Status Image::resize(const Call& call, uint64_t size, uint32_t preallocation, uint32_t,
                     const instar_progress*) {
  {
    Lock lock(mutex_);
    if ((flags_ & INSTAR_OPEN_WRITE) == 0) return fail(EACCES, sdk::errno_text(EACCES));
    if (size % kSector != 0) return fail(EINVAL, "The new size must be a multiple of ", kSector);
    if (!snapshots_.empty() && header_.version < 3)
      return fail(ENOTSUP, "Can't resize a v2 image which has snapshots");
    if (size < this->size() && preallocation != INSTAR_PREALLOCATION_OFF)
      return fail(EINVAL, "Preallocation can't be used for shrinking an image");
    INSTAR_CHECK(begin_exclusive(call, lock));
    INSTAR_CHECK(resize_bitmaps(call, this->size()));  // can they be resized?
  }
  return size < this->size() ? shrink(call, size) : grow(call, size, preallocation);
}

Status Image::shrink(const Call& call, uint64_t size) {
  auto unused = unmap(call, geometry_.cluster_end(size));
  if (!unused)
    return fail(unused.error().code,
                "Failed to discard cropped clusters: ", unused.error().message);
  INSTAR_CHECK(sdk::explained("Failed to discard unused refblocks", trim(call, *unused)));
  if (data_file_) INSTAR_CHECK(data_file_.resize(call, size));
  return write_size(call, size);
}

Status Image::grow(const Call& call, uint64_t size, uint32_t mode) {
  const uint64_t old = this->size();
  const uint64_t old_end = geometry_.cluster_end(old);
  const uint64_t entries = sdk::div_up(size, uint64_t{1} << geometry_.l1_shift);
  if (entries > kMaxL1Bytes / 8)
    return fail(EFBIG, "Failed to grow the L1 table: ", sdk::errno_text(EFBIG));
  // What an earlier attempt, or somebody else, left behind the end must not show. Where there is
  // nothing, the file keeps its length: its counts may be wrong.
  INSTAR_TRY(const auto left, unmap(call, old_end));
  if (!left.empty()) INSTAR_CHECK(trim(call, left));
  INSTAR_CHECK(sdk::explained("Failed to grow the L1 table", grow_l1(call, entries)));
  if (data_file_ && header_.data_file_raw() && mode == INSTAR_PREALLOCATION_OFF)
    mode = INSTAR_PREALLOCATION_METADATA;  // all of a raw file is the guest's
  if (data_file_) {
    const uint32_t below = mode == INSTAR_PREALLOCATION_METADATA
                               ? static_cast<uint32_t>(INSTAR_PREALLOCATION_OFF)
                               : mode;
    INSTAR_CHECK(data_file_.resize(call, size, below));
  }
  Status grown =
      mode != INSTAR_PREALLOCATION_OFF ? preallocate(call, old_end, size, mode) : Status{};
  // Places on the storage are zeroes already and hide the backing file; of an encrypted image they
  // are no zeroes.
  const bool placed = mode >= INSTAR_PREALLOCATION_FALLOC && !data_file_ && !cipher_;
  const bool needs_zeroes =
      backing_size_ > old || (cipher_ != nullptr && mode != INSTAR_PREALLOCATION_OFF);
  // The rest of the old last cluster gets a place by being written.
  if (grown && mode >= INSTAR_PREALLOCATION_FALLOC && old < std::min(old_end, size))
    grown = write_zeroes_plainly(call, old, std::min(old_end, size));
  if (grown) grown = zero_grown(call, old, size, needs_zeroes, placed);
  if (!grown) {
    (void)drop_mapping(call, old_end);
    return grown;
  }
  return write_size(call, size);
}

/** Makes [begin, end), which is grown, read as zeroes: the end of its first cluster in any case, the
 * rest if that `needs_zeroes` and is not `placed` on zeroes already. */
Status Image::zero_grown(const Call& call, uint64_t begin, uint64_t end, bool needs_zeroes,
                         bool placed) {
  const uint64_t first = std::min(geometry_.cluster_end(begin), end);
  const uint64_t unit = geometry_.subcluster_size;
  const uint64_t head = std::min(sdk::round_up(begin, unit), end);
  if (begin < head) INSTAR_CHECK(zero_plainly(call, begin, head, false));
  if (head < first) {
    if (needs_zeroes)
      INSTAR_CHECK(zero_subclusters(call, head, sdk::round_up(first, unit)));
    else
      INSTAR_CHECK(zero_plainly(call, head, first, false));
  }
  if (!needs_zeroes || placed || first == end) return {};
  if (!geometry_.zero_flag)
    return fail(ENOTSUP, "Failed to zero out new clusters: ", sdk::errno_text(ENOTSUP));
  return sdk::explained("Failed to zero out new clusters",
                        clear_clusters(call, first, geometry_.cluster_end(end), Clearing::kZero));
}

/** The table gets a new place, and the header says where. */
Status Image::grow_l1(const Call& call, uint64_t entries) {
  Lock lock(mutex_);
  if (entries <= l2_.l1().size()) return {};
  INSTAR_CHECK(begin_change(call, lock));
  const uint64_t clusters = geometry_.clusters(entries * 8);
  file_.say("l1_grow.alloc_table");
  INSTAR_TRY(const uint64_t first, refcounts_.allocate_area(call, clusters));
  const uint64_t offset = first << geometry_.cluster_bits;
  INSTAR_CHECK(write_metadata(call, lock));
  std::vector<uint8_t> bytes(clusters << geometry_.cluster_bits);
  for (size_t i = 0; i < l2_.l1().size(); ++i)
    store_be(bytes.data() + i * 8, l2_.l1()[i]);
  file_.say("l1_grow.write_table");
  INSTAR_CHECK(file_.write(call, offset, bytes.data(), bytes.size()));
  INSTAR_CHECK(barrier(call));
  file_.say("l1_grow.activate_table");
  struct {
    Be<uint32_t> entries;
    Be<uint64_t> offset;
  } fields{static_cast<uint32_t>(entries), offset};
  static_assert(sizeof fields == 12 && offsetof(HeaderV2, l1_table_offset) ==
                                           offsetof(HeaderV2, l1_size) + sizeof(uint32_t));
  INSTAR_CHECK(file_.write(call, offsetof(HeaderV2, l1_size), &fields, sizeof fields));
  INSTAR_CHECK(barrier(call));
  if (header_.l1_entries != 0)
    free_later(
        {geometry_.cluster_of(header_.l1_offset), geometry_.clusters(header_.l1_entries * 8ull)},
        false);
  header_.l1_entries = static_cast<uint32_t>(entries);
  header_.l1_offset = offset;
  l2_.move_l1(offset, entries);
  guard_.forget();
  return apply_frees(call);
}

Status Image::write_size(const Call& call, uint64_t size) {
  Lock lock(mutex_);
  INSTAR_CHECK(resize_bitmaps(call, size));
  INSTAR_CHECK(write_metadata(call, lock));
  INSTAR_CHECK(write_refcounts(call));
  INSTAR_CHECK(barrier(call));
  const Be<uint64_t> field = size;
  if (const auto written = file_.write(call, offsetof(HeaderV2, size), &field, sizeof field);
      !written)
    return fail(written.error().code, "Failed to update the image size: ", written.error().message);
  INSTAR_CHECK(barrier(call));
  header_.size = size;
  size_.store(size, std::memory_order_relaxed);
  return {};
}

}  // namespace instar::qcow2
