// SPDX-License-Identifier: Apache-2.0
/** @file codec.hpp The codec "xz": one stream of LZMA2 in the xz container a block. */
#pragma once

#include <memory>

#include "sdk/cpp/codec.hpp"

namespace instar::xz {

/** Used by one thread at a time. */
class XzCodec {
 public:
  static sdk::Result<std::unique_ptr<XzCodec>> open(const instar_codec_params& params);
  sdk::Result<int64_t> compress(sdk::ConstBytes in, sdk::Bytes out);
  sdk::Result<int64_t> decompress(sdk::ConstBytes in, sdk::Bytes out);
  static size_t bound(size_t in_len);

 private:
  explicit XzCodec(const instar_codec_params& params)
      : preset_(params.level == 0 ? 1 : static_cast<uint32_t>(params.level)),
        max_output_(params.max_output) {}
  const uint32_t preset_;
  const uint64_t max_output_;
};

}  // namespace instar::xz
