// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/zlib/inflater.hpp"

#include <algorithm>
#include <limits>

namespace instar::zlib {
namespace {

int zlib_window_bits(Framing framing) {
  constexpr int kGzipFlag = 16;
  if (framing == Framing::kRaw) return -kMaxWindowBits;
  return framing == Framing::kZlib ? kMaxWindowBits : kMaxWindowBits + kGzipFlag;
}

}  // namespace

std::unique_ptr<Inflater> Inflater::open(Framing framing) {
  std::unique_ptr<Inflater> inflater(new Inflater(framing));
  inflater->whole_ = libdeflate_alloc_decompressor();
  if (inflater->whole_ == nullptr) return nullptr;
  return inflater;
}

Inflater::~Inflater() {
  libdeflate_free_decompressor(whole_);
  if (stream_open_) inflateEnd(&stream_);
}

sdk::Result<Inflater::Output> Inflater::inflate(sdk::ConstBytes in, sdk::Bytes out) {
  const auto work = framing_ == Framing::kRaw    ? libdeflate_deflate_decompress_ex
                    : framing_ == Framing::kZlib ? libdeflate_zlib_decompress_ex
                                                 : libdeflate_gzip_decompress_ex;
  size_t consumed = 0;
  size_t produced = 0;
  const auto result =
      work(whole_, in.data(), in.size(), out.data(), out.size(), &consumed, &produced);
  if (result == LIBDEFLATE_SUCCESS) return Output{produced, true};
  return inflate_slowly(in, out);
}

sdk::Result<Inflater::Output> Inflater::inflate_slowly(sdk::ConstBytes in, sdk::Bytes out) {
  if (!stream_open_) {
    if (inflateInit2(&stream_, zlib_window_bits(framing_)) != Z_OK)
      return sdk::fail(ENOMEM, sdk::errno_text(ENOMEM));
    stream_open_ = true;
  }
  inflateReset(&stream_);
  constexpr size_t kMost = std::numeric_limits<uInt>::max();
  uint8_t none = 0;
  stream_.next_in = const_cast<uint8_t*>(in.data());
  stream_.avail_in = static_cast<uInt>(std::min(in.size(), kMost));
  // zlib refuses a null pointer even where nothing is to be written.
  stream_.next_out = out.empty() ? &none : out.data();
  stream_.avail_out = static_cast<uInt>(out.size());
  const int result = ::inflate(&stream_, Z_FINISH);
  const size_t length = out.size() - stream_.avail_out;
  if (result == Z_STREAM_END) return Output{length, true};
  if ((result == Z_BUF_ERROR || result == Z_OK) && length == out.size())
    return Output{length, false};
  return sdk::fail(EIO, "the deflate stream is damaged");
}

}  // namespace instar::zlib
