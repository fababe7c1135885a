// SPDX-License-Identifier: Apache-2.0
/** @file cluster_counts.hpp References to host clusters, counted in memory while an image is
 * checked. Takes as few bits a cluster as the counts need: pieces of the file that nobody refers to
 * take none, and a piece whose clusters are all used once takes one bit each. Not thread-safe. */
#pragma once

#include <memory>
#include <vector>

#include "plugins/formats/qcow2/refcounts.hpp"

namespace instar::qcow2 {

class ClusterCounts {
 public:
  /** @param max_order the image's refcount_order: larger counts than it can hold are not counted. */
  explicit ClusterCounts(uint32_t max_order) : max_order_(max_order) {}

  uint64_t size() const { return size_; }
  /** Makes room for clusters [0, size). Never shrinks. */
  void grow(uint64_t size);
  /** All counts become 0. */
  void clear() {
    for (auto& chunk : chunks_)
      chunk = {};
  }

  /** `cluster` < size(), here and below. */
  uint64_t get(uint64_t cluster) const {
    const Chunk& chunk = chunks_[cluster >> kChunkBits];
    if (chunk.bytes == nullptr) return 0;
    return Refcounts::entry(chunk.bytes.get(), cluster & kInChunk, chunk.order);
  }
  bool is_one(uint64_t cluster) const {
    const Chunk& chunk = chunks_[cluster >> kChunkBits];
    if (chunk.order == 0 && chunk.bytes != nullptr)
      return (chunk.bytes[(cluster & kInChunk) >> 3] >> (cluster & 7) & 1) != 0;
    return get(cluster) == 1;
  }
  /** Adds 1; false when the count is at its largest already. */
  bool increment(uint64_t cluster) {
    Chunk& chunk = chunks_[cluster >> kChunkBits];
    if (chunk.order == 0 && chunk.bytes != nullptr) {  // by far the most
      uint8_t& byte = chunk.bytes[(cluster & kInChunk) >> 3];
      const auto bit = static_cast<uint8_t>(1u << (cluster & 7));
      if ((byte & bit) == 0) {
        byte |= bit;
        return true;
      }
    }
    return increment_slowly(chunk, cluster & kInChunk);
  }

  /** The first cluster from `from` on that is (not) referred to; size() if there is none. */
  uint64_t find_free(uint64_t from) const;
  uint64_t find_used(uint64_t from) const;
  /** Entries of clusters [first, first + count) as a refcount block of the image has them. Both
   * numbers are multiples of 8; beyond size() counts are 0. */
  void pack(uint64_t first, uint64_t count, uint8_t* out) const;

 private:
  static constexpr uint32_t kChunkBits = 15;
  static constexpr uint64_t kChunk = uint64_t{1} << kChunkBits;
  static constexpr uint64_t kInChunk = kChunk - 1;

  struct Chunk {
    std::unique_ptr<uint8_t[]> bytes;  ///< as in a refcount block; nullptr: all 0
    uint32_t order = 0;                ///< bits a count, as a power of two
  };
  bool increment_slowly(Chunk& chunk, uint64_t index);
  static void widen(Chunk& chunk);
  void pack_within(const Chunk& chunk, uint64_t index, uint64_t count, uint8_t* out) const;

  uint32_t max_order_;
  uint64_t size_ = 0;
  std::vector<Chunk> chunks_;
};

}  // namespace instar::qcow2
