// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>

#include "plugins/formats/qcow2/bitmaps.hpp"

namespace instar::qcow2 {
namespace {

constexpr uint64_t kWordBits = 64;

/** A word with the first bit as its lowest, whatever the machine's byte order. */
uint64_t in_order(uint64_t word) {
  return std::endian::native == std::endian::big ? __builtin_bswap64(word) : word;
}

}  // namespace

DirtyBits::DirtyBits(const Geometry& geometry, HostFile& file, uint32_t granularity_bits,
                     uint64_t size, std::vector<uint64_t> table)
    : geometry_(geometry),
      file_(file),
      granularity_bits_(granularity_bits),
      size_(size),
      bits_per_piece_(geometry.cluster_size * 8),
      table_(std::move(table)) {
  table_.resize(bitmap_clusters(geometry, size, granularity_bits));
}

/** Bits [begin, end) of a piece. */
void DirtyBits::change(Piece& piece, uint64_t begin, uint64_t end, bool value) {
  while (begin < end) {
    const uint64_t first = begin % kWordBits;
    const uint64_t n = std::min(end - begin, kWordBits - first);
    const uint64_t mask = (n == kWordBits ? ~uint64_t{0} : (uint64_t{1} << n) - 1) << first;
    uint64_t& word = piece.words[begin / kWordBits];
    const uint64_t old = in_order(word);
    const uint64_t fresh = value ? old | mask : old & ~mask;
    if (fresh != old) piece.changed = true;
    word = in_order(fresh);
    begin += n;
  }
}

uint64_t DirtyBits::next_set(const Piece& piece, uint64_t bit) const {
  while (bit < bits_per_piece_) {
    const uint64_t word = in_order(piece.words[bit / kWordBits]) >> (bit % kWordBits);
    if (word != 0) return bit + static_cast<uint64_t>(std::countr_zero(word));
    bit = (bit / kWordBits + 1) * kWordBits;
  }
  return bits_per_piece_;
}

uint64_t DirtyBits::next_clear(const Piece& piece, uint64_t bit) const {
  while (bit < bits_per_piece_) {
    const uint64_t word = ~in_order(piece.words[bit / kWordBits]) >> (bit % kWordBits);
    if (word != 0) return bit + static_cast<uint64_t>(std::countr_zero(word));
    bit = (bit / kWordBits + 1) * kWordBits;
  }
  return bits_per_piece_;
}

Result<DirtyBits::Piece*> DirtyBits::piece(const Call& call, uint64_t index) {
  if (const auto found = pieces_.find(index); found != pieces_.end()) return &found->second;
  Piece piece;
  piece.words.resize(bits_per_piece_ / kWordBits);
  const uint64_t entry = table_[index];
  if (entry > kAllOnes)
    INSTAR_CHECK(file_.read(call, entry, piece.words.data(), geometry_.cluster_size));
  else if (entry == kAllOnes)
    change(piece, 0, bits_per_piece_, true);
  // Nothing is behind the end of the image.
  const uint64_t bits = sdk::div_up(size_, granularity());
  const uint64_t first = index * bits_per_piece_;
  change(piece, std::clamp(bits, first, first + bits_per_piece_) - first, bits_per_piece_, false);
  piece.changed = false;
  return &(pieces_[index] = std::move(piece));
}

Result<bool> DirtyBits::covers(const Call& call, uint64_t offset, uint64_t length) {
  const uint64_t end = std::min(offset + length, size_);
  if (offset >= end) return true;
  uint64_t bit = offset >> granularity_bits_;
  const uint64_t last = (end - 1) >> granularity_bits_;
  while (bit <= last) {
    const uint64_t index = bit / bits_per_piece_;
    const uint64_t first = index * bits_per_piece_;
    if (!pieces_.contains(index) && table_[index] <= kAllOnes) {
      if (table_[index] == 0) return false;
    } else {
      INSTAR_TRY(const Piece* piece, this->piece(call, index));
      if (next_clear(*piece, bit - first) <= std::min(last - first, bits_per_piece_ - 1))
        return false;
    }
    bit = first + bits_per_piece_;
  }
  return true;
}

Status DirtyBits::set(const Call& call, uint64_t offset, uint64_t length) {
  const uint64_t end = std::min(offset + length, size_);
  if (offset >= end) return {};
  uint64_t bit = offset >> granularity_bits_;
  const uint64_t bits_end = ((end - 1) >> granularity_bits_) + 1;
  while (bit < bits_end) {
    const uint64_t index = bit / bits_per_piece_;
    const uint64_t first = index * bits_per_piece_;
    const uint64_t part_end = std::min(bits_end, first + bits_per_piece_);
    if (table_[index] != kAllOnes || pieces_.contains(index)) {
      INSTAR_TRY(Piece * piece, this->piece(call, index));
      change(*piece, bit - first, part_end - first, true);
    }
    bit = part_end;
  }
  return {};
}

Result<uint64_t> DirtyBits::collect(const Call& call, uint64_t offset, size_t max,
                                    std::vector<Run>* runs) {
  uint64_t bit = offset >> granularity_bits_;
  for (uint64_t index = bit / bits_per_piece_; index < table_.size(); ++index) {
    const uint64_t first = index * bits_per_piece_;
    if (runs->size() >= max) return first << granularity_bits_;
    if (!has_any(index)) continue;
    INSTAR_TRY(const Piece* piece, this->piece(call, index));
    for (bit = next_set(*piece, std::max(bit, first) - first); bit < bits_per_piece_;) {
      const uint64_t after = next_clear(*piece, bit);
      const uint64_t begin = (first + bit) << granularity_bits_;
      const uint64_t end = std::min((first + after) << granularity_bits_, size_);
      if (!runs->empty() && runs->back().offset + runs->back().length == begin)
        runs->back().length += end - begin;
      else
        runs->push_back({begin, end - begin});
      bit = next_set(*piece, after);
    }
    bit = first + bits_per_piece_;
  }
  return size_;
}

void DirtyBits::clear() {
  pieces_.clear();
  for (auto& entry : table_) {
    if (entry > kAllOnes) dropped_.push_back(entry);
    entry = 0;
  }
}

Status DirtyBits::resize(const Call& call, uint64_t size) {
  // The last piece knows where the image ended.
  if (!table_.empty() && has_any(table_.size() - 1)) {
    INSTAR_TRY(Piece * last, piece(call, table_.size() - 1));
    last->changed = true;
  }
  const uint64_t count = bitmap_clusters(geometry_, size, granularity_bits_);
  for (uint64_t index = count; index < table_.size(); ++index)
    if (table_[index] > kAllOnes) dropped_.push_back(table_[index]);
  pieces_.erase(pieces_.lower_bound(count), pieces_.end());
  table_.resize(count);
  size_ = size;
  if (count == 0 || !has_any(count - 1)) return {};
  INSTAR_TRY(Piece * last, piece(call, count - 1));
  const uint64_t bits = sdk::div_up(size, granularity());
  change(*last, bits - (count - 1) * bits_per_piece_, bits_per_piece_, false);
  last->changed = true;
  return {};
}

}  // namespace instar::qcow2
