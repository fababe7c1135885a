// SPDX-License-Identifier: Apache-2.0
/** @file table_cache.hpp Write-back cache of pieces ("slices") of metadata tables. It never writes
 * by itself: its owner does, in the order that crash safety asks for. Not thread-safe. */
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "plugins/formats/qcow2/format.hpp"

namespace instar::qcow2 {

class TableCache {
 public:
  /** What the file is told before a slice is read or written. */
  struct Events {
    const char* load;
    const char* update;
  };
  /** @param slice_size bytes, a power of two that divides the cluster size.
   *  @param capacity bytes; only dirty slices may make it larger for a while. */
  TableCache(HostFile& file, Events events, uint64_t slice_size, uint64_t capacity);

  uint64_t slice_size() const { return slice_size_; }
  /** The slice that holds host byte `offset`. Valid until the next get or get_new. */
  Result<uint8_t*> get(const Call& call, uint64_t offset);
  /** The same for a table that was just made: not read, all zeroes, dirty. */
  Result<uint8_t*> get_new(uint64_t offset);
  /** The slice of host byte `offset`, which the last get returned, was changed. */
  void mark_dirty(uint64_t offset);

  bool dirty() const { return dirty_count_ != 0; }
  /** The owner has to write back before more tables are changed. */
  bool crowded() const { return dirty_count_ >= max_slices_ - max_slices_ / 4; }
  /** May refuse a write of [offset, offset + length). */
  using Guard = std::function<Status(uint64_t offset, uint64_t length)>;
  /** Writes dirty slices in ascending order, neighbours in one request. */
  Status write_back(const Call& call, const Guard& guard = {});
  /** Forgets [offset, offset + length), which is no table any more; unwritten changes too. */
  void forget(uint64_t offset, uint64_t length);
  /** Forgets everything; nothing is dirty. */
  void clear();

 private:
  struct Slice {
    uint64_t offset = kNone;
    std::unique_ptr<uint8_t[]> data;
    bool dirty = false;
    bool used = false;
  };
  static constexpr uint64_t kNone = UINT64_MAX;

  Slice* find(uint64_t offset);
  Slice& victim();
  Slice& take(uint64_t offset);
  void drop(Slice& slice);

  HostFile& file_;
  const Events events_;
  uint64_t slice_size_;
  size_t max_slices_;
  size_t dirty_count_ = 0;
  size_t hand_ = 0;
  size_t last_ = 0;
  std::vector<Slice> slices_;
  std::unordered_map<uint64_t, size_t> index_;
};

}  // namespace instar::qcow2
