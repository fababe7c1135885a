// SPDX-License-Identifier: Apache-2.0
/**
 * @file block_table.hpp
 * The block allocation table (2.5) with the sector bitmaps, and how their changes reach the file:
 * through the log, so that a power cut leaves them as they were or as they are meant to be.
 */
#pragma once

#include <memory>
#include <optional>

#include "plugins/formats/vhdx/log.hpp"
#include "plugins/formats/vhdx/metadata.hpp"
#include "sdk/cpp/block_map.hpp"

namespace instar::vhdx {

/** A file whose metadata is read through a cache, so that a log can be replayed into that alone. */
struct ImageFile {
  ImageFile(sdk::HostFile opened, const Headers& read)
      : file(std::move(opened)), cache(file, kCacheBytes), headers(read) {}

  static constexpr uint64_t kCacheBytes = 4u << 20;
  sdk::HostFile file;
  sdk::MetadataCache cache;
  Headers headers;
  uint64_t replayed = 0;  ///< entries of the log
  uint64_t end = 0;       ///< that the file has, or would have if the log was replayed into it
};

/** A Table of sdk::BlockMap. */
class BlockTable {
 public:
  static constexpr bool kBacked = true;

  BlockTable(std::unique_ptr<ImageFile> image, Metadata metadata)
      : image_(std::move(image)), metadata_(std::move(metadata)) {}

  const Metadata& metadata() const { return metadata_; }
  const ImageFile& image() const { return *image_; }
  sdk::HostFile& file() { return image_->file; }
  const sdk::HostFile& file() const { return image_->file; }
  /** Looks at every entry, finds the end of the last block, and says what is wrong. Ends with the
   * first error, or counts them. Before all else. */
  sdk::Status examine(const sdk::Call& call, const Say& say, int64_t* errors);

  sdk::Result<sdk::Block> lookup(const sdk::Call& call, uint64_t block);
  sdk::Result<sdk::BlockPart> part(const sdk::Call& call, uint64_t block, uint64_t begin);
  sdk::Result<sdk::BlockSpace> allocate(const sdk::Call& call, uint64_t block, uint64_t count);
  bool release(uint64_t block, uint64_t offset);
  uint64_t end() const { return end_; }
  sdk::Status store(const sdk::Call& call, uint64_t block, const sdk::Block& what);
  sdk::Status mark(const sdk::Call& call, uint64_t block, uint64_t begin, uint64_t end);
  bool in_parts() const { return metadata_.has_parent; }
  bool knows_holes() const { return !metadata_.leaves_allocated; }
  bool stores_zeroes() const { return true; }
  sdk::Status start_writing(const sdk::Call& call);
  sdk::Status end_writing(const sdk::Call& call);
  bool dirty() const { return image_->cache.dirty(); }
  bool crowded() const { return image_->cache.crowded(); }
  sdk::Status write_back(const sdk::Call& call);

  /** The disk gets another size, in bytes. Nothing may be dirty. Whenever it is cut short the image
   * has the old size or the new one. */
  sdk::Status grow(const sdk::Call& call, uint64_t size);
  sdk::Status shrink(const sdk::Call& call, uint64_t size);
  /** Another parent locator, at once. @param item its bytes */
  sdk::Status change_parent(const sdk::Call& call, const std::vector<uint8_t>& item);
  /** All blocks are given up, and the file ends where they began. */
  sdk::Status forget_blocks(const sdk::Call& call);

 private:
  sdk::Status start_log(const sdk::Call& call);
  sdk::Status cut_file(const sdk::Call& call, uint64_t end);
  sdk::Status write_size(const sdk::Call& call, const Metadata& metadata);
  sdk::Status move_bat(const sdk::Call& call, Metadata& metadata);
  sdk::Status set_region(const sdk::Call& call, const Metadata& metadata);
  sdk::Result<uint64_t> entry(const sdk::Call& call, uint64_t index);
  sdk::Status set_entry(const sdk::Call& call, uint64_t index, uint64_t offset, BlockState state);
  sdk::Status examine_entry(uint64_t index, uint64_t value, uint64_t used, uint64_t length,
                            const Say& say, int64_t* errors);
  sdk::Result<uint64_t> take_space(const sdk::Call& call, uint64_t length, bool& zeroes);
  sdk::Status clear_bitmap(const sdk::Call& call, uint64_t block);
  sdk::Result<uint64_t> bitmap_of(const sdk::Call& call, uint64_t block);
  uint64_t bitmap_bytes() const { return metadata_.block_size / metadata_.sector_size / 8; }

  std::unique_ptr<ImageFile> image_;
  Metadata metadata_;
  uint64_t end_ = 0;  ///< of the file, in MiB; new blocks go there
  std::optional<LogWriter> log_;
};

}  // namespace instar::vhdx
