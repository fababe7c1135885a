// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/lz4/packed.hpp"

#include <lz4frame.h>

#include <array>

namespace instar::lz4 {
namespace {

using sdk::fail;

struct Free {
  void operator()(LZ4F_dctx* context) const { LZ4F_freeDecompressionContext(context); }
};
using Context = std::unique_ptr<LZ4F_dctx, Free>;

sdk::Result<Context> make_context() {
  LZ4F_dctx* context = nullptr;
  if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)) != 0)
    return fail(ENOMEM, sdk::errno_text(ENOMEM));
  return Context(context);
}

class Lz4Unpacker : public sdk::Unpacker {
 public:
  explicit Lz4Unpacker(Context context) : context_(std::move(context)) {}

  sdk::Result<Step> step(sdk::ConstBytes in, sdk::Bytes out) override {
    size_t taken = in.size();
    size_t made = out.size();
    const size_t left =
        LZ4F_decompress(context_.get(), out.data(), &made, in.data(), &taken, nullptr);
    if (LZ4F_isError(left) != 0) return fail(EIO, LZ4F_getErrorName(left));
    return Step{taken, made, left == 0 && taken != 0};
  }

 private:
  const Context context_;
};

}  // namespace

sdk::Result<std::unique_ptr<sdk::Unpacker>> Lz4Packing::unpacker() {
  INSTAR_TRY(Context context, make_context());
  return std::unique_ptr<sdk::Unpacker>(new Lz4Unpacker(std::move(context)));
}

/** The header may tell the length. */
sdk::Result<sdk::PackedLayout> Lz4Packing::layout(const sdk::Call& call,
                                                  const sdk::PackedFile& file) {
  std::array<uint8_t, LZ4F_HEADER_SIZE_MAX> head{};
  size_t length = std::min<uint64_t>(head.size(), file.size);
  INSTAR_CHECK(file.node.read(call, 0, head.data(), length));
  INSTAR_TRY(const Context context, make_context());
  LZ4F_frameInfo_t info{};
  const size_t result = LZ4F_getFrameInfo(context.get(), &info, head.data(), &length);
  sdk::PackedLayout layout;
  // What is no header is said when it is unpacked.
  if (LZ4F_isError(result) == 0 && info.frameType == LZ4F_frame && info.contentSize != 0)
    layout.size = info.contentSize;
  return layout;
}

}  // namespace instar::lz4
