// SPDX-License-Identifier: Apache-2.0
/** @file block_table.hpp The block map: a number for each block of the disk. */
#pragma once

#include "plugins/formats/vdi/format.hpp"
#include "sdk/cpp/block_map.hpp"
#include "sdk/cpp/metadata_cache.hpp"

namespace instar::vdi {

/** A Table of sdk::BlockMap. */
class BlockTable {
 public:
  BlockTable(sdk::HostFile file, const Header& header)
      : file_(std::move(file)), header_(header), cache_(file_, kCacheBytes) {}

  const Header& header() const { return header_; }
  sdk::HostFile& file() { return file_; }
  const sdk::HostFile& file() const { return file_; }
  sdk::Result<sdk::Block> lookup(const sdk::Call& call, uint64_t block);
  sdk::Result<sdk::BlockSpace> allocate(const sdk::Call& call, uint64_t block, uint64_t count);
  bool release(uint64_t block, uint64_t offset);
  sdk::Status store(const sdk::Call& call, uint64_t block, const sdk::Block& what);
  bool knows_holes() const { return header_.image_type != kTypeStatic; }
  bool dirty() const { return cache_.dirty(); }
  bool crowded() const { return cache_.crowded(); }
  sdk::Status write_back(const sdk::Call& call) { return cache_.write_back(call); }
  /** Blocks that could not be written leave no gap, and are not counted. */
  sdk::Status end_writing(const sdk::Call& call);
  /** The number that stands for `block`. */
  sdk::Result<uint32_t> entry(const sdk::Call& call, uint64_t block);

  /** The disk gets another size, in bytes. Nothing may be dirty. Whenever it is cut short the image
   * has the old size or the new one. */
  sdk::Status grow(const sdk::Call& call, uint64_t size);
  sdk::Status shrink(const sdk::Call& call, uint64_t size);

 private:
  static constexpr uint64_t kCacheBytes = 4u << 20;

  /** A block that goes to another place. */
  struct Move {
    uint64_t block = 0;
    uint32_t from = 0;
    uint32_t to = 0;
  };

  uint64_t place(uint64_t number) const {
    return header_.offset_data + number * uint64_t{kBlockSize};
  }
  sdk::Status find_end(const sdk::Call& call);
  sdk::Status set_entry(const sdk::Call& call, uint64_t block, uint32_t number);
  uint64_t map_room() const;
  sdk::Status write_header(const sdk::Call& call);
  sdk::Status move_blocks(const sdk::Call& call, const std::vector<Move>& moves);
  sdk::Status clear_front(const sdk::Call& call, uint32_t count);
  sdk::Status move_map(const sdk::Call& call, uint32_t blocks);
  sdk::Result<std::vector<uint32_t>> owners(const sdk::Call& call);
  sdk::Status close_gaps(const sdk::Call& call, const std::vector<uint32_t>& owners);

  sdk::HostFile file_;
  Header header_;
  sdk::MetadataCache cache_;
  /** Blocks from here on are free; not known before the first allocation. */
  std::optional<uint64_t> next_;
  bool released_ = false;  ///< blocks that were allocated were not written: some may be gaps
};

/** Writes `count` entries that stand for no block, or (`first_number`) for blocks behind one another.
 * @param position of the first one in the file */
sdk::Status write_entries(const sdk::Call& call, sdk::HostFile& file, uint64_t position,
                          uint64_t count, std::optional<uint32_t> first_number = {});

}  // namespace instar::vdi
