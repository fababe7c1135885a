// SPDX-License-Identifier: Apache-2.0
/** @file refcounts.hpp Reference counts of host clusters: the refcount table and its blocks.
 * Changes stay in memory until the owner writes them. Clusters are counted by index. Not
 * thread-safe. Specification: "Host cluster management". */
#pragma once

#include <algorithm>
#include <functional>
#include <set>
#include <vector>

#include "plugins/formats/qcow2/corruption.hpp"
#include "plugins/formats/qcow2/geometry.hpp"
#include "plugins/formats/qcow2/table_cache.hpp"

namespace instar::qcow2 {

struct ClusterRange {
  uint64_t first = 0;
  uint64_t count = 0;
};

class Refcounts {
 public:
  Refcounts(const Geometry& geometry, HostFile& file, uint64_t slice_size, uint64_t cache_bytes);

  /** Reads the table. Cheap when it was done already. */
  Status load(const Call& call, uint64_t offset, uint32_t clusters);
  bool loaded() const { return loaded_; }
  /** Forgets all that is known, as somebody else changed it: load comes next. */
  void reset() {
    blocks_.clear();
    dirty_entries_.clear();
    loaded_ = false;
    hint_ = 0;
  }
  /** Who watches what is given out. */
  struct Guard {
    /** May refuse clusters, whatever the counts say. */
    std::function<Status(const Call&, ClusterRange)> admit;
    /** These bytes have become part of the table or a block. */
    std::function<void(uint64_t offset, uint64_t length)> note;
  };
  /** Who is told of broken tables. */
  void report_to(Corruption* corruption) { corruption_ = corruption; }
  void guard(Guard guard) { guard_ = std::move(guard); }

  Result<uint64_t> get(const Call& call, uint64_t cluster);
  /** Whether `wanted` or more of the first `end` clusters are in use. */
  Result<bool> uses(const Call& call, uint64_t end, uint64_t wanted);
  /** Whether the places of the blocks that count the first `end` clusters make sense. */
  Status check_blocks(const Call& call, uint64_t end);
  /** Adds 1 to each of the range, which has blocks. EINVAL when a count would overflow. */
  Status increase(const Call& call, ClusterRange range);
  /** Takes 1 from each of the range, and adds to *unused those that nobody uses any more. A count
   * that is 0 already (a broken image) is left so. */
  Status decrease(const Call& call, ClusterRange range, std::vector<ClusterRange>* unused);

  /** Sets aside 1 to `want` clusters in a row, the first free ones, with a count of 1. */
  Result<ClusterRange> allocate(const Call& call, uint64_t want);
  /** Extends a range that was just allocated: sets aside the clusters from `first` on if they are
   * free. Returns how many. */
  Result<uint64_t> allocate_at(const Call& call, uint64_t first, uint64_t want);
  /** Sets aside `count` clusters in a row, at least 1, with a count of 1. Returns the first. */
  Result<uint64_t> allocate_run(const Call& call, uint64_t count);

  /** For those who change blocks in the file themselves, once all is written back: where the blocks
   * lie, and that what is in memory is outdated; and which clusters became free. */
  const std::vector<uint64_t>& table() const { return table_; }
  void forget_blocks() { blocks_.clear(); }
  void note_free(uint64_t cluster) { hint_ = std::min(hint_, cluster); }

