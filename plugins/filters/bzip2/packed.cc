// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/bzip2/packed.hpp"

#include <bzlib.h>

#include <array>
#include <cstring>

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

/** A stream's beginning: "BZh", the level, and its first block's magic. */
constexpr std::array<uint8_t, 6> kBlockMagic{0x31, 0x41, 0x59, 0x26, 0x53, 0x59};
constexpr size_t kBeginning = 4 + kBlockMagic.size();
/** pbzip2 makes streams of 900 KB of content. */
constexpr uint64_t kMostPacked = 2u << 20;

bool begins_stream(sdk::ConstBytes at) {
  return at.size() >= kBeginning && std::memcmp(at.data(), "BZh", 3) == 0 && at[3] >= '1' &&
         at[3] <= '9' && std::memcmp(&at[4], kBlockMagic.data(), kBlockMagic.size()) == 0;
}

/** Of the first stream that begins behind the first byte. */
std::optional<size_t> find_stream(sdk::ConstBytes bytes) {
  for (size_t at = 1; at + kBeginning <= bytes.size(); ++at) {
    const void* found = ::memmem(&bytes[at], bytes.size() - at, "BZh", 3);
    if (found == nullptr) return std::nullopt;
    at = static_cast<size_t>(static_cast<const uint8_t*>(found) - bytes.data());
    if (begins_stream(bytes.subspan(at))) return at;
  }
  return std::nullopt;
}

}  // namespace

sdk::Result<std::unique_ptr<sdk::Unpacker>> Bzip2Packing::unpacker() {
  return std::unique_ptr<sdk::Unpacker>(new Bzip2Unpacker);
}

/** Nothing tells how much there is. */
sdk::Result<sdk::PackedLayout> Bzip2Packing::layout(const sdk::Call&, const sdk::PackedFile&) {
  return sdk::PackedLayout{};
}

/** From one stream's beginning to the next one's, which may be chance: whether a stream ends there is
 * seen when it is unpacked. */
sdk::Result<sdk::PackedUnit> Bzip2Packing::unit(const sdk::Call& call, sdk::PackedReader& reader,
                                                uint64_t offset) {
  constexpr size_t kStep = 64u << 10;
  INSTAR_TRY(const sdk::ConstBytes head, reader.look(call, offset, kBeginning));
  if (!begins_stream(head)) return sdk::PackedUnit{};
  for (uint64_t length = 0; length < kMostPacked; length += kStep) {
    INSTAR_TRY(const sdk::ConstBytes part, reader.look(call, offset + length, kStep + kBeginning));
    if (const auto next = find_stream(part)) return sdk::PackedUnit{length + *next, std::nullopt};
    if (part.size() < kStep + kBeginning)
      return sdk::PackedUnit{length + part.size(), std::nullopt};
  }
  return sdk::PackedUnit{};
}

/** Streams, and the zeroes that may be behind them. */
sdk::Result<size_t> Bzip2Packing::unpack(const sdk::Piece&, sdk::ConstBytes packed,
                                         sdk::Bytes out) {
  Bzip2Unpacker unpacker;
  size_t made = 0;
  bool ended = false;
  while (!packed.empty()) {
    INSTAR_TRY(const auto step, unpacker.step(packed, out.subspan(made)));
    packed = packed.subspan(step.taken);
    made += step.made;
    ended = step.ended;
    if (ended && sdk::is_zero(packed.data(), packed.size())) return made;
    if (step.taken == 0 && step.made == 0) break;
  }
  if (made == out.size()) return fail(sdk::PieceCache::kNoRoom, "there is more");
  return fail(EIO, "no stream ends where the next one begins");
}

}  // namespace instar::bzip2
