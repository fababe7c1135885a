// SPDX-License-Identifier: Apache-2.0
/** @file l2_tables.hpp Where guest clusters lie: the L1 table in memory, L2 tables through a cache.
 * Changes stay in memory until the owner writes them. Not thread-safe. Specification: "Cluster
 * mapping". */
#pragma once

#include <algorithm>
#include <set>
#include <vector>

#include "plugins/formats/qcow2/corruption.hpp"
#include "plugins/formats/qcow2/geometry.hpp"
#include "plugins/formats/qcow2/table_cache.hpp"

namespace instar::qcow2 {

/** What an L2 entry says of a (sub)cluster. */
enum class Kind : uint8_t {
  kUnallocated,
  kUnallocatedPlaced,  ///< a subcluster whose cluster has a place for it
  kZero,
  kZeroAllocated,
  kData,
  kCompressed
};

/** Guest bytes of one kind, plain ones also adjacent in the file. */
struct Run {
  Kind kind = Kind::kUnallocated;
  uint64_t guest = 0;
  uint64_t length = 0;
  uint64_t host = 0;           ///< of the placed kinds; kCompressed: where the packed bytes begin
  uint32_t packed_length = 0;  ///< kCompressed: how many there may be
};

/** An L2 entry; `bitmap` only with extended entries: allocated bits 0 to 31, zero bits 32 to 63. */
struct Entry {
  uint64_t word = 0;
  uint64_t bitmap = 0;
};

constexpr uint64_t kAllSubclusters = 0xffffffff;

/** With an external data file, offset 0 is a place where the COPIED flag is there. */
class L2Tables {
 public:
  L2Tables(const Geometry& geometry, HostFile& file, bool external_data, uint64_t slice_size,
           uint64_t cache_bytes);

  /** Reads an L1 table: the active one, or a snapshot's. */
  Status load_l1(const Call& call, uint64_t offset, uint32_t entries);
  /** Another L1 table that is on the disk, or the same one after L2 tables were changed there.
   * Nothing is dirty. */
  void replace_l1(std::vector<uint64_t> l1, uint64_t offset) {
    l1_ = std::move(l1);
    l1_offset_ = offset;
    cache_.clear();
  }
  /** Who is told of broken tables. */
  void report_to(Corruption* corruption) { corruption_ = corruption; }
  uint64_t l1_offset() const { return l1_offset_; }
  const std::vector<uint64_t>& l1() const { return l1_; }

  /** Appends runs from `guest` on, until `length` bytes are covered or about `max` runs found. At
   * least one. */
  Status scan(const Call& call, uint64_t guest, uint64_t length, size_t max,
              std::vector<Run>* runs);

  /** The part of an L2 table that has guest's entry. Valid until the next call. */
  struct Slice {
    uint8_t* entries = nullptr;
    uint64_t first_guest = 0;  ///< guest offset of its first entry
    uint64_t count = 0;
    uint64_t host = 0;
  };
  /** nullopt-like: entries is nullptr where there is no table. */
  Result<Slice> slice(const Call& call, uint64_t guest);
  /** Whether guest's table exists and belongs to the active L1 alone. */
  bool private_table(uint64_t guest) const {
    return (l1_[geometry_.l1_index(guest)] & kEntryCopied) != 0;
  }
  uint64_t table_offset(uint64_t guest) const {
    return l1_[geometry_.l1_index(guest)] & kL1OffsetMask;
  }
  /** Gives guest's range a table at `host`: a copy of the one that it has, or an empty one. Written
   * there; after an error nothing has changed. */
  Status set_table(const Call& call, uint64_t guest, uint64_t host);

  Entry get(const Slice& slice, uint64_t index) const;
  void set(const Slice& slice, uint64_t index, Entry entry);

  /** Checks an entry and says what it is (extended: of subcluster `sub`). */
  Result<Kind> kind(const Slice& slice, uint64_t index, const Entry& entry, uint32_t sub) const;
  bool has_host(const Entry& entry) const {
    return (entry.word & kEntryCompressed) == 0 &&
           ((entry.word & kEntryOffsetMask) != 0 ||
            (external_data_ && (entry.word & kEntryCopied) != 0));
  }

  /** The table lies elsewhere from now on, with at least as many entries; it was written there. */
  void move_l1(uint64_t offset, uint64_t entries) {
    l1_offset_ = offset;
    l1_.resize(entries);
  }
  /** Entries from `first` on refer to nothing any more; that was written. */
  void clear_l1(uint64_t first) {
    std::fill(l1_.begin() + static_cast<int64_t>(first), l1_.end(), uint64_t{0});
  }
  /** A table that somebody else changes, or that is none any more. */
  void forget_table(uint64_t offset) { cache_.forget(offset, geometry_.cluster_size); }

  bool tables_dirty() const { return cache_.dirty(); }
  bool l1_dirty() const { return !dirty_l1_.empty(); }
  bool crowded() const { return cache_.crowded(); }
  Status write_tables(const Call& call, const TableCache::Guard& guard) {
    return cache_.write_back(call, guard);
  }
  Status write_l1(const Call& call);

 private:
  Status scan_standard(const Slice& slice, uint64_t guest, uint64_t length, size_t max,
                       std::vector<Run>* runs) const;
  Status scan_extended(const Slice& slice, uint64_t guest, uint64_t length, size_t max,
                       std::vector<Run>* runs) const;
  Error broken_entry(const Slice& slice, uint64_t index, const Entry& entry) const;

  const Geometry& geometry_;
  HostFile& file_;
  TableCache cache_;
  bool external_data_;
  Corruption* corruption_ = nullptr;
  std::vector<uint64_t> l1_;
  std::set<uint64_t> dirty_l1_;
  uint64_t l1_offset_ = 0;
};

}  // namespace instar::qcow2
