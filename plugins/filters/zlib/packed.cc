// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/zlib/packed.hpp"

#include <isa-l/igzip_lib.h>
#include <libdeflate.h>

#include <array>

namespace instar::zlib {
namespace {

using sdk::fail;

const char* describe(int code) {
  switch (code) {
    case ISAL_INVALID_WRAPPER:
      return "no gzip header";
    case ISAL_UNSUPPORTED_METHOD:
      return "not packed with deflate";
    case ISAL_INCORRECT_CHECKSUM:
      return "the checksum does not match";
    default:
      return "damaged";
  }
}

/** By ISA-L, which inflates twice as fast as zlib. */
class GzipUnpacker : public sdk::Unpacker {
 public:
  GzipUnpacker() { begin(); }

  sdk::Result<Step> step(sdk::ConstBytes in, sdk::Bytes out) override {
    if (state_.block_state == ISAL_BLOCK_FINISH) begin();
    const auto offered = static_cast<uint32_t>(std::min<size_t>(in.size(), kMost));
    const auto room = static_cast<uint32_t>(std::min<size_t>(out.size(), kMost));
    state_.next_in = const_cast<uint8_t*>(in.data());
    state_.avail_in = offered;
    state_.next_out = out.data();
    state_.avail_out = room;
    if (const int result = advance(); result < 0) return fail(EIO, describe(result));
    return Step{offered - state_.avail_in, room - state_.avail_out,
                state_.block_state == ISAL_BLOCK_FINISH};
  }

 private:
  static constexpr size_t kMost = 1u << 30;

  void begin() {
    isal_inflate_init(&state_);
    isal_gzip_header_init(&header_);
    header_.flags = 0;
    state_.crc_flag = ISAL_GZIP_NO_HDR_VER;
    in_header_ = true;
  }

  /** The header apart: isal_inflate forgets its flags where the input ends within it. */
  int advance() {
    if (in_header_) {
      const int result = isal_read_gzip_header(&state_, &header_);
      if (result != ISAL_DECOMP_OK) return result;
      in_header_ = false;
    }
    return isal_inflate(&state_);
  }

  inflate_state state_;
  isal_gzip_header header_;
  bool in_header_;
};

/** What stands before bgzip's member, as long as it is alone in the extra field. */
struct BlockHeader {
  std::array<uint8_t, 4> magic;
  std::array<uint8_t, 6> time_and_system;
  sdk::Le<uint16_t> extra_length;
  std::array<uint8_t, 2> id;
  sdk::Le<uint16_t> length;
  sdk::Le<uint16_t> last;  ///< byte of the member
};
static_assert(sizeof(BlockHeader) == 18);
constexpr std::array<uint8_t, 4> kBlockMagic{0x1f, 0x8b, 8, 4};  // deflate, an extra field
constexpr size_t kExtra = 6;
constexpr uint32_t kMostInBlock = 1u << 16;

struct FreeDecompressor {
  void operator()(libdeflate_decompressor* decompressor) const {
    libdeflate_free_decompressor(decompressor);
  }
};

}  // namespace

sdk::Result<std::unique_ptr<sdk::Unpacker>> GzipPacking::unpacker() {
  return std::unique_ptr<sdk::Unpacker>(new GzipUnpacker);
}

/** The length at a member's end is one modulo 2^32, and the last member's only. */
sdk::Result<sdk::PackedLayout> GzipPacking::layout(const sdk::Call&, const sdk::PackedFile&) {
  return sdk::PackedLayout{};
}

/** Its length stands at its beginning, that of its content at its end. */
sdk::Result<sdk::PackedUnit> GzipPacking::unit(const sdk::Call& call, sdk::PackedReader& reader,
                                               uint64_t offset) {
  BlockHeader header;
  INSTAR_TRY(const sdk::ConstBytes head, reader.look(call, offset, sizeof header));
  if (head.size() < sizeof header) return sdk::PackedUnit{};
  std::memcpy(&header, head.data(), sizeof header);
  if (header.magic != kBlockMagic || header.extra_length != kExtra || header.id[0] != 'B' ||
      header.id[1] != 'C' || header.length != sizeof header.last)
    return sdk::PackedUnit{};
  const uint64_t length = uint64_t{header.last} + 1;
  sdk::Le<uint32_t> content;
  if (length < sizeof header + 2 * sizeof content) return sdk::PackedUnit{};
  INSTAR_TRY(const sdk::ConstBytes tail,
             reader.look(call, offset + length - sizeof content, sizeof content));
  if (tail.size() < sizeof content) return sdk::PackedUnit{};
  std::memcpy(&content, tail.data(), sizeof content);
  if (content > kMostInBlock) return sdk::PackedUnit{};
  return sdk::PackedUnit{length, content};
}

sdk::Result<size_t> GzipPacking::unpack(const sdk::Piece&, sdk::ConstBytes packed, sdk::Bytes out) {
  const std::unique_ptr<libdeflate_decompressor, FreeDecompressor> decompressor(
      libdeflate_alloc_decompressor());
  if (decompressor == nullptr) return fail(ENOMEM, sdk::errno_text(ENOMEM));
  size_t made = 0;
  while (!packed.empty()) {
    size_t taken = 0;
    size_t part = 0;
    const auto result =
        libdeflate_gzip_decompress_ex(decompressor.get(), packed.data(), packed.size(),
                                      out.data() + made, out.size() - made, &taken, &part);
    if (result == LIBDEFLATE_INSUFFICIENT_SPACE)
      return fail(sdk::PieceCache::kNoRoom, describe(ISAL_INVALID_BLOCK));
    if (result != LIBDEFLATE_SUCCESS) return fail(EIO, describe(ISAL_INVALID_BLOCK));
    packed = packed.subspan(taken);
    made += part;
  }
  return made;
}

}  // namespace instar::zlib
