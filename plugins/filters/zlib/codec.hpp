// SPDX-License-Identifier: Apache-2.0
/** @file codec.hpp The codec "zlib": deflate in raw, zlib or gzip framing. */
#pragma once

#include <memory>

#include "plugins/filters/zlib/deflater.hpp"
#include "plugins/filters/zlib/inflater.hpp"
#include "sdk/cpp/codec.hpp"

namespace instar::zlib {

/**
 * A context. level 0: the fast compressor; 1 to 12: denser. window_bits 9 to 15. Either half is
 * made when it is first used.
 */
class ZlibCodec {
 public:
  static sdk::Result<std::unique_ptr<ZlibCodec>> open(const instar_codec_params& params);
  sdk::Result<int64_t> compress(sdk::ConstBytes in, sdk::Bytes out);
  sdk::Result<int64_t> decompress(sdk::ConstBytes in, sdk::Bytes out);
  static size_t bound(size_t in_len);

 private:
  ZlibCodec(const instar_codec_params& params, Framing framing)
      : framing_(framing),
        level_(params.level),
        window_bits_(params.window_bits != 0 ? static_cast<int>(params.window_bits)
                                             : kMaxWindowBits),
        max_output_(params.max_output) {}
  std::unique_ptr<Deflater> make_deflater() const;

  Framing framing_;
  int level_;
  int window_bits_;
  uint64_t max_output_;
  std::unique_ptr<Deflater> deflater_;
  std::unique_ptr<Inflater> inflater_;
};

}  // namespace instar::zlib
