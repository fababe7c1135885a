// SPDX-License-Identifier: Apache-2.0
#include <cstddef>

#include "plugins/formats/qcow2/image.hpp"

namespace instar::qcow2 {

/** The mutex is held. */
Status Image::start_writing(const Call& call) {
  INSTAR_CHECK(
      refcounts_.load(call, header_.refcount_table_offset, header_.refcount_table_clusters));
  if (settings_.lazy_refcounts && (header_.incompatible & kIncompatDirty) == 0) {
    header_.incompatible |= kIncompatDirty;
    INSTAR_CHECK(write_incompatible_features(call, file_, header_));
  }
  return drop_unknown_features(call);
}

/** Whoever writes to the image takes away the autoclear flags that it does not know. */
Status Image::drop_unknown_features(const Call& call) {
  const bool known = (header_.autoclear & ~uint64_t{kAutoclearKnown}) == 0;
  return known && !header_.stale_bitmaps ? Status{} : update_header(call, header_);
}

/** What was written before is on the disk before what is written after. */
Status Image::barrier(const Call& call) {
  Status result = data_file_ ? data_file_.flush(call) : Status{};
  if (result) result = file_.flush(call);
  if (!result) broken_ = true;
  return result;
}

/** The file is as long as its last cluster, so that others may read all of it from there. Nobody
 * writes meanwhile, or what lies behind `end` would be cut off. */
Status Image::cover_hole(const Call& call) {
  const uint64_t end = hole_end_.load();
  if (data().size() >= end) return {};
  INSTAR_CHECK(data().node().resize(call, end));
  data().note_end(end);
  return {};
}

void Image::free_later(ClusterRange range, bool requested) {
  if (!frees_.empty()) {
    Pending& last = frees_.back();
    if (last.requested == requested && last.range.first + last.range.count == range.first) {
      last.range.count += range.count;
      return;
    }
  }
  frees_.push_back({range, requested});
}

/** An entry that was replaced no longer refers to its host clusters. */
void Image::free_entry(const Entry& entry, bool requested) {
  if ((entry.word & kEntryCompressed) != 0) {
    const uint64_t offset = geometry_.packed_offset(entry.word);
    const uint64_t first = geometry_.cluster_of(offset);
    const uint64_t last = geometry_.cluster_of(offset + geometry_.packed_length(entry.word) - 1);
    free_later({first, last - first + 1}, requested);
  } else if (l2_.has_host(entry) && !data_file_) {
    free_later({geometry_.cluster_of(entry.word & kEntryOffsetMask), 1}, requested);
  }
}

/** No entry on the disk refers to these any more. */
Status Image::apply_frees(const Call& call) {
  std::vector<ClusterRange> unused;
  for (const auto& pending : frees_) {
    unused.clear();
    file_.say("cluster_free");
    INSTAR_CHECK(refcounts_.decrease(call, pending.range, &unused));
    for (const auto& range : unused) {
      const uint64_t offset = range.first << geometry_.cluster_bits;
      const uint64_t length = range.count << geometry_.cluster_bits;
      if (packed_next_ - offset < length) packed_next_ = 0;
      // A wish: an image stays right without it.
      if (pending.requested ? settings_.discard_requests : settings_.discard_other)
        (void)file_.discard(call, offset, length);
    }
  }
  frees_.clear();
  return {};
}

Status Image::write_refcounts(const Call& call) {
  INSTAR_CHECK(refcounts_.write_blocks(call, guard_of(call, kRefcountBlock)));
  if (!refcounts_.table_dirty()) return {};
  INSTAR_CHECK(barrier(call));
  INSTAR_CHECK(refcounts_.write_table(call));
  if (!refcounts_.moved()) return {};
  INSTAR_CHECK(barrier(call));
  struct {
    Be<uint64_t> offset;
    Be<uint32_t> clusters;
  } fields{refcounts_.table_offset(), refcounts_.table_clusters()};
  static_assert(sizeof fields == 12);
  file_.say("refblock_alloc.switch_table");
  INSTAR_CHECK(
      file_.write(call, offsetof(HeaderV2, refcount_table_offset), &fields, sizeof fields));
  INSTAR_CHECK(barrier(call));
  header_.refcount_table_offset = refcounts_.table_offset();
  header_.refcount_table_clusters = refcounts_.table_clusters();
  free_later(refcounts_.settle(), false);
  return {};
}

/** All that is referred to reaches the disk before what refers to it. */
Status Image::write_metadata(const Call& call, Lock& lock) {
  INSTAR_CHECK(packed_.drain(call, lock));
  INSTAR_CHECK(check_usable());
  INSTAR_CHECK(write_refcounts(call));
  INSTAR_CHECK(barrier(call));
  if (!l2_.tables_dirty() && !l2_.l1_dirty() && frees_.empty()) return {};
  INSTAR_CHECK(l2_.write_tables(call, guard_of(call, kActiveL2)));
  if (l2_.l1_dirty()) {
    INSTAR_CHECK(barrier(call));
    INSTAR_CHECK(refuse_overlap(call, l2_.l1_offset(), l2_.l1().size() * 8, kActiveL1));
    INSTAR_CHECK(l2_.write_l1(call));
  }
  INSTAR_CHECK(barrier(call));
  return apply_frees(call);
}

Status Image::flush(const Call& call) {
  if ((flags_ & INSTAR_OPEN_WRITE) == 0) return {};
  Lock lock(mutex_);
  const bool clean = !l2_.tables_dirty() && !l2_.l1_dirty() && !refcounts_.blocks_dirty() &&
                     !refcounts_.table_dirty() && frees_.empty() && packed_.empty();
  if (!clean || broken_) return write_metadata(call, lock);
  lock.unlock();
  if (data_file_) INSTAR_CHECK(data_file_.flush(call));
  return file_.flush(call);
}

}  // namespace instar::qcow2
