// SPDX-License-Identifier: Apache-2.0
/** @file codec.hpp The codec "bzip2": one bzip2 stream a block. */
#pragma once

#include <memory>

#include "sdk/cpp/codec.hpp"

namespace instar::bzip2 {

/** Used by one thread at a time. */
class Bzip2Codec {
 public:
  static sdk::Result<std::unique_ptr<Bzip2Codec>> open(const instar_codec_params& params);
  sdk::Result<int64_t> compress(sdk::ConstBytes in, sdk::Bytes out);
  sdk::Result<int64_t> decompress(sdk::ConstBytes in, sdk::Bytes out);
  static size_t bound(size_t in_len) { return in_len + in_len / 100 + 600; }

 private:
  explicit Bzip2Codec(const instar_codec_params& params)
      : level_(params.level == 0 ? 9 : params.level), max_output_(params.max_output) {}
  const int level_;
  const uint64_t max_output_;
};

}  // namespace instar::bzip2
