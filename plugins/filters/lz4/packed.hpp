// SPDX-License-Identifier: Apache-2.0
/** @file packed.hpp Files in the LZ4 frame format. */
#pragma once

#include "sdk/cpp/packed_node.hpp"

namespace instar::lz4 {

/** A packing of sdk::PackedNode. */
struct Lz4Packing {
  static constexpr const char* kName = "lz4";
  static sdk::Result<std::unique_ptr<sdk::Unpacker>> unpacker();
  static sdk::Result<sdk::PackedLayout> layout(const sdk::Call& call, const sdk::PackedFile& file);
};

}  // namespace instar::lz4
