// SPDX-License-Identifier: Apache-2.0
/** @file packed.hpp Files in the xz format; their index tells of all blocks. */
#pragma once

#include "sdk/cpp/packed_node.hpp"

namespace instar::xz {

/** A packing of sdk::PackedNode. */
struct XzPacking {
  static constexpr const char* kName = "xz";
  static sdk::Result<std::unique_ptr<sdk::Unpacker>> unpacker();
  static sdk::Result<sdk::PackedLayout> layout(const sdk::Call& call, const sdk::PackedFile& file);
  static sdk::Result<size_t> unpack(const sdk::Piece& piece, sdk::ConstBytes packed,
                                    sdk::Bytes out);
};

}  // namespace instar::xz
