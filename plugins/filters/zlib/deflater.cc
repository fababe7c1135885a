// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/zlib/deflater.hpp"

#include <isa-l/igzip_lib.h>
#include <libdeflate.h>

#include <vector>

namespace instar::zlib {
namespace {

class FastDeflater : public Deflater {
 public:
  FastDeflater(Framing framing, int window_bits)
      : framing_(framing), window_bits_(window_bits), tables_(ISAL_DEF_LVL3_SMALL) {}

  size_t compress(sdk::ConstBytes in, sdk::Bytes out) override {
    isal_deflate_stateless_init(&stream_);
    stream_.level = 3;
    stream_.level_buf = tables_.data();
    stream_.level_buf_size = static_cast<uint32_t>(tables_.size());
    stream_.hist_bits = static_cast<uint16_t>(window_bits_);
    stream_.gzip_flag = framing_ == Framing::kRaw    ? IGZIP_DEFLATE
                        : framing_ == Framing::kZlib ? IGZIP_ZLIB
                                                     : IGZIP_GZIP;
    stream_.end_of_stream = 1;
    stream_.flush = NO_FLUSH;
    stream_.next_in = const_cast<uint8_t*>(in.data());
    stream_.avail_in = static_cast<uint32_t>(in.size());
    stream_.next_out = out.data();
    stream_.avail_out = static_cast<uint32_t>(out.size());
    return isal_deflate_stateless(&stream_) == COMP_OK ? stream_.total_out : 0;
  }

 private:
  Framing framing_;
  int window_bits_;
  // How many symbols share a Huffman code depends on this size; measured best for 64 KiB blocks.
  std::vector<uint8_t> tables_;
  isal_zstream stream_{};
};

class WideDeflater : public Deflater {
 public:
  WideDeflater(Framing framing, libdeflate_compressor* compressor)
      : framing_(framing), compressor_(compressor) {}
  ~WideDeflater() override { libdeflate_free_compressor(compressor_); }
  WideDeflater(const WideDeflater&) = delete;
  WideDeflater& operator=(const WideDeflater&) = delete;

  size_t compress(sdk::ConstBytes in, sdk::Bytes out) override {
    const auto work = framing_ == Framing::kRaw    ? libdeflate_deflate_compress
                      : framing_ == Framing::kZlib ? libdeflate_zlib_compress
                                                   : libdeflate_gzip_compress;
    return work(compressor_, in.data(), in.size(), out.data(), out.size());
  }

 private:
  Framing framing_;
  libdeflate_compressor* compressor_;
};

}  // namespace

std::unique_ptr<Deflater> make_fast_deflater(Framing framing, int window_bits) {
  return std::make_unique<FastDeflater>(framing, window_bits);
}

std::unique_ptr<Deflater> make_wide_deflater(Framing framing, int level) {
  auto* compressor = libdeflate_alloc_compressor(level);
  if (compressor == nullptr) return nullptr;
  return std::make_unique<WideDeflater>(framing, compressor);
}

}  // namespace instar::zlib
