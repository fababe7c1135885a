// SPDX-License-Identifier: Apache-2.0
/** @file metadata.hpp What the regions of a file say of the disk. */
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "plugins/formats/vhdx/format.hpp"
#include "sdk/cpp/metadata_cache.hpp"

namespace instar::vhdx {

/** Bytes of the file that no block may lie in. */
struct Area {
  uint64_t begin = 0;
  uint64_t end = 0;
};

/** Checked; sizes and offsets in bytes. */
struct Metadata {
  std::vector<Area> areas;  ///< the log, and every region
  uint64_t bat_offset = 0;
  uint64_t bat_length = 0;
  uint64_t region_offset = 0;  ///< of the metadata region
  uint64_t region_length = 0;
  uint64_t size = 0;         ///< of the disk, as the file says it
  uint64_t size_offset = 0;  ///< where
  uint32_t block_size = 0;
  uint32_t sector_size = 0;
  bool has_parent = false;
  bool leaves_allocated = false;     ///< fixed
  std::vector<uint8_t> parent_item;  ///< parent locator

  /** Of the disk, in whole sectors. */
  uint64_t disk_size() const { return sdk::round_down(size, sector_size); }
  uint64_t chunk_ratio() const { return kSectorsPerChunk * sector_size / block_size; }
  uint64_t blocks() const { return sdk::div_up(size, block_size); }
  /** Of the table: behind the blocks of each chunk stands one of their sector bitmap. */
  uint64_t entries() const { return bat_entries(size, block_size, sector_size, has_parent); }
  /** Entry of a block, and of the bitmap of its chunk. */
  uint64_t entry_of(uint64_t block) const { return block + block / chunk_ratio(); }
  uint64_t bitmap_entry_of(uint64_t block) const {
    return (block / chunk_ratio() + 1) * (chunk_ratio() + 1) - 1;
  }

  static uint64_t bat_entries(uint64_t size, uint32_t block_size, uint32_t sector_size,
                              bool has_parent);
};

/** Takes a message that is not the error itself. */
using Say = std::function<void(const std::string&)>;

/** Reads the region tables and the metadata region. Errors have no message of their own but that of
 * their errno. @param log its area */
sdk::Result<Metadata> read_metadata(const sdk::Call& call, sdk::MetadataCache& cache,
                                    const Area& log, const Say& say);

/** Fails, and says why, when `area` overlaps with one of `areas`. */
sdk::Status check_overlap(const std::vector<Area>& areas, const Area& area, const Say& say);

}  // namespace instar::vhdx
