// SPDX-License-Identifier: Apache-2.0
/** @file chunks.hpp What an image is made of: found by its trailer, in a resource fork or in XML. */
#pragma once

#include <vector>

#include "plugins/formats/dmg/format.hpp"
#include "sdk/cpp/host_file.hpp"

namespace instar::dmg {

struct Chunk {
  uint64_t sector = 0;  ///< the disk's
  uint64_t sectors = 0;
  uint64_t offset = 0;  ///< bytes, in the file
  uint32_t length = 0;  ///< bytes, in the file
  ChunkType type = ChunkType::kZero;

  bool is_zero() const { return type == ChunkType::kZero || type == ChunkType::kUnused; }
  uint64_t end() const { return sector + sectors; }
};

/** Sorted, without overlaps; between them the disk can't be read. */
struct ChunkTable {
  std::vector<Chunk> chunks;
  uint64_t sectors = 0;  ///< of the disk
  /** Types of chunks that nobody here can read: their sectors can't be read. Each once. */
  std::vector<uint32_t> unknown_types;

  static sdk::Result<ChunkTable> read(const sdk::Call& call, const sdk::HostFile& file);
  /** The first chunk that ends behind a sector; end() if there is none. */
  std::vector<Chunk>::const_iterator find(uint64_t sector) const;
};

}  // namespace instar::dmg
