// SPDX-License-Identifier: Apache-2.0
/** @file format.hpp The VHD on-disk structures (Microsoft's "Virtual Hard Disk Image Format
 * Specification", 1.0). Big-endian. */
#pragma once

#include <cstddef>
#include <cstdint>

#include "sdk/cpp/bytes.hpp"
#include "sdk/cpp/uuid.hpp"

namespace instar::vpc {

using sdk::Be;
using sdk::Uuid;

constexpr uint32_t kSectorSize = 512;
constexpr char kFooterCookie[] = "conectix";
constexpr char kDynamicCookie[] = "cxsparse";
constexpr uint32_t kVersion = 0x00010000;
constexpr uint32_t kFeaturesReserved = 2;  // always set
constexpr uint64_t kNoOffset = ~uint64_t{0};
constexpr uint32_t kUnallocated = 0xffffffff;
constexpr uint32_t kDefaultBlockSize = 2u << 20;
/** 2040 GiB: what an entry of the block allocation table can reach, rounded down by QEMU. */
constexpr uint64_t kMostSectors = 0xff000000;
/** Cylinders, heads and sectors cannot say more than this. */
constexpr uint64_t kMostGeometry = uint64_t{65535} * 16 * 255;
/** Of the block allocation table, as QEMU has it. */
constexpr uint32_t kMostEntries = INT32_MAX / 4;
/** Seconds from 1970 to 2000, where time stamps begin. */
constexpr int64_t kEpoch = 946684800;

enum class DiskType : uint32_t { kFixed = 2, kDynamic = 3, kDifferencing = 4 };

/** At the file's end, and of all but a fixed disk a copy at its beginning. */
struct Footer {
  char cookie[8];
  Be<uint32_t> features;
  Be<uint32_t> version;
  Be<uint64_t> data_offset;  ///< of the dynamic header
  Be<uint32_t> time_stamp;   ///< seconds since 2000
  char creator_application[4];
  Be<uint32_t> creator_version;
  char creator_host_os[4];
  Be<uint64_t> original_size;
  Be<uint64_t> current_size;
  Be<uint16_t> cylinders;
  uint8_t heads;
  uint8_t sectors_per_track;
  Be<uint32_t> disk_type;
  Be<uint32_t> checksum;
  Uuid unique_id;
  uint8_t saved_state;
  uint8_t reserved[427];
};
static_assert(sizeof(Footer) == 512, "footer");
static_assert(offsetof(Footer, checksum) == 64, "footer");

/** Where the parent's name is, in the way of one platform. */
struct ParentLocator {
  Be<uint32_t> platform_code;
  Be<uint32_t> data_space;
  Be<uint32_t> data_length;  ///< bytes of the name
  Be<uint32_t> reserved;
  Be<uint64_t> data_offset;
};

constexpr uint32_t kRelativeUtf16 = 0x57327275;  // "W2ru", little-endian
constexpr uint32_t kAbsoluteUtf16 = 0x57326b75;  // "W2ku", little-endian
/** For the parent's name in a new image, behind the dynamic header. */
constexpr uint32_t kNameSpace = 4096;
constexpr uint32_t kUrl = 0x4d616358;  // "MacX", a file:// URL in UTF-8

struct DynamicHeader {
  char cookie[8];
  Be<uint64_t> data_offset;
  Be<uint64_t> table_offset;
  Be<uint32_t> header_version;
  Be<uint32_t> max_table_entries;
  Be<uint32_t> block_size;
  Be<uint32_t> checksum;
  Uuid parent_unique_id;
  Be<uint32_t> parent_time_stamp;
  Be<uint32_t> reserved1;
  Be<uint16_t> parent_unicode_name[256];
  ParentLocator parent_locators[8];
  uint8_t reserved2[256];
};
static_assert(sizeof(DynamicHeader) == 1024, "dynamic header");
static_assert(offsetof(DynamicHeader, checksum) == 36, "dynamic header");
static_assert(offsetof(DynamicHeader, parent_locators) == 576, "dynamic header");

/** The complement of the sum of all bytes but the structure's own checksum. */
template <class Structure>
uint32_t checksum_of(const Structure& structure) {
  uint32_t sum = 0;
  const auto* bytes = reinterpret_cast<const uint8_t*>(&structure);
  for (size_t i = 0; i < sizeof structure; ++i)
    if (i < offsetof(Structure, checksum) || i >= offsetof(Structure, checksum) + 4)
      sum += bytes[i];
  return ~sum;
}

}  // namespace instar::vpc
