// SPDX-License-Identifier: Apache-2.0
/** @file cluster_table.hpp The block allocation table (BAT): a place in the file for each cluster. */
#pragma once

#include <array>
#include <optional>

#include "plugins/formats/parallels/format.hpp"
#include "sdk/abi/resize.h"
#include "sdk/cpp/block_map.hpp"
#include "sdk/cpp/metadata_cache.hpp"

namespace instar::parallels {

/** What the file grows by beyond what is needed at once. */
struct GrowAhead {
  uint64_t bytes = 0;
  instar_preallocation mode = INSTAR_PREALLOCATION_OFF;
};

/** A Table of sdk::BlockMap. Places in the file are sectors, unless it says otherwise. */
class ClusterTable {
 public:
  /** Absent clusters belong to no image of the chain, though there is no way to name a backing file. */
  static constexpr bool kBacked = true;

  ClusterTable(sdk::HostFile file, const Header& header, GrowAhead ahead)
      : file_(std::move(file)),
        header_(header),
        ahead_(ahead),
        cache_(file_, kCacheBytes),
        zeroes_from_(file_.size()) {}

  Header& header() { return header_; }
  const Header& header() const { return header_; }
  sdk::HostFile& file() { return file_; }
  const sdk::HostFile& file() const { return file_; }
  sdk::Result<sdk::Block> lookup(const sdk::Call& call, uint64_t cluster);
  sdk::Result<sdk::BlockSpace> allocate(const sdk::Call& call, uint64_t cluster, uint64_t count);
  bool release(uint64_t cluster, uint64_t offset);
  sdk::Status store(const sdk::Call& call, uint64_t cluster, const sdk::Block& what);
  bool dirty() const { return cache_.dirty(); }
  bool crowded() const { return cache_.crowded(); }
  sdk::Status write_back(const sdk::Call& call) { return cache_.write_back(call); }
  sdk::Status start_writing(const sdk::Call& call);
  sdk::Status end_writing(const sdk::Call& call);

  uint64_t file_sectors() const { return sdk::div_up(file_.size(), kSector); }
  /** Where clusters may begin. */
  uint64_t data_begin() const { return data_begin_; }
  /** For a header whose data_off is wrong. */
  void set_data_begin(uint64_t sector) { data_begin_ = sector; }
  /** Whether a cluster at `sector` is as a whole in the file, behind the BAT. */
  bool inside(uint64_t sector) const {
    return sector >= header_.bat_end() && sector + header_.tracks <= file_sectors();
  }
  sdk::Status set_entry(const sdk::Call& call, uint64_t cluster, uint32_t entry) {
    return cache_.set(call, position(cluster), Le<uint32_t>(entry));
  }
  /** New clusters are placed from here on, and the file is cut behind the last at the end. */
  void place_from(uint64_t end);
  uint64_t next_place() const { return next_.value_or(file_sectors()); }
  /** Where the first cluster may be whose place is not below `sector`. */
  uint64_t aligned(uint64_t sector) const {
    const uint64_t base = header_.counts_clusters() ? 0 : data_begin_;
    return base + sdk::round_up(std::max(sector, data_begin_) - base, uint64_t{header_.tracks});
  }
  /** Entries from `cluster` on, to that of a larger disk, are zero in the file. */
  sdk::Status clear_entries(const sdk::Call& call, uint64_t cluster, uint64_t end);
  /** Behind a barrier, and before one. Keeps that the image is in use. */
  sdk::Status set_header(const sdk::Call& call, const Header& header);
  /** When nothing of the guest's is written, so that its bitmaps stay right. */
  void keep_extension() { keeps_extension_ = true; }
  /** It is not known whether whoever had it open for writing came to an end. */
  bool unclean() const { return unclean_; }
  void set_clean() { unclean_ = false; }

  /** Calls each(cluster, sector) for every cluster that has a place; it may change the entry. */
  template <class Each>
  sdk::Status for_each(const sdk::Call& call, Each each) {
    return for_each(call, 0, header_.bat_entries, each);
  }
  /** … of [begin, end), which may lie behind what the header has. */
  template <class Each>
  sdk::Status for_each(const sdk::Call& call, uint64_t begin, uint64_t end, Each each) {
    std::array<Le<uint32_t>, kAtOnce> entries;
    end = std::min(end, entries_in_file());
    for (uint64_t first = begin; first < end; first += kAtOnce) {
      if (call.cancelled()) return sdk::fail(ECANCELED, sdk::errno_text(ECANCELED));
      const uint64_t count = std::min<uint64_t>(kAtOnce, end - first);
      INSTAR_CHECK(cache_.read(call, position(first), entries.data(), count * sizeof entries[0]));
      if (sdk::is_zero(entries.data(), count * sizeof entries[0])) continue;
      for (uint64_t i = 0; i < count; ++i)
        if (entries[i] != 0)
          INSTAR_CHECK(each(first + i, uint64_t{entries[i]} * header_.entry_unit()));
    }
    return {};
  }

 private:
  static constexpr uint64_t kCacheBytes = 4u << 20;
  static constexpr uint64_t kAtOnce = 4096;

  static uint64_t position(uint64_t cluster) { return sizeof(Header) + cluster * sizeof(uint32_t); }
  /** The others are zero: the file ends before them. */
  uint64_t entries_in_file() const {
    const uint64_t bytes = std::max<uint64_t>(file_.size(), sizeof(Header)) - sizeof(Header);
    return sdk::div_up(bytes, sizeof(uint32_t));
  }
  uint64_t known_entries() const {
    return std::min<uint64_t>(header_.bat_entries, entries_in_file());
  }
  sdk::Status write_header(const sdk::Call& call);

  sdk::HostFile file_;
  Header header_;
  const GrowAhead ahead_;
  sdk::MetadataCache cache_;
  uint64_t data_begin_ =
      header_.data_off != 0 ? uint64_t{header_.data_off} : header_.least_data_off();
  std::optional<uint64_t> next_;  ///< clusters from here on are free
  uint64_t zeroes_from_;          ///< byte; nobody wrote to what the file grew by behind it
  bool keeps_extension_ = false;
  bool unclean_ = header_.in_use == kInUse;
};

}  // namespace instar::parallels
