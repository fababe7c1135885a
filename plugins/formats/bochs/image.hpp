// SPDX-License-Identifier: Apache-2.0
/** @file image.hpp Growing disk images of Bochs ("Redolog"), versions 1 and 2. Read-only. */
#pragma once

#include <memory>

#include "sdk/cpp/block_map.hpp"
#include "sdk/cpp/driver.hpp"
#include "sdk/cpp/metadata_cache.hpp"

namespace instar::bochs {

constexpr uint64_t kSector = 512;

/** The first sector. Numbers are little-endian; sizes are bytes unless the name says otherwise. */
struct Header {
  char magic[32];
  char type[16];
  char subtype[16];
  sdk::Le<uint32_t> version;
  sdk::Le<uint32_t> header_size;
  sdk::Le<uint32_t> catalog_entries;
  sdk::Le<uint32_t> bitmap_size;
  sdk::Le<uint32_t> extent_size;
  uint8_t disk_size[12];  ///< 8 bytes: in version 1 the first, in version 2 the last
  uint8_t padding[kSector - 96];
};
static_assert(sizeof(Header) == kSector, "header");

/**
 * A Table of sdk::BlockMap whose blocks are sectors: an extent has a bitmap that says which of them
 * were written, and then the sectors.
 */
class Catalog {
 public:
  Catalog(sdk::HostFile file, const Header& header);
  sdk::HostFile& file() { return file_; }
  const sdk::HostFile& file() const { return file_; }
  sdk::Result<sdk::Block> lookup(const sdk::Call& call, uint64_t sector);

 private:
  static constexpr uint64_t kCacheBytes = 4u << 20;

  sdk::HostFile file_;
  const uint64_t catalog_offset_;
  const uint64_t data_offset_;
  const uint64_t sectors_per_extent_;
  const uint64_t bitmap_sectors_;
  sdk::MetadataCache cache_;
};

/** Thread-safe, by BlockMap. */
class Image : public sdk::BlockMap<Catalog> {
 public:
  static sdk::Result<std::unique_ptr<Image>> open(sdk::OpenContext& context);
  void limits(instar_node_limits& limits) const;

 private:
  Image(uint64_t size, uint32_t flags, sdk::HostFile file, const Header& header);
};

}  // namespace instar::bochs
