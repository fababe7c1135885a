// SPDX-License-Identifier: Apache-2.0
/** @file codec.hpp The codec "lz4": one LZ4 block (without a frame) a block. */
#pragma once

#include <memory>
#include <vector>

#include "sdk/cpp/codec.hpp"

namespace instar::lz4 {

/**
 * A context. level 0: the fast compressor; 1 to 12: the dense one. A block of LZ4 does not say
 * where it ends: `in` is either exact, or `out` is exactly what was compressed.
 */
class Lz4Codec {
 public:
  static sdk::Result<std::unique_ptr<Lz4Codec>> open(const instar_codec_params& params);
  sdk::Result<int64_t> compress(sdk::ConstBytes in, sdk::Bytes out);
  sdk::Result<int64_t> decompress(sdk::ConstBytes in, sdk::Bytes out);
  static size_t bound(size_t in_len);

 private:
  explicit Lz4Codec(const instar_codec_params& params)
      : level_(params.level), max_output_(params.max_output) {}

  int level_;
  uint64_t max_output_;
  std::vector<uint64_t> state_;
};

}  // namespace instar::lz4
