// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/cluster_counts.hpp"

#include <algorithm>
#include <array>

namespace instar::qcow2 {
namespace {

constexpr uint64_t bytes_of(uint64_t entries, uint32_t order) {
  return (entries << order) >> 3;
}

constexpr uint64_t largest(uint32_t order) {
  return order == 6 ? UINT64_MAX : (uint64_t{1} << (1u << order)) - 1;
}

/** Eight one-bit counts as eight 16-bit ones, big-endian: what nearly all images need. */
using Sixteen = std::array<uint8_t, 16>;
constexpr std::array<Sixteen, 256> make_spread() {
  std::array<Sixteen, 256> table{};
  for (size_t byte = 0; byte < table.size(); ++byte)
    for (size_t bit = 0; bit < 8; ++bit)
      table[byte][2 * bit + 1] = static_cast<uint8_t>(byte >> bit & 1);
  return table;
}
constexpr auto kSpread = make_spread();

}  // namespace

void ClusterCounts::grow(uint64_t size) {
  if (size <= size_) return;
  size_ = size;
  chunks_.resize((size + kInChunk) >> kChunkBits);
}

void ClusterCounts::widen(Chunk& chunk) {
  const uint32_t order = chunk.order + 1;
  std::unique_ptr<uint8_t[]> wider(new uint8_t[bytes_of(kChunk, order)]());
  for (uint64_t i = 0; i < kChunk; ++i)
    if (const uint64_t value = Refcounts::entry(chunk.bytes.get(), i, chunk.order))
      Refcounts::set_entry(wider.get(), i, order, value);
  chunk.bytes = std::move(wider);
  chunk.order = order;
}

bool ClusterCounts::increment_slowly(Chunk& chunk, uint64_t index) {
  if (chunk.bytes == nullptr) chunk.bytes.reset(new uint8_t[bytes_of(kChunk, 0)]());
  for (;;) {
    const uint64_t value = Refcounts::entry(chunk.bytes.get(), index, chunk.order);
    if (value < largest(chunk.order)) {
      Refcounts::set_entry(chunk.bytes.get(), index, chunk.order, value + 1);
      return true;
    }
    if (chunk.order >= max_order_) return false;
    widen(chunk);
  }
}

uint64_t ClusterCounts::find_free(uint64_t from) const {
  while (from < size_ && get(from) != 0)
    ++from;
  return std::min(from, size_);
}

uint64_t ClusterCounts::find_used(uint64_t from) const {
  while (from < size_) {
    const bool empty = chunks_[from >> kChunkBits].bytes == nullptr;
    if (!empty && get(from) != 0) return from;
    from = empty ? (from | kInChunk) + 1 : from + 1;
  }
  return size_;
}

void ClusterCounts::pack_within(const Chunk& chunk, uint64_t index, uint64_t count,
                                uint8_t* out) const {
  if (chunk.bytes == nullptr) {
    std::fill_n(out, bytes_of(count, max_order_), uint8_t{0});
  } else if (chunk.order == max_order_) {
    std::copy_n(chunk.bytes.get() + bytes_of(index, max_order_), bytes_of(count, max_order_), out);
  } else if (chunk.order == 0 && max_order_ == 4) {
    for (uint64_t i = 0; i < count / 8; ++i)
      std::memcpy(out + i * sizeof(Sixteen), kSpread[chunk.bytes[index / 8 + i]].data(),
                  sizeof(Sixteen));
  } else {
    for (uint64_t i = 0; i < count; ++i)
      Refcounts::set_entry(out, i, max_order_,
                           Refcounts::entry(chunk.bytes.get(), index + i, chunk.order));
  }
}

void ClusterCounts::pack(uint64_t first, uint64_t count, uint8_t* out) const {
  const Chunk nothing;
  while (count > 0) {
    const uint64_t n = std::min(count, kChunk - (first & kInChunk));
    const uint64_t chunk = first >> kChunkBits;
    pack_within(chunk < chunks_.size() ? chunks_[chunk] : nothing, first & kInChunk, n, out);
    out += bytes_of(n, max_order_);
    first += n;
    count -= n;
  }
}

}  // namespace instar::qcow2
