// SPDX-License-Identifier: Apache-2.0
/** @file codec.hpp The codec "zstd": one Zstandard frame (RFC 8878) a block. */
#pragma once

#include <zstd.h>

#include <memory>

#include "sdk/cpp/codec.hpp"

namespace instar::zstd {

/**
 * A context. level 0: Zstandard's default; else its own scale, negative ones included. window_bits
 * bounds the distances written. Either half is made when it is first used.
 */
class ZstdCodec {
 public:
  static sdk::Result<std::unique_ptr<ZstdCodec>> open(const instar_codec_params& params);
  sdk::Result<int64_t> compress(sdk::ConstBytes in, sdk::Bytes out);
  sdk::Result<int64_t> decompress(sdk::ConstBytes in, sdk::Bytes out);
  static size_t bound(size_t in_len);

 private:
  explicit ZstdCodec(const instar_codec_params& params)
      : level_(params.level), window_bits_(params.window_bits), max_output_(params.max_output) {}

  sdk::Status prepare_compressor();
  sdk::Status prepare_decompressor();
  sdk::Result<size_t> decompress_frame(sdk::ConstBytes frame, sdk::Bytes out, uint64_t limit);
  sdk::Result<size_t> fill_from_longer_frame(sdk::ConstBytes frame, sdk::Bytes out);

  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  int level_;
  uint32_t window_bits_;
  uint64_t max_output_;
  std::unique_ptr<ZSTD_CCtx, Free> compressor_;
  std::unique_ptr<ZSTD_DCtx, Free> decompressor_;
};

}  // namespace instar::zstd
