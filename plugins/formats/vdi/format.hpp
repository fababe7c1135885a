// SPDX-License-Identifier: Apache-2.0
/** @file format.hpp The VDI on-disk structures (VirtualBox disk images, version 1.1). Little-endian.
 */
#pragma once

#include <cstddef>
#include <cstdint>

#include "sdk/cpp/bytes.hpp"
#include "sdk/cpp/uuid.hpp"

namespace instar::vdi {

using sdk::Le;

constexpr uint32_t kSignature = 0xbeda107f;
constexpr uint32_t kVersion = 0x00010001;
constexpr uint32_t kSectorSize = 512;
constexpr uint32_t kBlockSize = 1u << 20;
constexpr uint32_t kTypeDynamic = 1;
constexpr uint32_t kTypeStatic = 2;
/** Entries of the block map that stand for no block. */
constexpr uint32_t kUnallocated = 0xffffffff;
constexpr uint32_t kDiscarded = 0xfffffffe;
/** The block map has less than 2 GiB, as QEMU has it. */
constexpr uint32_t kMostBlocks = 0x1fffff80;
constexpr uint64_t kMostBytes = uint64_t{kMostBlocks} * kBlockSize;

using sdk::Uuid;

/** The first sector. Offsets are bytes of the file. */
struct Header {
  char text[64];
  Le<uint32_t> signature;
  Le<uint32_t> version;
  Le<uint32_t> header_size;
  Le<uint32_t> image_type;
  Le<uint32_t> image_flags;
  char description[256];
  Le<uint32_t> offset_bmap;
  Le<uint32_t> offset_data;
  Le<uint32_t> cylinders;
  Le<uint32_t> heads;
  Le<uint32_t> sectors;
  Le<uint32_t> sector_size;
  Le<uint32_t> unused1;
  Le<uint64_t> disk_size;
  Le<uint32_t> block_size;
  Le<uint32_t> block_extra;
  Le<uint32_t> blocks_in_image;
  Le<uint32_t> blocks_allocated;
  Uuid uuid_image;
  Uuid uuid_last_snap;
  Uuid uuid_link;
  Uuid uuid_parent;
  uint8_t unused2[56];
};
static_assert(sizeof(Header) == kSectorSize, "header");

inline bool allocated(uint32_t entry) {
  return entry < kDiscarded;
}

}  // namespace instar::vdi
