// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/zlib/codec.hpp"

#include <algorithm>
#include <limits>

namespace instar::zlib {
namespace {

// All three libraries count in 32 bits somewhere.
constexpr size_t kMaxBlock = std::numeric_limits<uint32_t>::max();

sdk::Result<Framing> framing_of(uint32_t framing) {
  switch (framing) {
    case INSTAR_FRAMING_RAW:
      return Framing::kRaw;
    case INSTAR_FRAMING_DEFAULT:
    case INSTAR_FRAMING_ZLIB:
      return Framing::kZlib;
    case INSTAR_FRAMING_GZIP:
      return Framing::kGzip;
    default:
      return sdk::fail(EINVAL, "codec zlib has no framing ", framing);
  }
}

sdk::Error no_memory() {
  return sdk::fail(ENOMEM, sdk::errno_text(ENOMEM));
}

}  // namespace

sdk::Result<std::unique_ptr<ZlibCodec>> ZlibCodec::open(const instar_codec_params& params) {
  INSTAR_TRY(const Framing framing, framing_of(params.framing));
  if (params.level < 0 || params.level > kMaxLevel)
    return sdk::fail(EINVAL, "codec zlib: level ", params.level, " is not in 0 to ", kMaxLevel);
  if (params.window_bits != 0 &&
      (params.window_bits < kMinWindowBits || params.window_bits > kMaxWindowBits))
    return sdk::fail(EINVAL, "codec zlib: a window of 2^", params.window_bits,
                     " bytes is not in 2^9 to 2^15");
  return std::unique_ptr<ZlibCodec>(new ZlibCodec(params, framing));
}

std::unique_ptr<Deflater> ZlibCodec::make_deflater() const {
  if (level_ == 0) return make_fast_deflater(framing_, window_bits_);
  if (window_bits_ == kMaxWindowBits) return make_wide_deflater(framing_, level_);
  return make_narrow_deflater(framing_, level_, window_bits_);
}

sdk::Result<int64_t> ZlibCodec::compress(sdk::ConstBytes in, sdk::Bytes out) {
  if (in.size() > kMaxBlock) return sdk::fail(EINVAL, "codec zlib: a block is at most 4 GiB - 1");
  if (deflater_ == nullptr && (deflater_ = make_deflater()) == nullptr) return no_memory();
  const size_t length = deflater_->compress(in, out.first(std::min(out.size(), kMaxBlock)));
  return length == 0 ? int64_t{-ENOSPC} : static_cast<int64_t>(length);
}

sdk::Result<int64_t> ZlibCodec::decompress(sdk::ConstBytes in, sdk::Bytes out) {
  if (inflater_ == nullptr && (inflater_ = Inflater::open(framing_)) == nullptr) return no_memory();
  uint64_t limit = std::min<uint64_t>(out.size(), kMaxBlock);
  const bool limited = max_output_ != 0 && max_output_ < limit;
  if (limited) limit = max_output_;
  INSTAR_TRY(const Inflater::Output output, inflater_->inflate(in, out.first(limit)));
  if (limited && !output.ended)
    return sdk::fail(EIO, "the deflate stream is longer than ", max_output_, " bytes");
  return static_cast<int64_t>(output.length);
}

size_t ZlibCodec::bound(size_t in_len) {
  // More than any of the compressors needs for what does not compress.
  constexpr size_t kFraming = 64;
  const size_t slack = in_len / 8 + in_len / 64 + kFraming;
  return in_len > SIZE_MAX - slack ? SIZE_MAX : in_len + slack;
}

}  // namespace instar::zlib
