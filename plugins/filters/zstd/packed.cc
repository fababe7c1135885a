// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/zstd/packed.hpp"

#include <zstd.h>

#include <array>
#include <limits>

namespace instar::zstd {
namespace {

using sdk::Bytes;
using sdk::Call;
using sdk::ConstBytes;
using sdk::fail;
using sdk::Le;
using sdk::PackedFile;
using sdk::PackedLayout;
using sdk::Piece;
using sdk::Result;
using sdk::Status;

/** What the program zstd reads without being asked: 128 MiB. */
constexpr int kMaxWindowBits = 27;

/** The seek table stands in the last, skippable frame. "Zstandard Seekable Format", version 0.1.0. */
struct SeekTableFooter {
  Le<uint32_t> frame_count;
  uint8_t descriptor;
  Le<uint32_t> magic;
};
static_assert(sizeof(SeekTableFooter) == 9);
constexpr uint32_t kSeekableMagic = 0x8f92eab1;
constexpr uint8_t kHasChecksums = 0x80;
constexpr uint8_t kReservedBits = 0x7c;
struct SkippableHeader {
  Le<uint32_t> magic;
  Le<uint32_t> length;
};
constexpr uint32_t kSeekTableMagic = 0x184d2a5e;
constexpr uint32_t kMostFrames = 1u << 20;
constexpr size_t kSector = 512;

struct Free {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};
using Context = std::unique_ptr<ZSTD_DCtx, Free>;

Result<Context> make_context() {
  Context context(ZSTD_createDCtx());
  if (context == nullptr ||
      ZSTD_isError(ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kMaxWindowBits)) != 0)
    return fail(ENOMEM, sdk::errno_text(ENOMEM));
  return context;
}

class ZstdUnpacker : public sdk::Unpacker {
 public:
  explicit ZstdUnpacker(Context context) : context_(std::move(context)) {}

  Result<Step> step(ConstBytes in, Bytes out) override {
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    const size_t left = ZSTD_decompressStream(context_.get(), &output, &input);
    if (ZSTD_isError(left) != 0) return fail(EIO, ZSTD_getErrorName(left));
    return Step{input.pos, output.pos, left == 0 && input.pos != 0};
  }

 private:
  const Context context_;
};

/** The frames that the file's end tells of; none: there is no such table. */
class SeekTable {
 public:
  static Result<std::vector<Piece>> read(const Call& call, const PackedFile& file) {
    SeekTable table(file);
    INSTAR_TRY(const bool found, table.find(call));
    if (!found) return std::vector<Piece>{};
    return table.read_frames(call);
  }

 private:
  explicit SeekTable(const PackedFile& file) : file_(file) {}

  /** The file's last byte is the magic's; a sector may be filled up with zeroes behind it. */
  Result<bool> find(const Call& call) {
    std::array<uint8_t, 2 * kSector> tail{};
    const size_t length = std::min<uint64_t>(tail.size(), file_.size);
    INSTAR_CHECK(file_.node.read(call, file_.size - length, tail.data(), length));
    size_t end = length;
    while (end > 0 && tail[end - 1] == 0 && length - end < kSector)
      --end;
    if (end < sizeof footer_) return false;
    std::memcpy(&footer_, tail.data() + end - sizeof footer_, sizeof footer_);
    end_ = file_.size - length + end;
    return footer_.magic == kSeekableMagic && (footer_.descriptor & kReservedBits) == 0;
  }

  Result<std::vector<Piece>> read_frames(const Call& call) {
    const uint32_t count = footer_.frame_count;
    const size_t entry = (footer_.descriptor & kHasChecksums) != 0 ? 12 : 8;
    const uint64_t table = uint64_t{count} * entry;
    const uint64_t whole = sizeof(SkippableHeader) + table + sizeof footer_;
    if (count > kMostFrames || whole > end_) return wrong("its length");
    const uint64_t begin = end_ - whole;
    std::vector<uint8_t> bytes(static_cast<size_t>(sizeof(SkippableHeader) + table));
    INSTAR_CHECK(file_.node.read(call, begin, bytes.data(), bytes.size()));
    SkippableHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.magic != kSeekTableMagic || header.length != table + sizeof footer_)
      return wrong("its header");
    std::vector<Piece> pieces;
    uint64_t packed = 0;
    uint64_t offset = 0;
    for (size_t at = sizeof header; at < bytes.size(); at += entry) {
      const Piece piece{packed, sdk::load_le<uint32_t>(&bytes[at]), offset,
                        sdk::load_le<uint32_t>(&bytes[at + 4]), 0};
      packed += piece.packed_length;
      offset += piece.length;
      if (piece.length != 0) pieces.push_back(piece);
    }
    if (packed != begin) return wrong("the frames' lengths");
    return pieces;
  }

  Result<std::vector<Piece>> wrong(const char* what) const {
    return file_.wrong(end_, fail(EIO, "the seek table is damaged (", what, ")"));
  }

  const PackedFile& file_;
  SeekTableFooter footer_{};
  uint64_t end_ = 0;
};

}  // namespace

Result<std::unique_ptr<sdk::Unpacker>> ZstdPacking::unpacker() {
  INSTAR_TRY(Context context, make_context());
  return std::unique_ptr<sdk::Unpacker>(new ZstdUnpacker(std::move(context)));
}

Result<PackedLayout> ZstdPacking::layout(const Call& call, const PackedFile& file) {
  PackedLayout layout;
  INSTAR_TRY(layout.pieces, SeekTable::read(call, file));
  if (!layout.pieces.empty()) {
    layout.size = layout.pieces.back().offset + layout.pieces.back().length;
    return layout;
  }
  std::array<uint8_t, 18> head{};  // the longest header
  const size_t length = std::min<uint64_t>(head.size(), file.size);
  INSTAR_CHECK(file.node.read(call, 0, head.data(), length));
  const uint64_t content = ZSTD_getFrameContentSize(head.data(), length);
  // Of a skippable frame it is 0: what follows it has a header of its own.
  if (content != ZSTD_CONTENTSIZE_ERROR && content != ZSTD_CONTENTSIZE_UNKNOWN && content != 0)
    layout.size = content;
  return layout;
}

/** A seek table's frame. */
Status ZstdPacking::unpack(const Piece&, ConstBytes packed, Bytes out) {
  INSTAR_TRY(const Context context, make_context());
  const size_t n =
      ZSTD_decompressDCtx(context.get(), out.data(), out.size(), packed.data(), packed.size());
  if (ZSTD_isError(n) != 0) return fail(EIO, ZSTD_getErrorName(n));
  if (n != out.size()) return fail(EIO, "a frame holds less than the seek table tells of");
  return {};
}

}  // namespace instar::zstd
