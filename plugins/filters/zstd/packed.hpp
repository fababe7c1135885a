// SPDX-License-Identifier: Apache-2.0
/** @file packed.hpp Files in the Zstandard format, with a seek table or without. */
#pragma once

#include "sdk/cpp/packed_node.hpp"

namespace instar::zstd {

/** A packing of sdk::PackedNode. */
struct ZstdPacking {
  static constexpr const char* kName = "zstd";
  static sdk::Result<std::unique_ptr<sdk::Unpacker>> unpacker();
  static sdk::Result<sdk::PackedLayout> layout(const sdk::Call& call, const sdk::PackedFile& file);
  static sdk::Result<sdk::PackedUnit> unit(const sdk::Call& call, sdk::PackedReader& reader,
                                           uint64_t offset);
  static sdk::Result<size_t> unpack(const sdk::Piece& piece, sdk::ConstBytes packed,
                                    sdk::Bytes out);
};

}  // namespace instar::zstd
