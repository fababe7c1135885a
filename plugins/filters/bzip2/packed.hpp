// SPDX-License-Identifier: Apache-2.0
/** @file packed.hpp Files packed with bzip2, of one stream or several. */
#pragma once

#include "sdk/cpp/packed_node.hpp"

namespace instar::bzip2 {

/** A packing of sdk::PackedNode. */
struct Bzip2Packing {
  static constexpr const char* kName = "bzip2";
  static sdk::Result<std::unique_ptr<sdk::Unpacker>> unpacker();
  static sdk::Result<sdk::PackedLayout> layout(const sdk::Call& call, const sdk::PackedFile& file);
  static sdk::Result<sdk::PackedUnit> unit(const sdk::Call& call, sdk::PackedReader& reader,
                                           uint64_t offset);
  static sdk::Result<size_t> unpack(const sdk::Piece& piece, sdk::ConstBytes packed,
                                    sdk::Bytes out);
};

}  // namespace instar::bzip2
