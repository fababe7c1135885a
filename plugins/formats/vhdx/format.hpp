// SPDX-License-Identifier: Apache-2.0
/** @file format.hpp The VHDX on-disk structures ([MS-VHDX], version 1). Little-endian; section numbers
 * are the specification's. */
#pragma once

#include <cstddef>
#include <cstdint>

#include "sdk/cpp/bytes.hpp"
#include "sdk/cpp/uuid.hpp"

namespace instar::vhdx {

using sdk::Le;
using Guid = sdk::Uuid;

constexpr uint64_t kMiB = 1u << 20;
/** Every area of a file begins and ends at one. */
constexpr uint64_t kAlignment = kMiB;
constexpr uint64_t kMostBytes = uint64_t{64} << 40;
constexpr uint32_t kSmallestBlock = 1u << 20;
constexpr uint32_t kLargestBlock = 256u << 20;
/** Of a chunk: a sector bitmap block has a bit for each. */
constexpr uint64_t kSectorsPerChunk = uint64_t{1} << 23;

/** 2.2.1 */
constexpr char kFileSignature[] = "vhdxfile";
constexpr uint64_t kHeaderOffsets[] = {64u << 10, 128u << 10};
constexpr uint64_t kRegionTableOffsets[] = {192u << 10, 256u << 10};

/** 2.2.2; the checksum is of all 4 KiB. */
struct Header {
  Le<uint32_t> signature;
  Le<uint32_t> checksum;
  Le<uint64_t> sequence_number;
  Guid file_write_guid;
  Guid data_write_guid;
  Guid log_guid;
  Le<uint16_t> log_version;
  Le<uint16_t> version;
  Le<uint32_t> log_length;
  Le<uint64_t> log_offset;
  uint8_t reserved[4016];
};
static_assert(sizeof(Header) == 4096, "header");
constexpr uint32_t kHeaderSignature = 0x64616568;  // "head"

/** 2.2.3 */
struct RegionEntry {
  Guid guid;
  Le<uint64_t> file_offset;
  Le<uint32_t> length;
  Le<uint32_t> required;
};
constexpr uint32_t kMostRegions = 2047;
struct RegionTable {
  Le<uint32_t> signature;
  Le<uint32_t> checksum;
  Le<uint32_t> entry_count;
  Le<uint32_t> reserved;
  RegionEntry entries[kMostRegions];
  uint8_t padding[16];
};
static_assert(sizeof(RegionTable) == 64u << 10, "region table");
constexpr uint32_t kRegionSignature = 0x69676572;  // "regi"

constexpr Guid kBatRegion = {0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42,
                             0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08};
constexpr Guid kMetadataRegion = {0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b,
                                  0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e};

/** 2.3.1 */
struct LogEntryHeader {
  Le<uint32_t> signature;
  Le<uint32_t> checksum;
  Le<uint32_t> entry_length;
  Le<uint32_t> tail;
  Le<uint64_t> sequence_number;
  Le<uint32_t> descriptor_count;
  Le<uint32_t> reserved;
  Guid log_guid;
  Le<uint64_t> flushed_file_offset;
  Le<uint64_t> last_file_offset;
};
static_assert(sizeof(LogEntryHeader) == 64, "log entry");
/** Of both kinds; a zero descriptor has a length in place of the sector's own bytes. */
struct LogDescriptor {
  Le<uint32_t> signature;
  uint8_t trailing_bytes[4];
  union {
    uint8_t leading_bytes[8];
    Le<uint64_t> zero_length;
  };
  Le<uint64_t> file_offset;
  Le<uint64_t> sequence_number;
};
static_assert(sizeof(LogDescriptor) == 32, "log descriptor");
constexpr size_t kLogSector = 4096;
struct LogDataSector {
  Le<uint32_t> signature;
  Le<uint32_t> sequence_high;
  uint8_t data[4084];
  Le<uint32_t> sequence_low;
};
static_assert(sizeof(LogDataSector) == kLogSector, "log data sector");
constexpr uint32_t kLogSignature = 0x65676f6c;         // "loge"
constexpr uint32_t kDataDescriptor = 0x63736564;       // "desc"
constexpr uint32_t kZeroDescriptor = 0x6f72657a;       // "zero"
constexpr uint32_t kDataSectorSignature = 0x61746164;  // "data"

/** 2.5: states of a block, the low bits of its entry; the rest is its place in MiB. */
enum class BlockState : uint8_t {
  kNotPresent = 0,
  kUndefined = 1,
  kZero = 2,
  kUnmapped = 3,
  kUnmappedOld = 5,  ///< of version 0.95
  kFullyPresent = 6,
  kPartiallyPresent = 7
};
constexpr uint64_t kStateMask = 7;
constexpr uint64_t kOffsetMask = ~(kMiB - 1);

/** 2.6.1 */
struct MetadataEntry {
  Guid item;
  Le<uint32_t> offset;  ///< from the region's beginning
  Le<uint32_t> length;
  Le<uint32_t> flags;
  Le<uint32_t> reserved;
};
constexpr uint32_t kMostMetadata = 2047;
struct MetadataTable {
  char signature[8];
  Le<uint16_t> reserved1;
  Le<uint16_t> entry_count;
  uint8_t reserved2[20];
  MetadataEntry entries[kMostMetadata];
};
static_assert(sizeof(MetadataTable) == 64u << 10, "metadata table");
constexpr char kMetadataSignature[] = "metadata";
constexpr uint32_t kIsUser = 1;
constexpr uint32_t kIsVirtualDisk = 2;
constexpr uint32_t kIsRequired = 4;

/** 2.6.2 */
constexpr Guid kFileParameters = {0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d,
                                  0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b};
constexpr Guid kVirtualDiskSize = {0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48,
                                   0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8};
constexpr Guid kVirtualDiskId = {0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45,
                                 0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46};
constexpr Guid kLogicalSectorSize = {0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47,
                                     0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f};
constexpr Guid kPhysicalSectorSize = {0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44,
                                      0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56};
constexpr Guid kParentLocator = {0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45,
                                 0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c};
struct FileParameters {
  Le<uint32_t> block_size;
  Le<uint32_t> flags;
};
constexpr uint32_t kLeaveBlocksAllocated = 1;
constexpr uint32_t kHasParent = 2;

/** 2.6.2.6 */
constexpr Guid kVhdxParent = {0xb7, 0xef, 0x4a, 0xb0, 0x9e, 0xd1, 0x81, 0x4a,
                              0xb7, 0x89, 0x25, 0xb8, 0xe9, 0x44, 0x59, 0x13};
struct ParentLocatorHeader {
  Guid type;
  Le<uint16_t> reserved;
  Le<uint16_t> key_value_count;
};
struct ParentLocatorEntry {
  Le<uint32_t> key_offset;  ///< from the item's beginning, this and the next
  Le<uint32_t> value_offset;
  Le<uint16_t> key_length;  ///< bytes of UTF-16, this and the next
  Le<uint16_t> value_length;
};
static_assert(sizeof(ParentLocatorHeader) == 20 && sizeof(ParentLocatorEntry) == 12, "locator");

}  // namespace instar::vhdx
