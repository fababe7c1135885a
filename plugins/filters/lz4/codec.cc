// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/lz4/codec.hpp"

#include <lz4.h>
#include <lz4hc.h>

#include <algorithm>

namespace instar::lz4 {
namespace {

constexpr unsigned kWindowBits = 16;
constexpr size_t kMaxLength = LZ4_MAX_INPUT_SIZE;

int clamp_length(uint64_t length) {
  return static_cast<int>(std::min<uint64_t>(length, kMaxLength));
}

}  // namespace

sdk::Result<std::unique_ptr<Lz4Codec>> Lz4Codec::open(const instar_codec_params& params) {
  if (params.framing != INSTAR_FRAMING_DEFAULT)
    return sdk::fail(EINVAL, "codec lz4 has no framing ", params.framing);
  if (params.level < 0 || params.level > LZ4HC_CLEVEL_MAX)
    return sdk::fail(EINVAL, "codec lz4: level ", params.level, " is not in 0 to ",
                     LZ4HC_CLEVEL_MAX);
  if (params.window_bits != 0 && params.window_bits != kWindowBits)
    return sdk::fail(EINVAL, "codec lz4: the window is always 2^", kWindowBits, " bytes");
  return std::unique_ptr<Lz4Codec>(new Lz4Codec(params));
}

sdk::Result<int64_t> Lz4Codec::compress(sdk::ConstBytes in, sdk::Bytes out) {
  if (in.size() > kMaxLength)
    return sdk::fail(EINVAL, "codec lz4: a block is at most ", kMaxLength, " bytes");
  // The densest levels of LZ4 1.9 read from an empty block; this is what the others make of it.
  if (in.empty()) {
    if (out.empty()) return int64_t{-ENOSPC};
    out[0] = 0;
    return int64_t{1};
  }
  if (state_.empty()) {
    const int bytes = level_ == 0 ? LZ4_sizeofState() : LZ4_sizeofStateHC();
    state_.resize(sdk::div_up(static_cast<uint64_t>(bytes), sizeof(uint64_t)));
  }
  const auto* from = reinterpret_cast<const char*>(in.data());
  auto* to = reinterpret_cast<char*>(out.data());
  const int from_len = static_cast<int>(in.size());
  const int room = clamp_length(out.size());
  const int length =
      level_ == 0 ? LZ4_compress_fast_extState(state_.data(), from, to, from_len, room, 1)
                  : LZ4_compress_HC_extStateHC(state_.data(), from, to, from_len, room, level_);
  return length <= 0 ? int64_t{-ENOSPC} : int64_t{length};
}

sdk::Result<int64_t> Lz4Codec::decompress(sdk::ConstBytes in, sdk::Bytes out) {
  const bool limited = max_output_ != 0 && max_output_ < out.size();
  // One byte more than allowed shows that there is more.
  const int room = clamp_length(limited ? max_output_ + 1 : out.size());
  if (out.empty()) return int64_t{0};
  const int length = LZ4_decompress_safe_partial(reinterpret_cast<const char*>(in.data()),
                                                 reinterpret_cast<char*>(out.data()),
                                                 clamp_length(in.size()), room, room);
  if (length < 0) return sdk::fail(EIO, "the lz4 block is damaged");
  if (limited && static_cast<uint64_t>(length) > max_output_)
    return sdk::fail(EIO, "the lz4 block is longer than ", max_output_, " bytes");
  return int64_t{length};
}

size_t Lz4Codec::bound(size_t in_len) {
  return in_len > kMaxLength ? SIZE_MAX
                             : static_cast<size_t>(LZ4_compressBound(static_cast<int>(in_len)));
}

}  // namespace instar::lz4
