// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>

#include "plugins/formats/qcow2/image.hpp"

namespace instar::qcow2 {
namespace {
constexpr size_t kMaxPendingFrees = 1u << 16;
}

/** An image that was found corrupt while it was in use counts as taken out of its drive. */
Status Image::check_usable() const {
  if (corruption_.stopped()) return fail(ENOMEDIUM, sdk::errno_text(ENOMEDIUM));
  if (broken_) return fail(EIO, sdk::errno_text(EIO));
  return {};
}

/** The mutex is held. Called before anything is looked up for a change. */
Status Image::begin_change(const Call& call, Lock& lock) {
  if ((flags_ & INSTAR_OPEN_WRITE) == 0) return fail(EACCES, sdk::errno_text(EACCES));
  INSTAR_CHECK(check_usable());
  if (!changed_) {
    INSTAR_CHECK(start_writing(call));
    changed_ = true;
  }
  INSTAR_CHECK(start_guarding(call));
  if (l2_.crowded() || refcounts_.crowded() || frees_.size() > kMaxPendingFrees)
    return write_metadata(call, lock);
  return {};
}

/** Bits of the subclusters that [begin, end) touches; the range lies in one cluster. */
uint64_t Image::subclusters(uint64_t begin, uint64_t end) const {
  const uint64_t cluster = geometry_.cluster_start(begin);
  const uint64_t first = (begin - cluster) / geometry_.subcluster_size;
  const uint64_t count = sdk::div_up(end - cluster, geometry_.subcluster_size) - first;
  return ((uint64_t{1} << count) - 1) << first;
}

Image::Way Image::way_to_write(const Entry& entry, uint64_t begin, uint64_t end) const {
  if (!l2_.has_host(entry) || (entry.word & kEntryCopied) == 0) return Way::kAllocate;
  if (geometry_.extended) {
    const uint64_t touched = subclusters(begin, end);
    return (entry.bitmap & touched) == touched ? Way::kInPlace : Way::kReuse;
  }
  return (entry.word & kEntryZero) == 0 ? Way::kInPlace : Way::kReuse;
}

/** What has to be copied around the data: `first` and `last` are the entries at its ends. */
void Image::widen(Piece& piece, const Entry& first, const Entry& last) const {
  piece.cow_begin = piece.begin;
  piece.cow_end = piece.end;
  if (piece.way == Way::kInPlace) return;
  const auto copies_all = [&](const Entry& entry) {
    return !geometry_.extended ||
           (piece.way == Way::kAllocate &&
            ((entry.word & kEntryCompressed) != 0 || (entry.bitmap & kAllSubclusters) != 0));
  };
  const auto has_data = [&](const Entry& entry, uint64_t at) {
    return piece.way == Way::kReuse && geometry_.extended &&
           (entry.bitmap & subclusters(at, at + 1)) != 0;
  };
  const auto floor = [&](uint64_t at, uint64_t unit) { return at & ~(unit - 1); };
  const auto unit_of = [&](const Entry& entry) {
    return copies_all(entry) ? geometry_.cluster_size : geometry_.subcluster_size;
  };
  if (!has_data(first, piece.begin)) piece.cow_begin = floor(piece.begin, unit_of(first));
  if (!has_data(last, piece.end - 1)) {
    const uint64_t unit = unit_of(last);
    piece.cow_end = floor(piece.end + unit - 1, unit);
  }
}

/** The longest beginning of [begin, end) that is written one way. Changes nothing. */
Result<Image::Piece> Image::classify(const Call& call, uint64_t begin, uint64_t end) {
  INSTAR_TRY(const L2Tables::Slice slice, l2_.slice(call, begin));
  end = std::min(end, slice.first_guest + (slice.count << geometry_.cluster_bits));
  Piece piece;
  piece.begin = begin;
  piece.end = begin;
  Entry first;
  Entry last;
  while (piece.end < end) {
    const uint64_t next = std::min(geometry_.cluster_end(piece.end + 1), end);
    Entry entry;
    if (slice.entries != nullptr) {
      const uint64_t index = (piece.end - slice.first_guest) >> geometry_.cluster_bits;
      entry = l2_.get(slice, index);
      INSTAR_CHECK(refuse_unaligned(call, piece.end, entry));
      INSTAR_TRY([[maybe_unused]] const Kind kind, l2_.kind(slice, index, entry, 0));
    }
    const Way way = way_to_write(entry, piece.end, next);
    const uint64_t host = entry.word & kEntryOffsetMask;
    if (piece.end == begin) {
      piece.way = way;
      piece.host = host;
      first = entry;
    } else {
      const uint64_t distance = geometry_.cluster_start(piece.end) - geometry_.cluster_start(begin);
      if (way != piece.way || (way != Way::kAllocate && host != piece.host + distance)) break;
    }
    last = entry;
    piece.end = next;
  }
  widen(piece, first, last);
  return piece;
}

/** Guest's L2 table is there and belongs to the active L1 alone. */
Status Image::own_table(const Call& call, uint64_t guest) {
  const uint64_t old = l2_.table_offset(guest);
  if (old != 0 && l2_.private_table(guest)) return {};
  allocating_ = "L2 table";
  auto allocated = refcounts_.allocate(call, 1);
  allocating_ = nullptr;
  INSTAR_TRY(const ClusterRange range, std::move(allocated));
  if (auto made = l2_.set_table(call, guest, range.first << geometry_.cluster_bits); !made) {
    std::vector<ClusterRange> unused;
    (void)refcounts_.decrease(call, range, &unused);
    return made;
  }
  guard_.add(geometry_, range.first << geometry_.cluster_bits, geometry_.cluster_size);
  if (old != 0) free_later({geometry_.cluster_of(old), 1}, false);
  return {};
}

/** Finds room for a piece. May make it shorter. */
Status Image::place(const Call& call, Piece& piece) {
  if (piece.way != Way::kAllocate && !data_file_)
    INSTAR_CHECK(refuse_overlap(call, piece.host, piece.cow_end - piece.cow_begin, 0));
  if (piece.way == Way::kInPlace) return {};
  INSTAR_CHECK(own_table(call, piece.begin));
  if (piece.way == Way::kReuse) return {};
  const uint64_t start = geometry_.cluster_start(piece.begin);
  if (data_file_) {
    piece.host = start;
    return {};
  }
  const uint64_t unused_from = refcounts_.end();
  INSTAR_TRY(const ClusterRange range,
             refcounts_.allocate(call, geometry_.clusters(piece.end - start)));
  piece.host = range.first << geometry_.cluster_bits;
  piece.pristine = range.first >= unused_from && file_.grows_with_zeroes() && !cipher_;
  const uint64_t end = start + (range.count << geometry_.cluster_bits);
  if (end < piece.end) piece.end = piece.cow_end = end;
  return {};
}

/** A piece that is ready to be written, its range locked. The mutex is held. */
Result<Image::Piece> Image::plan(const Call& call, Lock& lock, uint64_t begin, uint64_t end) {
  for (;;) {
    INSTAR_TRY(Piece piece, classify(call, begin, end));
    if (ranges_.wait(lock, locked_begin(piece), locked_end(piece), lock_mode(piece))) continue;
    INSTAR_CHECK(place(call, piece));
    lock_range(piece);
    return piece;
  }
}

/** Makes the mapping refer to a piece that is written. The mutex is held. */
Status Image::link(const Call& call, const Piece& piece) {
  const uint64_t start = geometry_.cluster_start(piece.begin);
  L2Tables::Slice slice;
  for (uint64_t guest = start; guest < piece.end; guest += geometry_.cluster_size) {
    if (slice.entries == nullptr) {
      INSTAR_TRY(slice, l2_.slice(call, guest));
      if (slice.entries == nullptr) return fail(EIO, "L2 table is missing");
    }
    const uint64_t index = (guest - slice.first_guest) >> geometry_.cluster_bits;
    const Entry old = l2_.get(slice, index);
    Entry entry{(piece.host + (guest - start)) | kEntryCopied, 0};
    if (geometry_.extended) {
      const uint64_t written = subclusters(std::max(guest, piece.cow_begin),
                                           std::min(guest + geometry_.cluster_size, piece.cow_end));
      const uint64_t kept = piece.way == Way::kReuse ? old.bitmap : old.bitmap & ~kAllSubclusters;
      entry.bitmap = (kept | written) & ~(written << 32);
    }
    l2_.set(slice, index, entry);
    if (piece.way == Way::kAllocate) free_entry(old, false);
  }
  return {};
}

/** Nothing refers to the clusters of a new piece: they are free at once. If that fails they are
 * leaked. The mutex is held. */
void Image::give_back(const Call& call, const Piece& piece) {
  if (piece.way != Way::kAllocate || data_file_) return;
  std::vector<ClusterRange> unused;
  const uint64_t count = geometry_.clusters(piece.end - geometry_.cluster_start(piece.begin));
  (void)refcounts_.decrease(call, {geometry_.cluster_of(piece.host), count}, &unused);
}

/** After the data was written, or not: the mapping and the locks. */
Status Image::finish(const Call& call, const Piece& piece, Status written) {
  const Lock lock(mutex_);
  if (written && piece.way != Way::kInPlace) written = link(call, piece);
  if (!written) give_back(call, piece);
  unlock_range(piece);
  return written;
}

/** Clusters up to host `end` are in use, but their end was not written. */
void Image::note_hole(uint64_t end) {
  uint64_t known = hole_end_.load();
  while (known < end && !hole_end_.compare_exchange_weak(known, end)) {
  }
}

/** @param own only by what the image itself says, not because its backing file is too short */
Result<bool> Image::reads_as_zeroes(const Call& call, uint64_t begin, uint64_t end, bool own) {
  std::vector<Run> runs;
  {
    const Lock lock(mutex_);
    INSTAR_CHECK(l2_.scan(call, begin, end - begin, SIZE_MAX - 1, &runs));
  }
  return std::all_of(runs.begin(), runs.end(), [&](const Run& run) {
    if (run.kind == Kind::kUnallocated || run.kind == Kind::kUnallocatedPlaced)
      return own ? !backing_ : run.guest >= backing_size_;
    return run.kind == Kind::kZero || run.kind == Kind::kZeroAllocated;
  });
}

/** The old content; what lies beyond the end of the image is zeroes. */
Status Image::copy_old(const Call& call, uint64_t begin, uint64_t end, uint8_t* to) {
  const uint64_t content_end = std::clamp(size(), begin, end);
  std::memset(to + (content_end - begin), 0, end - content_end);
  file_.say("cow_read");
  return read_unlocked(call, begin, to, content_end - begin);
}

/** Guest bytes from `begin` on go to where the piece has them. */
Status Image::write_host(const Call& call, const Piece& piece, uint64_t begin, const IoVec& from,
                         uint64_t position, uint64_t length) {
  const uint64_t host = piece.host + (begin - geometry_.cluster_start(piece.begin));
  file_.say("write_aio");
  if (cipher_) return cipher_->write(call, data(), begin, host, from, position, length);
  return data().write(call, host, from, position, length);
}

Status Image::write_piece(const Call& call, const Piece& piece, const IoVec& from,
                          uint64_t position) {
  uint64_t begin = piece.cow_begin;
  uint64_t end = piece.cow_end;
  if (piece.pristine) {  // zeroes are there already
    if (begin < piece.begin) {
      INSTAR_TRY(const bool zeroes, reads_as_zeroes(call, begin, piece.begin, false));
      if (zeroes) begin = piece.begin;
    }
    if (piece.end < end) {
      INSTAR_TRY(const bool zeroes, reads_as_zeroes(call, piece.end, end, false));
      if (zeroes) {
        end = piece.end;
        note_hole(piece.host + (piece.cow_end - geometry_.cluster_start(piece.begin)));
      }
    }
  }
  if (begin == piece.begin && end == piece.end)
    return write_host(call, piece, begin, from, position, end - begin);

  const auto around = packed_buffers_.take();  // two clusters: one for each side
  uint8_t* const head = around.data();
  uint8_t* const tail = around.data() + geometry_.cluster_size;
  std::vector<instar_iovec> pieces;
  if (begin < piece.begin) {
    INSTAR_CHECK(copy_old(call, begin, piece.begin, head));
    pieces.push_back({head, piece.begin - begin});
  }
  from.walk(position, piece.end - piece.begin, [&](uint8_t* data, uint64_t, size_t n) {
    pieces.push_back({data, n});
  });
  if (piece.end < end) {
    INSTAR_CHECK(copy_old(call, piece.end, end, tail));
    pieces.push_back({tail, end - piece.end});
  }
  return write_host(call, piece, begin, IoVec(pieces.data(), pieces.size()), 0, end - begin);
}

Status Image::write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) {
  const uint64_t end = offset + from.length();
  INSTAR_CHECK(record_change(call, offset, from.length()));
  for (uint64_t at = offset; at < end;) {
    Piece piece;
    {
      Lock lock(mutex_);
      INSTAR_CHECK(begin_change(call, lock));
      INSTAR_TRY(piece, plan(call, lock, at, end));
    }
    INSTAR_CHECK(finish(call, piece, write_piece(call, piece, from, at - offset)));
    at = piece.end;
  }
  if ((flags & INSTAR_WRITE_FUA) != 0) return flush(call);
  return {};
}

