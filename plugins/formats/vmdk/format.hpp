// SPDX-License-Identifier: Apache-2.0
/** @file format.hpp The VMDK on-disk structures, by the terms of VMware's "Virtual Disk Format 5.0";
 * those of COWD and seSparse extents as QEMU reads them. Little-endian; offsets and sizes are in
 * sectors unless they say otherwise. */
#pragma once

#include <cstdint>

#include "sdk/cpp/bytes.hpp"

namespace instar::vmdk {

using sdk::Le;

constexpr uint64_t kSector = 512;
constexpr uint32_t kSparseMagic = 0x564d444b;  // "KDMV"
constexpr uint32_t kCowdMagic = 0x44574f43;    // "COWD"
/** In SparseHeader::gd_offset: the header's copy in the footer has it. */
constexpr uint64_t kGdAtEnd = UINT64_MAX;
constexpr uint16_t kCompressionDeflate = 1;
/** A grain table entry: the grain reads as zeroes. With kFlagZeroedGrain. */
constexpr uint32_t kZeroedGrain = 1;
constexpr uint64_t kGrainSectors = 128;
constexpr uint32_t kEntriesPerTable = 512;
/** Grains of larger images can't be numbered. */
constexpr uint64_t kMostSectors = uint64_t{1} << 32;
constexpr uint64_t kDescriptorSector = 1;
constexpr uint64_t kDescriptorSectors = 20;
/** Bytes of a descriptor that is a file: more are not read. */
constexpr uint64_t kMostDescriptor = (1u << 20) - 1;
constexpr size_t kLongestBackingName = 1023;
constexpr uint32_t kMostL1Entries = 32u << 20;

enum SparseFlags : uint32_t {
  kFlagNewlineTest = 1u << 0,
  kFlagRedundantTable = 1u << 1,
  kFlagZeroedGrain = 1u << 2,
  kFlagCompressed = 1u << 16,
  kFlagMarkers = 1u << 17
};

/** The first sector of a hosted sparse extent, and its copy in a footer. */
struct SparseHeader {
  Le<uint32_t> magic;
  Le<uint32_t> version;
  Le<uint32_t> flags;
  Le<uint64_t> capacity;
  Le<uint64_t> grain_size;
  Le<uint64_t> descriptor_offset;
  Le<uint64_t> descriptor_size;
  Le<uint32_t> entries_per_table;
  Le<uint64_t> rgd_offset;
  Le<uint64_t> gd_offset;
  Le<uint64_t> overhead;
  uint8_t unclean_shutdown;
  char newline_test[4];
  Le<uint16_t> compression;
  uint8_t padding[433];
};
static_assert(sizeof(SparseHeader) == kSector, "sparse header");

enum class MarkerType : uint32_t {
  kEndOfStream = 0,
  kGrainTable = 1,
  kGrainDirectory = 2,
  kFooter = 3
};

/** Stands before each piece of metadata in a stream-optimized extent; `sectors` says how much. */
struct Marker {
  Le<uint64_t> sectors;
  Le<uint32_t> size;  ///< 0: not a grain
  Le<uint32_t> type;
  uint8_t padding[496];
};
static_assert(sizeof(Marker) == kSector, "marker");

/** @param bytes of the metadata that follows; whole sectors */
inline Marker make_marker(MarkerType type, uint64_t bytes) {
  Marker marker{};
  marker.sectors = bytes / kSector;
  marker.type = static_cast<uint32_t>(type);
  return marker;
}

/** Stands right before the bytes of a packed grain. */
struct GrainMarker {
  Le<uint64_t> lba;   ///< of the grain, guest sector
  Le<uint32_t> size;  ///< bytes
};
static_assert(sizeof(GrainMarker) == 12, "grain marker");

/** The end of a stream-optimized extent. */
struct Tail {
  Marker footer_marker;
  SparseHeader footer;
  Marker end_of_stream;
};
static_assert(sizeof(Tail) == 3 * kSector, "tail");

/** The first sector of a COWD extent (vmfsSparse). */
struct CowdHeader {
  Le<uint32_t> magic;
  Le<uint32_t> version;
  Le<uint32_t> flags;
  Le<uint32_t> capacity;
  Le<uint32_t> grain_size;
  Le<uint32_t> gd_offset;
  Le<uint32_t> gd_entries;
};
constexpr uint32_t kCowdEntriesPerTable = 4096;

constexpr uint64_t kSeConstMagic = 0xcafebabe;
constexpr uint64_t kSeVolatileMagic = 0xcafecafe;
constexpr uint64_t kSeVersion = 0x0000000200000001;
constexpr uint64_t kSeGrainSize = 8;
constexpr uint64_t kSeTableSize = 64;

/** The first sector of a seSparse extent. */
struct SeConstHeader {
  Le<uint64_t> magic;
  Le<uint64_t> version;
  Le<uint64_t> capacity;
  Le<uint64_t> grain_size;
  Le<uint64_t> grain_table_size;
  Le<uint64_t> flags;
  Le<uint64_t> reserved[4];
  Le<uint64_t> volatile_header_offset;
  Le<uint64_t> volatile_header_size;
  Le<uint64_t> journal_header_offset;
  Le<uint64_t> journal_header_size;
  Le<uint64_t> journal_offset;
  Le<uint64_t> journal_size;
  Le<uint64_t> grain_dir_offset;
  Le<uint64_t> grain_dir_size;
  Le<uint64_t> grain_tables_offset;
  Le<uint64_t> grain_tables_size;
  Le<uint64_t> free_bitmap_offset;
  Le<uint64_t> free_bitmap_size;
  Le<uint64_t> backmap_offset;
  Le<uint64_t> backmap_size;
  Le<uint64_t> grains_offset;
  Le<uint64_t> grains_size;
  uint8_t padding[304];
};
static_assert(sizeof(SeConstHeader) == kSector, "seSparse header");

struct SeVolatileHeader {
  Le<uint64_t> magic;
  Le<uint64_t> free_gt_number;
  Le<uint64_t> next_txn_seq_number;
  Le<uint64_t> replay_journal;
  uint8_t padding[480];
};
static_assert(sizeof(SeVolatileHeader) == kSector, "seSparse volatile header");

}  // namespace instar::vmdk
