// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "plugins/formats/qcow2/image.hpp"

namespace instar::qcow2 {
namespace {
constexpr uint64_t kAllZero = kAllSubclusters << 32;
}

/** What becomes of an entry when its whole cluster is cleared. */
Entry Image::cleared(const Entry& entry, Clearing how) const {
  const bool compressed = (entry.word & kEntryCompressed) != 0;
  const bool host = l2_.has_host(entry);
  if (how == Clearing::kDiscard && !compressed && !host && !backing_) return entry;
  const bool keep = host && (how == Clearing::kZero || settings_.discard_no_unref);
  if (geometry_.extended) return {keep ? entry.word : 0, kAllZero};
  if (!geometry_.zero_flag) return {};  // only without a backing file
  return {keep ? entry.word | kEntryZero : kEntryZero, 0};
}

/** [begin, end) are whole clusters. */
Status Image::clear_clusters(const Call& call, uint64_t begin, uint64_t end, Clearing how) {
  while (begin < end) {
    Lock lock(mutex_);
    INSTAR_CHECK(begin_change(call, lock));
    INSTAR_TRY(L2Tables::Slice slice, l2_.slice(call, begin));
    const uint64_t slice_end = slice.first_guest + (slice.count << geometry_.cluster_bits);
    const uint64_t part_end = std::min(end, slice_end);
    if (ranges_.wait(lock, begin, part_end, Mode::kExclusive)) continue;
    const bool nothing_there =
        slice.entries == nullptr && cleared({}, how).word == 0 && cleared({}, how).bitmap == 0;
    if (!nothing_there) {
      INSTAR_CHECK(own_table(call, begin));
      INSTAR_TRY(slice, l2_.slice(call, begin));
      for (uint64_t guest = begin; guest < part_end; guest += geometry_.cluster_size) {
        const uint64_t index = (guest - slice.first_guest) >> geometry_.cluster_bits;
        const Entry old = l2_.get(slice, index);
        const Entry entry = cleared(old, how);
        if (entry.word == old.word && entry.bitmap == old.bitmap) continue;
        l2_.set(slice, index, entry);
        if ((entry.word & ~kEntryZero) == 0) free_entry(old, true);
      }
    }
    begin = part_end;
  }
  return {};
}

/** [begin, end) are whole subclusters of one cluster, which has extended entries. */
Status Image::zero_subclusters(const Call& call, uint64_t begin, uint64_t end) {
  {
    Lock lock(mutex_);
    INSTAR_CHECK(begin_change(call, lock));
    const uint64_t cluster = geometry_.cluster_start(begin);
    ranges_.wait(lock, cluster, cluster + geometry_.cluster_size, Mode::kExclusive);
    INSTAR_CHECK(own_table(call, begin));
    INSTAR_TRY(const L2Tables::Slice slice, l2_.slice(call, begin));
    const uint64_t index = (begin - slice.first_guest) >> geometry_.cluster_bits;
    Entry entry = l2_.get(slice, index);
    if ((entry.word & kEntryCompressed) == 0) {
      const uint64_t bits = subclusters(begin, end);
      entry.bitmap = (entry.bitmap & ~bits) | bits << 32;
      l2_.set(slice, index, entry);
      return {};
    }
  }
  return zero_plainly(call, begin, end, true);
}

/** @param last even when the image gets a longer backing file */
Status Image::zero_plainly(const Call& call, uint64_t begin, uint64_t end, bool last) {
  INSTAR_TRY(const bool zeroes, reads_as_zeroes(call, begin, end, last));
  return zeroes ? Status{} : write_zeroes_plainly(call, begin, end);
}

Status Image::write_zeroes_plainly(const Call& call, uint64_t begin, uint64_t end) {
  const std::vector<uint8_t> buffer(std::min<uint64_t>(end - begin, 1u << 20));
  while (begin < end) {
    const size_t n = std::min<uint64_t>(end - begin, buffer.size());
    const instar_iovec piece{const_cast<uint8_t*>(buffer.data()), n};
    INSTAR_CHECK(write(call, begin, IoVec(&piece, 1), 0));
    begin += n;
  }
  return {};
}

Status Image::write_zeroes(const Call& call, uint64_t offset, uint64_t length, uint32_t flags) {
  if ((flags_ & INSTAR_OPEN_WRITE) == 0) return fail(EACCES, sdk::errno_text(EACCES));
  const uint64_t end = offset + length;
  INSTAR_CHECK(record_change(call, offset, length));
  if (!geometry_.zero_flag && backing_) {
    if ((flags & INSTAR_WRITE_NO_FALLBACK) != 0) return fail(ENOTSUP, sdk::errno_text(ENOTSUP));
    INSTAR_CHECK(zero_plainly(call, offset, end, true));
  } else {
    if (data_file_ && header_.data_file_raw())
      INSTAR_CHECK(data_file_.write_zeroes(call, offset, length, flags & ~INSTAR_WRITE_FUA));
    const bool freeing = (flags & INSTAR_WRITE_MAY_UNMAP) != 0;
    INSTAR_CHECK(zero_range(call, offset, end, freeing ? Clearing::kZeroFreeing : Clearing::kZero));
  }
  return (flags & INSTAR_WRITE_FUA) != 0 ? flush(call) : Status{};
}

/** Ends inside a (sub)cluster are plain writes; the end of the image counts as a boundary. */
Status Image::zero_range(const Call& call, uint64_t begin, uint64_t end, Clearing how) {
  const uint64_t unit = geometry_.subcluster_size;
  const uint64_t first = std::min(sdk::round_up(begin, unit), end);
  const uint64_t last =
      end == size() ? sdk::round_up(end, unit) : std::max(sdk::round_down(end, unit), first);
  if (begin < first) INSTAR_CHECK(zero_plainly(call, begin, first, true));
  if (last < end) INSTAR_CHECK(zero_plainly(call, last, end, true));
  if (first == end) return {};
  const uint64_t clusters_begin = geometry_.cluster_end(first);
  const uint64_t clusters_end = std::max(
      end == size() ? geometry_.cluster_end(last) : geometry_.cluster_start(last), clusters_begin);
  const uint64_t head_end = std::min(clusters_begin, last);
  if (first < head_end) INSTAR_CHECK(zero_subclusters(call, first, head_end));
  if (clusters_end < last) INSTAR_CHECK(zero_subclusters(call, clusters_end, last));
  return clusters_begin < clusters_end ? clear_clusters(call, clusters_begin, clusters_end, how)
                                       : Status{};
}

Status Image::discard(const Call& call, uint64_t offset, uint64_t length) {
  if ((flags_ & INSTAR_OPEN_WRITE) == 0) return fail(EACCES, sdk::errno_text(EACCES));
  INSTAR_CHECK(record_change(call, offset, length));
  // Without a zero flag the backing file would show through.
  if (!geometry_.zero_flag && backing_) return {};
  const uint64_t begin = geometry_.cluster_end(offset);
  const uint64_t end = offset + length == size() ? geometry_.cluster_end(offset + length)
                                                 : geometry_.cluster_start(offset + length);
  if (begin >= end) return {};
  if (data_file_) {
    if (settings_.discard_requests) INSTAR_CHECK(data_file_.discard(call, begin, end - begin));
    // Who reads the raw data file must see what is read here.
    if (header_.data_file_raw()) return {};
  }
  return clear_clusters(call, begin, end, Clearing::kDiscard);
}

}  // namespace instar::qcow2
