// SPDX-License-Identifier: Apache-2.0
/** @file piece_walk.hpp Packed files without an index that consist of parts: how one part after the
 * other is found by what stands in the file, without unpacking. */
#pragma once

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "unpacker.hpp"

namespace instar::sdk {

/** Bytes; pieces lie one behind another. */
struct Piece {
  uint64_t packed_offset = 0;
  uint64_t packed_length = 0;
  uint64_t offset = 0;  ///< of its content
  uint64_t length = 0;
  uint32_t tag = 0;   ///< the packing's own
  bool sized = true;  ///< false: `offset` and `length` are only known once it was unpacked
};

/** What can be unpacked by itself: a frame, a stream. */
struct PackedUnit {
  uint64_t packed_length = 0;      ///< 0: none is known without unpacking, or it is damaged
  std::optional<uint64_t> length;  ///< of its content; none: only unpacking tells
  bool blank = false;              ///< nothing is in there that had to be unpacked or checked
};

/** Looks into a packed file from its beginning to its end: a little of it, or, where the looks are
 * close to each other, all of it in large reads. One thread at a time. Memory: kMostKept, and what a
 * look asks for. */
class PackedReader {
 public:
  explicit PackedReader(PackedFile file) : file_(std::move(file)) {}

  uint64_t size() const { return file_.size; }
  /** Up to `n` bytes, fewer only at the file's end; good until the next look. */
  Result<ConstBytes> look(const Call& call, uint64_t offset, size_t n) {
    if (offset >= file_.size) return ConstBytes{};
    n = static_cast<size_t>(std::min<uint64_t>(n, file_.size - offset));
    if (offset < begin_ || offset > end() + kNear) start_at(offset);
    if (offset + n > end()) INSTAR_CHECK(fill(call, offset, offset + n));
    return ConstBytes(bytes_).subspan(static_cast<size_t>(offset - begin_), n);
  }
  /** From now on. */
  void keep_from(uint64_t offset) { keep_ = offset; }
  /** Bytes that were read on the way, if all of them were. */
  std::vector<uint8_t> kept(uint64_t offset, uint64_t length) const {
    if (offset < begin_ || offset + length > end() || length > kMostKept) return {};
    const auto first = bytes_.begin() + static_cast<ptrdiff_t>(offset - begin_);
    return {first, first + static_cast<ptrdiff_t>(length)};
  }

 private:
  static constexpr uint64_t kNear = 256u << 10;
  static constexpr uint64_t kFirstRead = 4u << 10;
  static constexpr uint64_t kMostRead = 1u << 20;
  static constexpr uint64_t kMostKept = 2u << 20;

  uint64_t end() const { return begin_ + bytes_.size(); }
  void start_at(uint64_t offset) {
    begin_ = offset;
    bytes_.clear();
    step_ = kFirstRead;
  }
  Status fill(const Call& call, uint64_t offset, uint64_t wanted_end) {
    uint64_t keep = std::clamp(std::min(keep_, offset), begin_, end());
    if (end() - keep > kMostKept) keep = std::min(offset, end());
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(keep - begin_));
    begin_ = keep;
    const uint64_t from = end();
    const size_t before = bytes_.size();
    bytes_.resize(before + std::min(file_.size - from, std::max(wanted_end - from, step_)));
    auto status = file_.node.read(call, from, &bytes_[before], bytes_.size() - before);
    if (!status) bytes_.resize(before);
    step_ = std::min(4 * step_, kMostRead);
    return status;
  }

  const PackedFile file_;
  std::vector<uint8_t> bytes_;
  uint64_t begin_ = 0;  ///< of bytes_ in the file
  uint64_t keep_ = 0;
  uint64_t step_ = kFirstRead;
};

/** Small units are put together, so that pieces are worth a thread's while. One thread at a time. */
class PieceWalk {
 public:
  /** The unit at `offset`. */
  using Find = Result<PackedUnit> (*)(const Call& call, PackedReader& reader, uint64_t offset);
  enum class Found {
    kPiece,
    kEnd,    ///< of the file, but for zeroes
    kOther,  ///< something that can only be unpacked in order
  };

