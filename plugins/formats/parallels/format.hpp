// SPDX-License-Identifier: Apache-2.0
/** @file format.hpp The on-disk structures of Parallels expandable images, by the terms of QEMU's
 * docs/interop/parallels. Little-endian. */
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "sdk/cpp/bytes.hpp"
#include "sdk/cpp/uuid.hpp"

namespace instar::parallels {

using sdk::Le;

constexpr uint64_t kSector = 512;
constexpr std::string_view kMagicSectors = "WithoutFreeSpace";   ///< entries are sectors
constexpr std::string_view kMagicClusters = "WithouFreSpacExt";  ///< entries are clusters
constexpr uint32_t kVersion = 2;
constexpr uint32_t kInUse = 0x746f6e59;
constexpr uint32_t kClosed = 0x312e3276;  ///< by software that knows the format extension
constexpr uint32_t kHeads = 16;
constexpr uint32_t kSectorsPerTrack = 32;              ///< of the geometry that a guest may see
constexpr uint32_t kMostTracks = 4186127;              ///< as QEMU has it
constexpr uint32_t kMostEntries = INT32_MAX / 4 - 31;  ///< header and BAT are less than 2 GiB

/** The beginning of the file; the BAT follows. */
struct Header {
  char magic[16];
  Le<uint32_t> version;
  Le<uint32_t> heads;
  Le<uint32_t> cylinders;
  Le<uint32_t> tracks;  ///< sectors of a cluster
  Le<uint32_t> bat_entries;
  Le<uint64_t> nb_sectors;  ///< of the disk
  Le<uint32_t> in_use;
  Le<uint32_t> data_off;  ///< sectors
  Le<uint32_t> flags;
  Le<uint64_t> ext_off;  ///< sectors; 0: there is no format extension

  bool is(std::string_view text) const { return std::string_view(magic, sizeof magic) == text; }
  bool counts_clusters() const { return is(kMagicClusters); }
  uint64_t disk_sectors() const {
    return counts_clusters() ? uint64_t{nb_sectors} : nb_sectors & UINT32_MAX;
  }
  /** @param sectors of the disk, which the table has entries for */
  void set_size(uint64_t sectors) {
    nb_sectors = counts_clusters() ? sectors : (nb_sectors & ~uint64_t{UINT32_MAX}) | sectors;
    cylinders = static_cast<uint32_t>(sectors / kHeads / kSectorsPerTrack);
    bat_entries = static_cast<uint32_t>(sdk::div_up(sectors, uint64_t{tracks}));
  }
  uint64_t cluster_bytes() const { return tracks * kSector; }
  /** Sectors that an entry of the BAT counts. */
  uint32_t entry_unit() const { return counts_clusters() ? uint32_t{tracks} : 1; }
  /** Where the sector behind the BAT is. */
  uint64_t bat_end() const {
    return sdk::div_up(sizeof(Header) + bat_entries * sizeof(uint32_t), kSector);
  }
  /** The least that data_off may be. */
  uint64_t least_data_off() const { return sdk::round_up(bat_end(), entry_unit()); }
};
static_assert(sizeof(Header) == 64, "header");

constexpr uint64_t kExtensionMagic = 0xab234cef23dcea87;
constexpr uint64_t kFeatureEnd = 0;
constexpr uint64_t kFeatureBitmap = 0x20385fae252cb34a;

/** The beginning of the cluster that is the format extension. */
struct ExtensionHeader {
  Le<uint64_t> magic;
  uint8_t md5[16];  ///< of the rest of the cluster
};
static_assert(sizeof(ExtensionHeader) == 24, "format extension");

/** Its data follows, filled up to a multiple of 8. */
struct Feature {
  Le<uint64_t> magic;
  Le<uint64_t> flags;
  Le<uint32_t> data_size;
  Le<uint32_t> unused;
};
static_assert(sizeof(Feature) == 24, "feature");

/** Data of a dirty bitmap; the L1 table follows, of sectors or what is said here. */
struct BitmapFeature {
  Le<uint64_t> sectors;
  sdk::Uuid id;
  Le<uint32_t> granularity;  ///< sectors
  Le<uint32_t> l1_size;
};
static_assert(sizeof(BitmapFeature) == 32, "dirty bitmap");
constexpr uint64_t kL1Zeroes = 0;
constexpr uint64_t kL1Ones = 1;

}  // namespace instar::parallels
