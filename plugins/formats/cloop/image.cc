// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/cloop/image.hpp"

#include "sdk/cpp/plugin.hpp"

namespace instar::cloop {

using sdk::Be;
using sdk::Block;
using sdk::Call;
using sdk::fail;
using sdk::Result;
using sdk::Status;

namespace {

constexpr uint64_t kSector = 512;
constexpr uint32_t kLargestBlock = 64u << 20;
constexpr uint64_t kLargestPacked = 2 * uint64_t{kLargestBlock};
constexpr uint64_t kMostOffsetBytes = 512u << 20;
constexpr uint64_t kMostBlocks = (UINT32_MAX - 1) / sizeof(uint64_t);
constexpr size_t kOffsetsAtOnce = 8192;

Status check_header(const Header& header) {
  const uint32_t size = header.block_size;
  if (size % kSector != 0) return fail(EINVAL, "block_size ", size, " must be a multiple of 512");
  if (size == 0) return fail(EINVAL, "block_size cannot be zero");
  if (size > kLargestBlock)
    return fail(EINVAL, "block_size ", size, " must be ", kLargestBlock >> 20, " MB or less");
  const uint32_t count = header.block_count;
  if (count > kMostBlocks)
    return fail(EINVAL, "n_blocks ", count, " must be ", kMostBlocks, " or less");
  if ((uint64_t{count} + 1) * sizeof(uint64_t) > kMostOffsetBytes)
    return fail(EINVAL, "image requires too many offsets, try increasing block size");
  return {};
}

Status check_offset(uint64_t index, uint64_t last, uint64_t offset) {
  if (offset < last)
    return fail(EINVAL, "offsets not monotonically increasing at index ", index,
                ", image file is corrupt");
  if (offset - last > kLargestPacked)
    return fail(EINVAL, "invalid compressed block size at index ", index,
                ", image file is corrupt");
  return {};
}

Status check_offsets(const Call& call, const sdk::HostFile& file, uint64_t count) {
  std::vector<Be<uint64_t>> offsets(kOffsetsAtOnce);
  uint64_t last = 0;
  for (uint64_t first = 0; first <= count; first += kOffsetsAtOnce) {
    const uint64_t position = kOffsetsOffset + first * sizeof(uint64_t);
    // Zeroes from here on: wrong, or for ever right.
    if (position >= file.size()) return first == 0 ? Status{} : check_offset(first, last, 0);
    const uint64_t n = std::min<uint64_t>(kOffsetsAtOnce, count + 1 - first);
    INSTAR_CHECK(file.read(call, position, offsets.data(), n * sizeof(uint64_t)));
    for (uint64_t i = 0; i < n; ++i) {
      if (first + i > 0) INSTAR_CHECK(check_offset(first + i, last, offsets[i]));
      last = offsets[i];
    }
  }
  return {};
}

}  // namespace

Result<uint64_t> PackedBlocks::offset(const Call& call, uint64_t block) {
  INSTAR_TRY(const auto offset,
             cache_.get<Be<uint64_t>>(call, kOffsetsOffset + block * sizeof(uint64_t)));
  return uint64_t{offset};
}

Result<Block> PackedBlocks::lookup(const Call& call, uint64_t block) {
  INSTAR_TRY(const uint64_t begin, offset(call, block));
  INSTAR_TRY(const uint64_t end, offset(call, block + 1));
  // It was right when the image was opened.
  INSTAR_CHECK(check_offset(block + 1, begin, end));
  return Block{Block::Kind::kPacked, begin, end - begin};
}

Status PackedBlocks::unpack(const Call& call, uint64_t, const Block& packed, sdk::Bytes out) {
  std::vector<uint8_t> bytes(packed.length);
  INSTAR_CHECK(file_.read(call, packed.offset, bytes.data(), bytes.size()));
  INSTAR_TRY(const int64_t n, codec_->decompress(bytes, out));
  if (n < 0 || static_cast<uint64_t>(n) != out.size()) return fail(EIO, sdk::errno_text(EIO));
  return {};
}

Image::Image(const Header& header, uint32_t flags, sdk::HostFile file,
             std::unique_ptr<sdk::CodecPool> codec)
    : BlockMap({header.block_size, uint64_t{header.block_count} * header.block_size}, flags,
               std::move(file), std::move(codec)) {}

Result<std::unique_ptr<Image>> Image::open(sdk::OpenContext& context) {
  if (context.writable()) return fail(EACCES, "Image is read-only");
  INSTAR_TRY(const sdk::NodeRef node, context.file());
  INSTAR_TRY(sdk::HostFile file, sdk::HostFile::open(node, false));
  Header header;
  INSTAR_CHECK(file.read(context.call(), kHeaderOffset, &header, sizeof header));
  INSTAR_CHECK(check_header(header));
  INSTAR_CHECK(check_offsets(context.call(), file, header.block_count));
  instar_codec_params params{};
  params.framing = INSTAR_FRAMING_ZLIB;
  INSTAR_TRY(auto codec, sdk::CodecPool::open(context.host(), "zlib", params));
  return std::unique_ptr<Image>(
      new Image(header, context.flags(), std::move(file), std::move(codec)));
}

void Image::limits(instar_node_limits& limits) const {
  BlockMap::limits(limits);
  limits.cluster_size = 0;  // info does not tell
}

}  // namespace instar::cloop

INSTAR_PLUGIN("cloop", "1.0.0", instar::sdk::format<instar::cloop::Image>("cloop"))
