// SPDX-License-Identifier: Apache-2.0
/** @file grain_table.hpp Where the grains of a sparse extent lie: a directory of tables. */
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "plugins/formats/vmdk/format.hpp"
#include "sdk/cpp/block_map.hpp"
#include "sdk/cpp/codec.hpp"
#include "sdk/cpp/metadata_cache.hpp"

namespace instar::vmdk {

/** What a header says of an extent's tables; checked. Offsets are bytes. */
struct GrainLayout {
  uint64_t sectors = 0;  ///< of the guest
  uint64_t grain_sectors = 0;
  uint64_t gd_offset = 0;
  uint64_t rgd_offset = 0;  ///< of the redundant copy; 0: there is none
  uint64_t gd_entries = 0;
  uint64_t table_entries = 0;
  bool zeroed_grains = false;
  bool compressed = false;
  bool markers = false;  ///< packed grains have them
  /** Stream-optimized with its directory in front, which is copied to the end, with a footer, when
   * the image is closed. */
  bool gd_in_front = false;
  uint64_t tail_offset = 0;  ///< where that end begins; 0: there is none
  bool gd_at_end = false;    ///< stream-optimized, and the one at the end is what counts
  bool fresh = false;        ///< compressed, with empty tables and nothing behind them
  bool se_sparse = false;
  uint64_t se_tables_sector = 0;
  uint64_t se_grains_sector = 0;

  uint64_t grain_bytes() const { return grain_sectors * kSector; }
  uint64_t table_bytes() const { return table_entries * entry_bytes(); }
  uint64_t entry_bytes() const { return se_sparse ? sizeof(uint64_t) : sizeof(uint32_t); }
};

/** A Table of sdk::BlockMap. */
class GrainTable {
 public:
  /** @param codec for compressed extents */
  GrainTable(sdk::HostFile file, const GrainLayout& layout, std::unique_ptr<sdk::CodecPool> codec);

  const GrainLayout& layout() const { return layout_; }
  sdk::HostFile& file() { return file_; }
  const sdk::HostFile& file() const { return file_; }
  sdk::Result<sdk::Block> lookup(const sdk::Call& call, uint64_t grain);
  sdk::Result<sdk::BlockSpace> allocate(const sdk::Call& call, uint64_t grain, uint64_t count);
  bool release(uint64_t grain, uint64_t offset);
  uint64_t end() const { return next_; }
  sdk::Status store(const sdk::Call& call, uint64_t grain, const sdk::Block& what);
  bool stores_zeroes() const { return layout_.zeroed_grains && !layout_.compressed; }
  bool dirty() const { return tables_.dirty() || directory_.dirty(); }
  bool crowded() const { return tables_.crowded() || directory_.crowded(); }
  sdk::Status write_back(const sdk::Call& call);
  sdk::Status unpack(const sdk::Call& call, uint64_t grain, const sdk::Block& packed,
                     sdk::Bytes out);
  static constexpr bool kBacked = true;
  static constexpr bool kRebased = true;
  sdk::Status check_backing() const;

  /** The backing file is not the one that this image was made for. */
  void distrust_backing() { trusted_ = false; }
  sdk::CodecPool& codec() { return *codec_; }
  /** Space behind everything, from a sector's beginning on. */
  sdk::Result<uint64_t> allocate_bytes(uint64_t length);
  sdk::Status start_writing(const sdk::Call& call);
  sdk::Status end_writing(const sdk::Call& call);

  /** A hosted sparse extent gets another size. Nothing may be dirty. Whenever it is cut short it has
   * the old size or the new one. */
  sdk::Status grow(const sdk::Call& call, uint64_t sectors);
  sdk::Status shrink(const sdk::Call& call, uint64_t sectors);
  /** After grow, and what was reserved since then, when the file had `end` bytes: as if neither had
   * happened. */
  sdk::Status take_back(const sdk::Call& call, uint64_t sectors, uint64_t end);

 private:
  static constexpr uint64_t kCacheBytes = 4u << 20;

  sdk::Result<uint64_t> table_sector(const sdk::Call& call, uint64_t directory, uint64_t grain);
  sdk::Result<uint64_t> se_table_sector(const sdk::Call& call, uint64_t index);
  sdk::Result<sdk::Block> se_lookup(const sdk::Call& call, uint64_t position);
  sdk::Status set_entry(const sdk::Call& call, uint64_t directory, uint64_t grain, uint32_t entry);
  sdk::Status make_table(const sdk::Call& call, uint64_t directory, uint64_t grain);
  sdk::Result<std::vector<uint64_t>> unlink_grains(const sdk::Call& call, uint64_t first,
                                                   uint64_t end);
  sdk::Result<uint64_t> copy_directory(const sdk::Call& call, uint64_t directory, uint64_t entries);
  sdk::Status write_layout(const sdk::Call& call, const GrainLayout& layout);
  sdk::Status begin_stream(const sdk::Call& call);
  uint64_t directory_bytes() const {
    return sdk::round_up(layout_.gd_entries * layout_.entry_bytes(), kSector);
  }
  uint64_t index_in_table(uint64_t grain) const {
    return grain % layout_.table_entries * layout_.entry_bytes();
  }

  sdk::HostFile file_;
  GrainLayout layout_;
  std::unique_ptr<sdk::CodecPool> codec_;
  sdk::MetadataCache directory_;
  sdk::MetadataCache tables_;
  uint64_t gd_offset_;  ///< bytes; of the directory that counts
  uint64_t next_;       ///< bytes; everything from here on is free
  bool trusted_ = true;
};

}  // namespace instar::vmdk