  /** Of a piece, and of what a unit of unknown length unpacks to. */
  static constexpr uint64_t kMostLength = 48u << 20;

  PieceWalk(PackedFile file, Find find)
      : file_size_(file.size), reader_(std::move(file)), find_(find) {}

  /** Sets `piece` but for its offset, and `packed` to its bytes if they happen to be there. After an
   * error, which is one in reading, it goes on where it was. */
  Result<Found> next(const Call& call, Piece& piece, std::vector<uint8_t>& packed) {
    for (;;) {
      if (call.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
      INSTAR_TRY(const bool ended, at_end(call));
      if (!ended && unit_.packed_length == 0) {
        if (group_.packed_length == 0) reader_.keep_from(at_);
        INSTAR_TRY(unit_, find_(call, reader_, at_));
      }
      if (ended || !fits(unit_)) {
        if (has_content()) return give(piece, packed);
        return ended && group_.packed_length == 0 ? Found::kEnd : Found::kOther;
      }
      if (!joins(unit_)) return give(piece, packed);
      add(unit_);
      unit_ = {};
    }
  }
  /** Behind all pieces that were found. */
  uint64_t position() const { return group_.packed_length != 0 ? group_.packed_offset : at_; }
  Result<bool> at_end(const Call& call) {
    if (file_size_ - at_ > kMostPadding) return false;
    INSTAR_TRY(const ConstBytes rest, reader_.look(call, at_, kMostPadding));
    return is_zero(rest.data(), rest.size());
  }

 private:
  static constexpr uint64_t kGoal = 1u << 20;
  static constexpr uint64_t kMostEmpty = 64u << 10;  ///< packed bytes, of a piece
  static constexpr uint64_t kMostPadding = 4096;
  static constexpr size_t kMostPieces = 1u << 20;

  bool has_content() const { return group_.length != 0 || !group_.sized; }
  bool fits(const PackedUnit& unit) const {
    const uint64_t most = unit.length.value_or(kMostLength);
    if (count_ == kMostPieces || unit.packed_length == 0 || unit.packed_length > file_size_ - at_)
      return false;
    if (unit.blank && (group_.packed_length == 0 || has_content())) return true;
    if (unit.length == 0) return unit.packed_length <= kMostEmpty && empty_ <= kMostEmpty;
    return most <= kMostLength && unit.packed_length <= most + kMostEmpty;
  }
  bool joins(const PackedUnit& unit) const {
    if (!has_content()) return true;
    if (unit.length == 0) return empty_ + unit.packed_length <= kMostEmpty;
    return unit.length && group_.sized && group_.length + *unit.length <= kGoal;
  }
  void add(const PackedUnit& unit) {
    at_ += unit.packed_length;
    if (unit.blank && group_.packed_length == 0) return;
    if (group_.packed_length == 0) group_.packed_offset = at_ - unit.packed_length;
    group_.packed_length += unit.packed_length;
    group_.length += unit.length.value_or(0);
    group_.sized = group_.sized && unit.length.has_value();
    if (unit.length == 0) empty_ += unit.packed_length;
  }
  Found give(Piece& piece, std::vector<uint8_t>& packed) {
    piece = std::exchange(group_, {});
    packed = reader_.kept(piece.packed_offset, piece.packed_length);
    empty_ = 0;
    ++count_;
    return Found::kPiece;
  }

  const uint64_t file_size_;
  PackedReader reader_;
  const Find find_;
  uint64_t at_ = 0;  ///< behind the last unit of group_
  PackedUnit unit_;  ///< the one at `at_`, if it was looked for
  Piece group_;
  uint64_t empty_ = 0;  ///< packed bytes of it that hold no content
  size_t count_ = 0;    ///< pieces
};

}  // namespace instar::sdk
