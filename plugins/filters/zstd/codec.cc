// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/zstd/codec.hpp"

#include <zstd_errors.h>

#include <algorithm>
#include <limits>
#include <optional>

namespace instar::zstd {
namespace {

// A frame longer than the caller's buffer is read through a window of its own: at most 8 MiB, which
// the format's specification recommends every reader to support.
constexpr int kMaxReadWindowBits = 23;

bool in_bounds(ZSTD_cParameter parameter, int64_t value) {
  const ZSTD_bounds bounds = ZSTD_cParam_getBounds(parameter);
  return value >= bounds.lowerBound && value <= bounds.upperBound;
}

sdk::Error no_memory() {
  return sdk::fail(ENOMEM, sdk::errno_text(ENOMEM));
}

sdk::Error damaged(size_t code) {
  if (ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation) return no_memory();
  return sdk::fail(EIO, "the zstd frame is damaged: ", ZSTD_getErrorName(code));
}

// A data frame or a skippable one.
bool begins_frame(sdk::ConstBytes in) {
  if (in.size() < sizeof(uint32_t)) return false;
  const auto magic = sdk::load_le<uint32_t>(in.data());
  return magic == ZSTD_MAGICNUMBER ||
         (magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START;
}

// The content's length as the frame's header says it. 2^64 - 1 means unknown to the library, but can
// also stand in a header.
std::optional<uint64_t> declared_length(sdk::ConstBytes frame) {
  constexpr size_t kDescriptor = 4;
  constexpr uint8_t kHasLength = 0xe0;  // Frame_Content_Size_flag, Single_Segment_flag
  const uint64_t length = ZSTD_getFrameContentSize(frame.data(), frame.size());
  if (length == ZSTD_CONTENTSIZE_ERROR) return std::nullopt;
  if (length == ZSTD_CONTENTSIZE_UNKNOWN && (frame[kDescriptor] & kHasLength) == 0)
    return std::nullopt;
  return length;
}

}  // namespace

sdk::Result<std::unique_ptr<ZstdCodec>> ZstdCodec::open(const instar_codec_params& params) {
  if (params.framing != INSTAR_FRAMING_DEFAULT)
    return sdk::fail(EINVAL, "codec zstd has no framing ", params.framing);
  if (!in_bounds(ZSTD_c_compressionLevel, params.level))
    return sdk::fail(EINVAL, "codec zstd: level ", params.level, " is not in ", ZSTD_minCLevel(),
                     " to ", ZSTD_maxCLevel());
  if (params.window_bits != 0 && !in_bounds(ZSTD_c_windowLog, params.window_bits))
    return sdk::fail(EINVAL, "codec zstd has no window of 2^", params.window_bits, " bytes");
  return std::unique_ptr<ZstdCodec>(new ZstdCodec(params));
}

sdk::Status ZstdCodec::prepare_compressor() {
  if (compressor_ != nullptr) return {};
  std::unique_ptr<ZSTD_CCtx, Free> context(ZSTD_createCCtx());
  if (context == nullptr) return no_memory();
  const int level = level_ != 0 ? level_ : ZSTD_defaultCLevel();
  const size_t set_level = ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
  const size_t set_window =
      ZSTD_CCtx_setParameter(context.get(), ZSTD_c_windowLog, static_cast<int>(window_bits_));
  if (ZSTD_isError(set_level) != 0 || ZSTD_isError(set_window) != 0)
    return sdk::fail(EINVAL, "codec zstd: level ", level, " with a window of 2^", window_bits_,
                     " bytes");
  compressor_ = std::move(context);
  return {};
}

sdk::Status ZstdCodec::prepare_decompressor() {
  if (decompressor_ != nullptr) return {};
  std::unique_ptr<ZSTD_DCtx, Free> context(ZSTD_createDCtx());
  if (context == nullptr) return no_memory();
  const size_t set = ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kMaxReadWindowBits);
  if (ZSTD_isError(set) != 0) return sdk::fail(EINVAL, ZSTD_getErrorName(set));
  decompressor_ = std::move(context);
  return {};
}

sdk::Result<int64_t> ZstdCodec::compress(sdk::ConstBytes in, sdk::Bytes out) {
  INSTAR_CHECK(prepare_compressor());
  const size_t length =
      ZSTD_compress2(compressor_.get(), out.data(), out.size(), in.data(), in.size());
  if (ZSTD_isError(length) == 0) return static_cast<int64_t>(length);
  const ZSTD_ErrorCode code = ZSTD_getErrorCode(length);
  if (code == ZSTD_error_dstSize_tooSmall || code == ZSTD_error_dstBuffer_null)
    return int64_t{-ENOSPC};
  if (code == ZSTD_error_memory_allocation) return no_memory();
  return sdk::fail(EIO, "codec zstd: ", ZSTD_getErrorName(length));
}

sdk::Result<int64_t> ZstdCodec::decompress(sdk::ConstBytes in, sdk::Bytes out) {
  INSTAR_CHECK(prepare_decompressor());
  if (!begins_frame(in)) return sdk::fail(EIO, "the zstd frame is damaged: no magic number");
  // A block may be several frames one behind another, as QEMU reads it too.
  size_t done = 0;
  do {
    const size_t frame = ZSTD_findFrameCompressedSize(in.data(), in.size());
    if (ZSTD_isError(frame) != 0) return damaged(frame);
    const uint64_t limit = max_output_ != 0 ? max_output_ - done : UINT64_MAX;
    INSTAR_TRY(const size_t length, decompress_frame(in.first(frame), out.subspan(done), limit));
    done += length;
    in = in.subspan(frame);
  } while (done < out.size() && begins_frame(in));
  return static_cast<int64_t>(done);
}

sdk::Result<size_t> ZstdCodec::decompress_frame(sdk::ConstBytes frame, sdk::Bytes out,
                                                uint64_t limit) {
  if (const auto declared = declared_length(frame); declared && *declared > limit)
    return sdk::fail(EIO, "the zstd frame declares ", *declared, " bytes, more than ", limit);
  const auto room = static_cast<size_t>(std::min<uint64_t>(out.size(), limit));
  const size_t length =
      ZSTD_decompressDCtx(decompressor_.get(), out.data(), room, frame.data(), frame.size());
  if (ZSTD_isError(length) == 0) return length;
  const ZSTD_ErrorCode code = ZSTD_getErrorCode(length);
  if (code != ZSTD_error_dstSize_tooSmall && code != ZSTD_error_dstBuffer_null)
    return damaged(length);
  if (room == limit) return sdk::fail(EIO, "the zstd frame is longer than ", limit, " bytes");
  return fill_from_longer_frame(frame, out);
}

sdk::Result<size_t> ZstdCodec::fill_from_longer_frame(sdk::ConstBytes frame, sdk::Bytes out) {
  ZSTD_DCtx_reset(decompressor_.get(), ZSTD_reset_session_only);
  ZSTD_inBuffer input{frame.data(), frame.size(), 0};
  ZSTD_outBuffer output{out.data(), out.size(), 0};
  while (output.pos < output.size) {
    const size_t before = input.pos + output.pos;
    const size_t left = ZSTD_decompressStream(decompressor_.get(), &output, &input);
    if (ZSTD_isError(left) != 0) return damaged(left);
    if (left == 0 || input.pos + output.pos == before) break;
  }
  return output.pos;
}

size_t ZstdCodec::bound(size_t in_len) {
  const size_t bound = ZSTD_compressBound(in_len);
  return bound == 0 || ZSTD_isError(bound) != 0 ? SIZE_MAX : bound;
}

}  // namespace instar::zstd
