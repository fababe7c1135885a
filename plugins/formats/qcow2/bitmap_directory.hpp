// SPDX-License-Identifier: Apache-2.0
/** @file bitmap_directory.hpp The list of an image's persistent bitmaps, as it is in the file.
 * Specification: "Bitmap directory". */
#pragma once

#include <string>
#include <vector>

#include "plugins/formats/qcow2/geometry.hpp"

namespace instar::qcow2 {

constexpr uint32_t kMinGranularityBits = 9;
constexpr uint32_t kMaxGranularityBits = 31;
constexpr uint32_t kMaxBitmapName = 1023;
constexpr uint64_t kMaxBitmapBytes = 512u << 20;  ///< of a bitmap's clusters together

struct BitmapRecord {
  uint64_t table_offset = 0;
  uint32_t table_entries = 0;
  uint32_t flags = 0;  ///< enum BitmapFlag
  uint32_t granularity_bits = 0;
  std::string name;
};

/** How many clusters the bits of an image of `size` bytes fill. */
uint64_t bitmap_clusters(const Geometry& geometry, uint64_t size, uint32_t granularity_bits);

/** Reads and checks the directory that the extension names. @param size bytes of the image. */
Result<std::vector<BitmapRecord>> read_bitmap_directory(const Call& call, const HostFile& file,
                                                        const Geometry& geometry,
                                                        const BitmapsExtension& extension,
                                                        uint64_t size);
std::vector<uint8_t> serialize_bitmap_directory(const std::vector<BitmapRecord>& records);
/** Bytes of a directory entry. */
uint64_t bitmap_record_bytes(std::string_view name);

/** Reads and checks a bitmap's table: for each cluster of bits 0 (none set), 1 (all set) or where it
 * lies. */
Result<std::vector<uint64_t>> read_bitmap_table(const Call& call, const HostFile& file,
                                                const Geometry& geometry,
                                                const BitmapRecord& record);

}  // namespace instar::qcow2
