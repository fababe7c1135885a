// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/bzip2/codec.hpp"

#include <bzlib.h>

#include <algorithm>

namespace instar::bzip2 {
namespace {

/** What one call of the library takes. */
constexpr size_t kMost = 1u << 30;

/** Feeds the library and empties it. */
class Pieces {
 public:
  Pieces(bz_stream& stream, sdk::ConstBytes in, sdk::Bytes out)
      : stream_(stream), in_(in), out_(out) {}

  void refill() {
    if (stream_.avail_in == 0 && !in_.empty()) {
      const auto n = std::min(in_.size(), kMost);
      stream_.next_in = reinterpret_cast<char*>(const_cast<uint8_t*>(in_.data()));
      stream_.avail_in = static_cast<unsigned>(n);
      in_ = in_.subspan(n);
    }
    if (stream_.avail_out == 0 && !out_.empty()) {
      const auto n = std::min(out_.size(), kMost);
      stream_.next_out = reinterpret_cast<char*>(out_.data());
      stream_.avail_out = static_cast<unsigned>(n);
      out_ = out_.subspan(n);
    }
  }
  bool all_taken() const { return in_.empty(); }
  bool dry() const { return in_.empty() && stream_.avail_in == 0; }
  bool full() const { return out_.empty() && stream_.avail_out == 0; }
  uint64_t produced() const {
    return uint64_t{stream_.total_out_hi32} << 32 | stream_.total_out_lo32;
  }

 private:
  bz_stream& stream_;
  sdk::ConstBytes in_;
  sdk::Bytes out_;
};

}  // namespace

sdk::Result<std::unique_ptr<Bzip2Codec>> Bzip2Codec::open(const instar_codec_params& params) {
  if (params.framing != INSTAR_FRAMING_DEFAULT)
    return sdk::fail(EINVAL, "codec bzip2 has no framing ", params.framing);
  if (params.level < 0 || params.level > 9)
    return sdk::fail(EINVAL, "codec bzip2: level ", params.level, " is not in 0 to 9");
  if (params.window_bits != 0) return sdk::fail(EINVAL, "codec bzip2 has no window");
  return std::unique_ptr<Bzip2Codec>(new Bzip2Codec(params));
}

sdk::Result<int64_t> Bzip2Codec::compress(sdk::ConstBytes in, sdk::Bytes out) {
  bz_stream stream{};
  if (BZ2_bzCompressInit(&stream, level_, 0, 0) != BZ_OK) return sdk::fail(ENOMEM, "bzip2");
  Pieces pieces(stream, in, out);
  int result = BZ_RUN_OK;
  while (result != BZ_STREAM_END) {
    pieces.refill();
    if (pieces.full()) break;
    result = BZ2_bzCompress(&stream, pieces.all_taken() ? BZ_FINISH : BZ_RUN);
    if (result < 0) break;
  }
  const auto length = static_cast<int64_t>(pieces.produced());
  BZ2_bzCompressEnd(&stream);
  return result == BZ_STREAM_END ? length : int64_t{-ENOSPC};
}

sdk::Result<int64_t> Bzip2Codec::decompress(sdk::ConstBytes in, sdk::Bytes out) {
  const bool limited = max_output_ != 0 && max_output_ < out.size();
  // One byte more than allowed shows that there is more.
  if (limited) out = out.first(max_output_ + 1);
  if (out.empty()) return int64_t{0};
  bz_stream stream{};
  if (BZ2_bzDecompressInit(&stream, 0, 0) != BZ_OK) return sdk::fail(ENOMEM, "bzip2");
  Pieces pieces(stream, in, out);
  int result = BZ_OK;
  while (result == BZ_OK) {
    pieces.refill();
    if (pieces.full() || pieces.dry()) break;
    result = BZ2_bzDecompress(&stream);
  }
  const uint64_t length = pieces.produced();
  const bool whole = result == BZ_STREAM_END || (result == BZ_OK && pieces.full());
  BZ2_bzDecompressEnd(&stream);
  if (!whole) return sdk::fail(EIO, "the bzip2 stream is damaged");
  if (limited && length > max_output_)
    return sdk::fail(EIO, "the bzip2 stream is longer than ", max_output_, " bytes");
  return static_cast<int64_t>(length);
}

}  // namespace instar::bzip2
