// SPDX-License-Identifier: Apache-2.0
/**
 * @file block_table.hpp
 * The block allocation table (BAT): for each block the sector where it begins, with a bitmap of its
 * sectors before its data. The bitmap counts in differencing disks, where it tells the disk's own
 * sectors from its parent's; others have all bits set. A fixed disk is all data, from the file's
 * beginning on.
 */
#pragma once

#include "plugins/formats/vpc/header.hpp"
#include "plugins/formats/vpc/parent.hpp"
#include "sdk/cpp/block_map.hpp"
#include "sdk/cpp/metadata_cache.hpp"

namespace instar::vpc {

/** A Table of sdk::BlockMap. */
class BlockTable {
 public:
  static constexpr bool kBacked = true;

  BlockTable(sdk::HostFile file, const Header& header)
      : file_(std::move(file)), header_(header), cache_(file_, kCacheBytes) {}

  const Header& header() const { return header_; }
  sdk::HostFile& file() { return file_; }
  const sdk::HostFile& file() const { return file_; }
  /** Finds the end of the last block. Fails when a block lies beyond the file's. Before all else. */
  sdk::Status find_end(const sdk::Call& call);

  /** The sector where a block's bitmap begins, or kUnallocated. */
  sdk::Result<uint32_t> entry(const sdk::Call& call, uint64_t block);
  sdk::Result<sdk::Block> lookup(const sdk::Call& call, uint64_t block);
  sdk::Result<sdk::BlockPart> part(const sdk::Call& call, uint64_t block, uint64_t begin);
  sdk::Result<sdk::BlockSpace> allocate(const sdk::Call& call, uint64_t block, uint64_t count);
  bool release(uint64_t block, uint64_t offset);
  sdk::Status store(const sdk::Call& call, uint64_t block, const sdk::Block& what);
  sdk::Status mark(const sdk::Call& call, uint64_t block, uint64_t begin, uint64_t end);
  sdk::Status touch(const sdk::Call& call, uint64_t block, uint64_t count);
  bool in_parts() const { return header_.differencing(); }
  bool knows_holes() const { return !header_.fixed(); }
  bool dirty() const { return cache_.dirty(); }
  bool crowded() const { return cache_.crowded(); }
  sdk::Status write_back(const sdk::Call& call) { return cache_.write_back(call); }

  /** The disk gets the size that `footer` says, in bytes `size`. Nothing may be dirty. Whenever it is
   * cut short the image has the old size or the new one. */
  sdk::Status resize(const sdk::Call& call, const Footer& footer, uint64_t size);
  /** A differencing disk has another parent, as its name in the file, and then its header, say. */
  sdk::Status change_parent(const sdk::Call& call, const ParentFields& parent);
  /** All blocks are given up, and the file ends where they began. Nothing may be dirty. */
  sdk::Status forget_blocks(const sdk::Call& call);

 private:
  static constexpr uint64_t kCacheBytes = 4u << 20;

  sdk::Status resize_fixed(const sdk::Call& call, const Footer& footer, uint64_t size);
  sdk::Status grow_table(const sdk::Call& call, uint32_t blocks);
  sdk::Status shrink_table(const sdk::Call& call, uint32_t blocks);
  sdk::Result<std::vector<uint64_t>> unlink_blocks(const sdk::Call& call, uint32_t first);
  sdk::Status end_file(const sdk::Call& call);
  sdk::Status write_dynamic_header(const sdk::Call& call);
  sdk::Status write_front(const sdk::Call& call, const Footer& footer);
  sdk::Result<uint64_t> bitmap_of(const sdk::Call& call, uint64_t block);

  sdk::HostFile file_;
  Header header_;
  sdk::MetadataCache cache_;  ///< of the BAT, and of a differencing disk's bitmaps
  uint64_t end_ = 0;          ///< of the last block; the footer's place
  uint64_t touched_ = UINT64_MAX;
};

}  // namespace instar::vpc
