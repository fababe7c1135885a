// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/bzip2/packed.hpp"

#include <bzlib.h>

namespace instar::bzip2 {
namespace {

using sdk::fail;

class Bzip2Unpacker : public sdk::Unpacker {
 public:
  ~Bzip2Unpacker() override { end(); }

  sdk::Result<Step> step(sdk::ConstBytes in, sdk::Bytes out) override {
    if (!open_ && BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK)
      return fail(ENOMEM, sdk::errno_text(ENOMEM));
    open_ = true;
    const auto offered = static_cast<unsigned>(std::min<size_t>(in.size(), kMost));
    const auto room = static_cast<unsigned>(std::min<size_t>(out.size(), kMost));
    stream_.next_in = reinterpret_cast<char*>(const_cast<uint8_t*>(in.data()));
    stream_.avail_in = offered;
    stream_.next_out = reinterpret_cast<char*>(out.data());
    stream_.avail_out = room;
    const int result = BZ2_bzDecompress(&stream_);
    if (result == BZ_MEM_ERROR) return fail(ENOMEM, sdk::errno_text(ENOMEM));
    if (result == BZ_DATA_ERROR_MAGIC) return fail(EIO, "no bzip2 header");
    if (result < 0) return fail(EIO, "damaged");
    const Step step{offered - stream_.avail_in, room - stream_.avail_out, result == BZ_STREAM_END};
    if (step.ended) end();
    return step;
  }

 private:
  static constexpr size_t kMost = 1u << 30;

  void end() {
    if (open_) BZ2_bzDecompressEnd(&stream_);
    open_ = false;
    stream_ = {};
  }
  bz_stream stream_{};
  bool open_ = false;
};

}  // namespace

sdk::Result<std::unique_ptr<sdk::Unpacker>> Bzip2Packing::unpacker() {
  return std::unique_ptr<sdk::Unpacker>(new Bzip2Unpacker);
}

/** Nothing tells how much there is. */
sdk::Result<sdk::PackedLayout> Bzip2Packing::layout(const sdk::Call&, const sdk::PackedFile&) {
  return sdk::PackedLayout{};
}

}  // namespace instar::bzip2