/** The end of the last cluster, which nobody writes. */
Status Image::fill_rest(const Call& call, const Piece& piece) {
  if (piece.end >= piece.cow_end || piece.way == Way::kInPlace) return {};
  const uint64_t start = geometry_.cluster_start(piece.begin);
  const std::vector<uint8_t> zeroes(piece.pristine ? 0 : piece.cow_end - piece.end);
  INSTAR_CHECK(data().write(call, piece.host + (piece.end - start), zeroes.data(), zeroes.size()));
  note_hole(piece.host + (piece.cow_end - start));
  return {};
}

/** A piece with a place, its range locked. The mutex is held.
 * @return false when others are working on its range */
Result<bool> Image::prepare_piece(const Call& call, uint64_t begin, uint64_t end, Piece& piece) {
  INSTAR_TRY(piece, classify(call, begin, end));
  if (ranges_.conflicts(locked_begin(piece), locked_end(piece), Mode::kExclusive)) return false;
  INSTAR_CHECK(place(call, piece));
  if (auto filled = fill_rest(call, piece); !filled) {
    give_back(call, piece);
    return filled.error();
  }
  lock_range(piece);
  return true;
}

Result<size_t> Image::prepare_write(const Call& call, uint64_t offset, uint64_t length,
                                    instar_placement* out, size_t max) {
  const uint64_t end = offset + length;
  if (geometry_.in_cluster(offset) != 0 || (geometry_.in_cluster(end) != 0 && end != size()))
    return size_t{0};
  INSTAR_CHECK(record_change(call, offset, length));
  Lock lock(mutex_);
  INSTAR_CHECK(begin_change(call, lock));
  size_t count = 0;
  for (uint64_t at = offset; at < end && count < max; ++count) {
    Piece piece;
    const auto prepared = prepare_piece(call, at, end, piece);
    if (!prepared && count == 0) return prepared.error();
    if (!prepared || !*prepared) break;  // what was placed before it is the caller's
    out[count] = {piece.begin, piece.end - piece.begin,
                  piece.host,  static_cast<uint64_t>(piece.way),
                  data().id(), 0};
    at = piece.end;
  }
  return count;
}

Status Image::commit_write(const Call& call, const instar_placement* placements, size_t count) {
  Status result;
  for (size_t i = 0; i < count; ++i) {
    const auto& placement = placements[i];
    data().note_end(placement.child_offset + placement.length);
    auto linked = finish(call, placed(placement), {});
    if (!linked) result = std::move(linked);
  }
  return result;
}

void Image::abort_write(const instar_placement* placements, size_t count) {
  const Call call(nullptr);
  for (size_t i = 0; i < count; ++i)
    (void)finish(call, placed(placements[i]), fail(ECANCELED, "aborted"));
}

/** The piece that a placement was made of. */
Image::Piece Image::placed(const instar_placement& placement) const {
  Piece piece;
  piece.begin = piece.cow_begin = placement.offset;
  piece.end = placement.offset + placement.length;
  piece.cow_end = geometry_.cluster_end(piece.end);
  piece.host = placement.child_offset;
  piece.way = static_cast<Way>(placement.token);
  return piece;
}

}  // namespace instar::qcow2
