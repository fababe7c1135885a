// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/zstd/packed.hpp"

#include <zstd.h>
#include <zstd_errors.h>

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
using sdk::PackedReader;
using sdk::PackedUnit;
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

/** What begins at a place: a frame by its header and those of its blocks (RFC 8878, 3.1.1), or a
 * skippable frame. */
class FrameFinder {
 public:
  FrameFinder(const Call& call, PackedReader& reader, uint64_t offset)
      : call_(call), reader_(reader), offset_(offset) {}

  /** None: it is neither, or its end is not to be found without unpacking much. */
  Result<PackedUnit> find() {
    SkippableHeader header;
    INSTAR_TRY(const bool there, get(0, &header, sizeof header));
    if (!there) return PackedUnit{};
    if ((header.magic & kSkippableMask) != kSkippableMagic) return find_frame(0);
    INSTAR_TRY(const bool pzstd, is_pzstd(0));
    if (pzstd) {
      INSTAR_TRY(const auto unit, find_pzstd_frame());
      if (unit.packed_length != 0) return unit;
    }
    return PackedUnit{sizeof header + uint64_t{header.length}, 0, true};
  }

 private:
  static constexpr uint32_t kFrameMagic = 0xfd2fb528;
  static constexpr uint32_t kSkippableMagic = 0x184d2a50;
  static constexpr uint32_t kSkippableMask = 0xfffffff0;
  /** pzstd's skippable frame holds the length of the frame behind it. */
  static constexpr uint32_t kPzstdMagic = 0x184d2a50;
  static constexpr uint32_t kPzstdLength = 4;
  static constexpr uint64_t kPzstdWhole = sizeof(SkippableHeader) + kPzstdLength;
  static constexpr uint64_t kMostLength = sdk::PieceWalk::kMostLength;
  static constexpr uint64_t kMostBlock = 128u << 10;
  static constexpr size_t kBlockHeader = 3;
  static constexpr size_t kChecksum = 4;
  enum BlockType : uint32_t { kRaw, kRle, kPacked };

  struct Frame {
    size_t header = 0;  ///< bytes
    bool checksum = false;
    std::optional<uint64_t> content;
  };

  Result<bool> get(uint64_t at, void* to, size_t n) {
    INSTAR_TRY(const ConstBytes bytes, reader_.look(call_, offset_ + at, n));
    if (bytes.size() == n) std::memcpy(to, bytes.data(), n);
    return bytes.size() == n;
  }
  Result<Frame> read_header(uint64_t at) {
    constexpr size_t kShortest = 6;
    constexpr std::array<size_t, 4> kIdLengths{0, 1, 2, 4};
    constexpr std::array<size_t, 4> kContentLengths{0, 2, 4, 8};
    INSTAR_TRY(const ConstBytes head, reader_.look(call_, offset_ + at, 18));
    if (head.size() < kShortest || sdk::load_le<uint32_t>(head.data()) != kFrameMagic)
      return Frame{};
    const unsigned descriptor = head[4];
    const bool single = (descriptor & 0x20) != 0;
    const size_t content = std::max<size_t>(kContentLengths[descriptor >> 6], single ? 1 : 0);
    Frame frame;
    frame.header = 5 + (single ? 0 : 1) + kIdLengths[descriptor & 3] + content;
    frame.checksum = (descriptor & 4) != 0;
    const uint64_t length = ZSTD_getFrameContentSize(head.data(), head.size());
    if (length == ZSTD_CONTENTSIZE_ERROR) return Frame{};
    if (length != ZSTD_CONTENTSIZE_UNKNOWN) frame.content = length;
    if (frame.content && *frame.content > kMostLength) return Frame{};
    return frame;
  }
  /** Block by block. */
  Result<PackedUnit> find_frame(uint64_t at) {
    INSTAR_TRY(const auto frame, read_header(at));
    if (!frame.content) return PackedUnit{};
    const uint64_t most = 2 * kMostBlock + *frame.content;
    uint64_t length = frame.header;
    for (bool last = false; !last;) {
      std::array<uint8_t, kBlockHeader> bytes{};
      INSTAR_TRY(const bool there, get(at + length, bytes.data(), bytes.size()));
      if (!there || call_.cancelled()) return PackedUnit{};
      const uint32_t header =
          uint32_t{bytes[0]} | uint32_t{bytes[1]} << 8 | uint32_t{bytes[2]} << 16;
      last = (header & 1) != 0;
      const uint32_t type = header >> 1 & 3;
      const uint32_t size = header >> 3;
      if (type > kPacked || size > kMostBlock) return PackedUnit{};
      length += kBlockHeader + (type == kRle ? 1 : size);
      if (length > most) return PackedUnit{};
    }
    return PackedUnit{at + length + (frame.checksum ? kChecksum : 0), frame.content};
  }
  /** By the length that pzstd tells, if a frame of its follows there, or nothing. Whether it is one
   * frame is seen when it is unpacked. */
  Result<PackedUnit> find_pzstd_frame() {
    Le<uint32_t> length;
    INSTAR_TRY(const bool there, get(sizeof(SkippableHeader), &length, sizeof length));
    if (!there) return PackedUnit{};
    INSTAR_TRY(const auto frame, read_header(kPzstdWhole));
    const uint64_t whole = kPzstdWhole + length;
    if (frame.header == 0 || length > kMostLength || whole > reader_.size() - offset_)
      return PackedUnit{};
    INSTAR_TRY(const bool follows, is_pzstd(whole));
    if (!follows) return PackedUnit{};
    return PackedUnit{whole, frame.content};
  }
  /** Or the file's end. */
  Result<bool> is_pzstd(uint64_t at) {
    SkippableHeader header;
    INSTAR_TRY(const ConstBytes bytes, reader_.look(call_, offset_ + at, sizeof header));
    if (sdk::is_zero(bytes.data(), bytes.size())) return true;
    if (bytes.size() < sizeof header) return false;
    std::memcpy(&header, bytes.data(), sizeof header);
    return header.magic == kPzstdMagic && header.length == kPzstdLength;
  }

  const Call& call_;
  PackedReader& reader_;
  const uint64_t offset_;
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

Result<PackedUnit> ZstdPacking::unit(const Call& call, PackedReader& reader, uint64_t offset) {
  return FrameFinder(call, reader, offset).find();
}

Result<size_t> ZstdPacking::unpack(const Piece&, ConstBytes packed, Bytes out) {
  INSTAR_TRY(const Context context, make_context());
  const size_t n =
      ZSTD_decompressDCtx(context.get(), out.data(), out.size(), packed.data(), packed.size());
  if (ZSTD_getErrorCode(n) == ZSTD_error_dstSize_tooSmall)
    return fail(sdk::PieceCache::kNoRoom, ZSTD_getErrorName(n));
  if (ZSTD_isError(n) != 0) return fail(EIO, ZSTD_getErrorName(n));
  return n;
}

}  // namespace instar::zstd