  /** Of an image whose blocks count nothing: the first `count` clusters are in use now. */
  Status take_first(const Call& call, uint64_t count) {
    INSTAR_CHECK(set_new(call, {0, count}));
    hint_ = count;
    return {};
  }
  /** Makes the file reach to a byte. */
  using MakeRoom = std::function<Status(uint64_t end)>;
  /** Sets aside `want` clusters in a row behind all that was ever used, and behind the file's end.
   * @param make_room called before anything is counted, or written there */
  Result<uint64_t> allocate_area(const Call& call, uint64_t want, const MakeRoom& make_room = {});
  /** The first place with `want` free clusters in a row, or the end. Sets nothing aside. */
  Result<uint64_t> find_room(const Call& call, uint64_t want);
  /** Index of the last cluster in use, plus 1. */
  Result<uint64_t> find_end(const Call& call);
  /** Takes blocks that count nothing but themselves out of the table, which has to be written, and
   * says where those lie that another block should count, and still does. Nothing else is dirty. It is
   * an error, and nothing is taken out, where no block counts anything. */
  Result<std::vector<ClusterRange>> drop_empty_blocks(const Call& call);
  /** The file was cut behind the first `clusters`. */
  void cut(uint64_t clusters) {
    end_ = clusters;
    hint_ = std::min(hint_, clusters);
  }
  /** Entries of the table. */
  uint64_t table_entries() const { return table_.size(); }
  bool has_block(uint64_t index) const { return block_offset(index) != 0; }
  /** All clusters that hold blocks and the table. */
  std::vector<ClusterRange> own_clusters() const;
  /** Forgets everything: the structure on the disk was replaced. Nothing is dirty. */
  void unload();

  /** Steps of writing back, with a barrier of the owner's between them: blocks, then the table
   * entries that refer to new ones, then (when the table moved) the header. */
  bool blocks_dirty() const { return blocks_.dirty(); }
  Status write_blocks(const Call& call, const TableCache::Guard& guard = {}) {
    return blocks_.write_back(call, guard);
  }
  bool table_dirty() const { return !dirty_entries_.empty() || moved(); }
  Status write_table(const Call& call);
  /** The table lies elsewhere than the header says. */
  bool moved() const { return table_offset_ != header_offset_; }
  uint64_t table_offset() const { return table_offset_; }
  uint32_t table_clusters() const { return table_clusters_; }
  /** The header was rewritten: returns where the old table was. */
  ClusterRange settle();
  bool crowded() const { return blocks_.crowded(); }

  /** Entry `index` of a refcount block (or a part of one), and its change. */
  static uint64_t entry(const uint8_t* block, uint64_t index, uint32_t order);
  static void set_entry(uint8_t* block, uint64_t index, uint32_t order, uint64_t value);
  /** The first cluster that neither the file has nor the counts: in a file that was cut, clusters
   * behind its end are in use. */
  Result<uint64_t> behind_all(const Call& call);
  /** From this cluster on the file never had anything, whatever the counts say. */
  uint64_t end() const { return end_; }

 private:
  uint64_t block_offset(uint64_t index) const {
    return index < table_.size() ? table_[index] & kRefcountTableOffsetMask : 0;
  }
  Status check_block(const Call& call, uint64_t index);
  Result<uint8_t*> block_slice(const Call& call, uint64_t cluster, uint64_t* slice_first,
                               uint64_t* slice_count);
  Status reserve(const Call& call, ClusterRange range);
  Status make_block(uint64_t index, uint64_t cluster);
  Status grow_table(const Call& call, uint64_t index);
  Result<uint64_t> run_at_end(const Call& call, uint64_t count);
  uint64_t entry_byte(uint64_t cluster) const {
    return ((cluster & (geometry_.refblock_entries() - 1)) << geometry_.refcount_order) >> 3;
  }
  template <class Change>
  Status change(const Call& call, ClusterRange range, Change change);
  Result<uint64_t> skip_used(const Call& call, uint64_t first);
  Result<uint64_t> find_free(const Call& call);
  Result<uint64_t> free_run(const Call& call, uint64_t first, uint64_t want);
  Status set_new(const Call& call, ClusterRange range);
  Status admit(const Call& call, ClusterRange range) const {
    return guard_.admit ? guard_.admit(call, range) : Status{};
  }

  const Geometry& geometry_;
  HostFile& file_;
  TableCache blocks_;
  bool loaded_ = false;
  std::vector<uint64_t> table_;
  std::set<uint64_t> dirty_entries_;
  uint64_t table_offset_ = 0;
  uint32_t table_clusters_ = 0;
  uint64_t header_offset_ = 0;
  uint32_t header_clusters_ = 0;
  Guard guard_;
  Corruption* corruption_ = nullptr;
  uint64_t hint_ = 0;  ///< no cluster below is free
  uint64_t end_ = 0;   ///< no cluster from here on was ever used, if end_is_sure_
  bool end_is_sure_ = false;
};

}  // namespace instar::qcow2
