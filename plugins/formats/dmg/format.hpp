// SPDX-License-Identifier: Apache-2.0
/** @file format.hpp Apple's disk images (UDIF) as they lie on disk. Big-endian. There is no
 * specification; the names are those that the format's own tools print. */
#pragma once

#include <cstdint>

#include "sdk/cpp/bytes.hpp"

namespace instar::dmg {

inline constexpr uint64_t kSector = 512;

/** The last 512 bytes of an image ("koly"). */
struct Trailer {
  uint8_t magic[4];
  sdk::Be<uint32_t> version;
  sdk::Be<uint32_t> size;
  sdk::Be<uint32_t> flags;
  sdk::Be<uint64_t> running_data_fork_offset;
  sdk::Be<uint64_t> data_fork_offset;
  sdk::Be<uint64_t> data_fork_length;
  sdk::Be<uint64_t> resource_fork_offset;
  sdk::Be<uint64_t> resource_fork_length;
  sdk::Be<uint32_t> segment_number;
  sdk::Be<uint32_t> segment_count;
  uint8_t segment_id[16];
  uint8_t data_checksum[136];
  sdk::Be<uint64_t> xml_offset;
  sdk::Be<uint64_t> xml_length;
  uint8_t reserved1[120];
  uint8_t master_checksum[136];
  sdk::Be<uint32_t> variant;
  sdk::Be<uint64_t> sector_count;
  uint8_t reserved2[12];
};
static_assert(sizeof(Trailer) == 512);

/** A table of chunks ("mish"); they follow. */
struct TableHeader {
  uint8_t magic[4];
  sdk::Be<uint32_t> version;
  sdk::Be<uint64_t> first_sector;  ///< what the chunks' sectors count from
  sdk::Be<uint64_t> sector_count;
  sdk::Be<uint64_t> data_offset;  ///< what the chunks' offsets count from
  uint8_t rest[172];
};
static_assert(sizeof(TableHeader) == 204);

/** What a chunk is, and how it is packed. */
enum class ChunkType : uint32_t {
  kZero = 0,
  kRaw = 1,
  kUnused = 2,  ///< zeroes as well
  kComment = 0x7ffffffe,
  kAdc = 0x80000004,
  kZlib = 0x80000005,
  kBzip2 = 0x80000006,
  kLzfse = 0x80000007,
  kXz = 0x80000008,
  kEnd = 0xffffffff
};

struct ChunkEntry {
  sdk::Be<uint32_t> type;
  sdk::Be<uint32_t> comment;
  sdk::Be<uint64_t> sector;
  sdk::Be<uint64_t> sector_count;
  sdk::Be<uint64_t> offset;  ///< bytes
  sdk::Be<uint64_t> length;  ///< bytes
};
static_assert(sizeof(ChunkEntry) == 40);

}  // namespace instar::dmg
