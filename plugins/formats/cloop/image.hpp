// SPDX-License-Identifier: Apache-2.0
/** @file image.hpp Compressed loop images (cloop, version 2). Read-only. */
#pragma once

#include <memory>

#include "sdk/cpp/block_map.hpp"
#include "sdk/cpp/codec.hpp"
#include "sdk/cpp/driver.hpp"
#include "sdk/cpp/metadata_cache.hpp"

namespace instar::cloop {

/** At byte 128, behind the text; then the offsets: where each block begins, and where the last one
 * ends. Big-endian. */
struct Header {
  sdk::Be<uint32_t> block_size;  ///< bytes
  sdk::Be<uint32_t> block_count;
};
constexpr uint64_t kHeaderOffset = 128;
constexpr uint64_t kOffsetsOffset = kHeaderOffset + sizeof(Header);

/** A Table of sdk::BlockMap: each block is a zlib stream. */
class PackedBlocks {
 public:
  PackedBlocks(sdk::HostFile file, std::unique_ptr<sdk::CodecPool> codec)
      : file_(std::move(file)), codec_(std::move(codec)), cache_(file_, kCacheBytes) {}
  sdk::HostFile& file() { return file_; }
  const sdk::HostFile& file() const { return file_; }
  sdk::Result<sdk::Block> lookup(const sdk::Call& call, uint64_t block);
  sdk::Status unpack(const sdk::Call& call, uint64_t block, const sdk::Block& packed,
                     sdk::Bytes out);

 private:
  static constexpr uint64_t kCacheBytes = 1u << 20;

  sdk::Result<uint64_t> offset(const sdk::Call& call, uint64_t block);

  sdk::HostFile file_;
  std::unique_ptr<sdk::CodecPool> codec_;
  sdk::MetadataCache cache_;
};

/** Thread-safe, by BlockMap. */
class Image : public sdk::BlockMap<PackedBlocks> {
 public:
  static sdk::Result<std::unique_ptr<Image>> open(sdk::OpenContext& context);
  void limits(instar_node_limits& limits) const;

 private:
  Image(const Header& header, uint32_t flags, sdk::HostFile file,
        std::unique_ptr<sdk::CodecPool> codec);
};

}  // namespace instar::cloop
