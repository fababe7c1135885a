// SPDX-License-Identifier: Apache-2.0
/** @file packed.hpp Files packed with gzip (RFC 1952), of one member or several; those that bgzip
 * makes can be read anywhere (SAM specification, 4.1). */
#pragma once

#include "sdk/cpp/packed_node.hpp"

namespace instar::zlib {

/** A packing of sdk::PackedNode. */
struct GzipPacking {
  static constexpr const char* kName = "gzip";
  static sdk::Result<std::unique_ptr<sdk::Unpacker>> unpacker();
  static sdk::Result<sdk::PackedLayout> layout(const sdk::Call& call, const sdk::PackedFile& file);
  static sdk::Result<sdk::PackedUnit> unit(const sdk::Call& call, sdk::PackedReader& reader,
                                           uint64_t offset);
  static sdk::Result<size_t> unpack(const sdk::Piece& piece, sdk::ConstBytes packed,
                                    sdk::Bytes out);
};

}  // namespace instar::zlib
