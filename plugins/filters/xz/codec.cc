// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/xz/codec.hpp"

#include <lzma.h>

namespace instar::xz {
namespace {

/** Of one stream, of which there is one a thread. Blocks have no use for larger dictionaries. */
constexpr uint64_t kMaxMemory = 20u << 20;
constexpr int kMaxLevel = 6;

/** A stream of the library that is ended with the object. */
struct Stream {
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { lzma_end(&lzma); }
  lzma_ret run(sdk::ConstBytes in, sdk::Bytes out) {
    lzma.next_in = in.data();
    lzma.avail_in = in.size();
    lzma.next_out = out.data();
    lzma.avail_out = out.size();
    return lzma_code(&lzma, LZMA_FINISH);
  }
  lzma_stream lzma = LZMA_STREAM_INIT;
};

}  // namespace

sdk::Result<std::unique_ptr<XzCodec>> XzCodec::open(const instar_codec_params& params) {
  if (params.framing != INSTAR_FRAMING_DEFAULT)
    return sdk::fail(EINVAL, "codec xz has no framing ", params.framing);
  if (params.level < 0 || params.level > kMaxLevel)
    return sdk::fail(EINVAL, "codec xz: level ", params.level, " is not in 0 to ", kMaxLevel);
  if (params.window_bits != 0) return sdk::fail(EINVAL, "codec xz: the level sets the window");
  return std::unique_ptr<XzCodec>(new XzCodec(params));
}

sdk::Result<int64_t> XzCodec::compress(sdk::ConstBytes in, sdk::Bytes out) {
  size_t length = 0;
  const auto result = lzma_easy_buffer_encode(preset_, LZMA_CHECK_CRC32, nullptr, in.data(),
                                              in.size(), out.data(), &length, out.size());
  if (result == LZMA_BUF_ERROR) return int64_t{-ENOSPC};
  if (result != LZMA_OK) return sdk::fail(ENOMEM, "xz: ", sdk::errno_text(ENOMEM));
  return static_cast<int64_t>(length);
}

sdk::Result<int64_t> XzCodec::decompress(sdk::ConstBytes in, sdk::Bytes out) {
  const bool limited = max_output_ != 0 && max_output_ < out.size();
  // One byte more than allowed shows that there is more.
  if (limited) out = out.first(max_output_ + 1);
  if (out.empty()) return int64_t{0};
  Stream stream;
  if (lzma_stream_decoder(&stream.lzma, kMaxMemory, 0) != LZMA_OK)
    return sdk::fail(ENOMEM, "xz: ", sdk::errno_text(ENOMEM));
  const auto result = stream.run(in, out);
  const uint64_t length = stream.lzma.total_out;
  const bool full = (result == LZMA_OK || result == LZMA_BUF_ERROR) && length == out.size();
  if (result == LZMA_MEMLIMIT_ERROR)
    return sdk::fail(EIO, "the xz stream wants more than ", kMaxMemory >> 20, " MiB of memory");
  if (result != LZMA_STREAM_END && !full) return sdk::fail(EIO, "the xz stream is damaged");
  if (limited && length > max_output_)
    return sdk::fail(EIO, "the xz stream is longer than ", max_output_, " bytes");
  return static_cast<int64_t>(length);
}

size_t XzCodec::bound(size_t in_len) {
  const size_t bound = lzma_stream_buffer_bound(in_len);
  return bound != 0 ? bound : SIZE_MAX;
}

}  // namespace instar::xz
