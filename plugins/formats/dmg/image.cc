// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/dmg/image.hpp"

#include "plugins/formats/dmg/adc.hpp"
#include "sdk/cpp/plugin.hpp"

namespace instar::dmg {

using sdk::Call;
using sdk::fail;
using sdk::IoVec;
using sdk::Result;
using sdk::Status;

namespace {

/** Packed and unpacked. What Apple's tools make is a quarter of it. */
constexpr uint64_t kLarge = 8u << 20;

void warn_of(const Call& call, uint32_t type) {
  if (type == static_cast<uint32_t>(ChunkType::kLzfse))
    return call.warn(
        "LZFSE is not supported, accessing lzfse compressed blocks will result in I/O errors");
  call.warn(sdk::cat("Image contains chunks of unknown type ", sdk::hex(type).substr(2),
                     ", accessing them will result in I/O errors"));
}

}  // namespace

Result<std::unique_ptr<Image>> Image::open(sdk::OpenContext& context) {
  if (context.writable()) return fail(EACCES, "Image is read-only");
  INSTAR_TRY(const sdk::NodeRef node, context.file());
  INSTAR_TRY(sdk::HostFile file, sdk::HostFile::open(node, false));
  INSTAR_TRY(ChunkTable table, ChunkTable::read(context.call(), file));
  for (const uint32_t type : table.unknown_types)
    warn_of(context.call(), type);
  std::unique_ptr<Image> image(new Image(context.host(), std::move(file), std::move(table)));
  if (!context.has_flag(INSTAR_OPEN_NO_IO)) INSTAR_CHECK(image->open_codecs());
  return image;
}

Status Image::open_codecs() {
  for (const auto& chunk : table_.chunks) {
    instar_codec_params params{};
    const char* name = nullptr;
    std::unique_ptr<sdk::CodecPool>* codec = nullptr;
    if (chunk.type == ChunkType::kZlib) {
      params.framing = INSTAR_FRAMING_ZLIB;
      name = "zlib";
      codec = &zlib_;
    } else if (chunk.type == ChunkType::kBzip2) {
      name = "bzip2";
      codec = &bzip2_;
    } else if (chunk.type == ChunkType::kXz) {
      name = "xz";
      codec = &xz_;
    }
    if (codec == nullptr || *codec != nullptr) continue;
    INSTAR_TRY(*codec, sdk::CodecPool::open(host_, name, params));
  }
  return {};
}

void Image::limits(instar_node_limits& limits) const {
  limits.request_alignment = kSector;
  limits.optimal_transfer = 1u << 20;
}

Status Image::read(const Call& call, uint64_t offset, IoVec to) {
  const uint64_t length = to.length();
  for (uint64_t done = 0; done < length;) {
    INSTAR_TRY(const size_t n, piece(call, offset + done, to, done, length - done));
    done += n;
  }
  return {};
}

/** Reads what lies in one chunk; how much that was. */
Result<size_t> Image::piece(const Call& call, uint64_t offset, const IoVec& to, uint64_t position,
                            uint64_t length) {
  const auto found = table_.find(offset / kSector);
  if (found == table_.chunks.end() || found->sector > offset / kSector)
    return fail(EIO, "The image does not have sector ", offset / kSector);
  const uint64_t inside = offset - found->sector * kSector;
  const uint64_t n = std::min(length, found->sectors * kSector - inside);
  if (found->is_zero()) {
    to.fill_zero(position, n);
  } else if (found->type == ChunkType::kRaw) {
    if (inside + n > found->length || found->offset + found->length > file_.size())
      return fail(EIO, "The chunk of sector ", found->sector, " is truncated");
    INSTAR_CHECK(file_.read(call, found->offset + inside, to, position, n));
  } else {
    INSTAR_CHECK(read_packed(call, *found, inside, to, position, n));
  }
  return n;
}

Status Image::read_packed(const Call& call, const Chunk& chunk, uint64_t inside, const IoVec& to,
                          uint64_t position, uint64_t length) {
  const uint64_t size = chunk.sectors * kSector;
  std::unique_lock large(large_, std::defer_lock);
  if (size + chunk.length > kLarge) large.lock();
  if (length == size) {  // all of it, perhaps into one piece
    uint8_t* whole = nullptr;
    to.walk(position, length, [&](uint8_t* piece, size_t, size_t n) {
      if (n == length) whole = piece;
    });
    if (whole != nullptr) return unpack(call, chunk, {whole, length});
  }
  const auto index = static_cast<size_t>(&chunk - table_.chunks.data());
  INSTAR_TRY(const auto content,
             unpacked_.get(index, size, [&](sdk::Bytes out) { return unpack(call, chunk, out); }));
  to.copy_in(position, content->data() + inside, length);
  return {};
}

Status Image::unpack(const Call& call, const Chunk& chunk, sdk::Bytes out) {
  if (chunk.offset + chunk.length > file_.size())
    return fail(EIO, "The chunk of sector ", chunk.sector, " is truncated");
  std::vector<uint8_t> packed(chunk.length);
  INSTAR_CHECK(file_.read(call, chunk.offset, packed.data(), packed.size()));
  int64_t n = 0;
  if (chunk.type == ChunkType::kAdc) {
    INSTAR_TRY(n, unpack_adc(packed, out));
  } else {
    auto& codec = chunk.type == ChunkType::kZlib    ? zlib_
                  : chunk.type == ChunkType::kBzip2 ? bzip2_
                                                    : xz_;
    if (codec == nullptr) return fail(EIO, "the image was opened to be described only");
    INSTAR_TRY(n, codec->decompress(packed, out));
  }
  if (n < 0 || static_cast<uint64_t>(n) != out.size())
    return fail(EIO, "The chunk of sector ", chunk.sector, " is too short");
  return {};
}

Result<size_t> Image::extents(const Call&, uint64_t offset, uint64_t length, instar_extent* out,
                              size_t max) const {
  const uint64_t end = offset + length;
  size_t count = 0;
  for (auto at = table_.find(offset / kSector); offset < end && count < max; ++count) {
    instar_extent& extent = out[count];
    extent = {end - offset, 0, INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED, file_.id()};
    const bool here = at != table_.chunks.end() && at->sector * kSector <= offset;
    if (!here) {  // can't be read, which is not to be hidden
      if (at != table_.chunks.end())
        extent.length = std::min(extent.length, at->sector * kSector - offset);
    } else {
      extent.length = std::min(extent.length, at->end() * kSector - offset);
      if (at->is_zero()) {
        extent.flags = INSTAR_EXTENT_ZERO | INSTAR_EXTENT_ALLOCATED;
      } else if (at->type != ChunkType::kRaw) {
        extent.flags |= INSTAR_EXTENT_COMPRESSED;
      } else if (at->length >= at->sectors * kSector && at->offset + at->length <= file_.size()) {
        extent.flags |= INSTAR_EXTENT_OFFSET;
        extent.child_offset = at->offset + (offset - at->sector * kSector);
      }
      ++at;
    }
    offset += extent.length;
  }
  return count;
}

}  // namespace instar::dmg

INSTAR_PLUGIN("dmg", "1.0.0", instar::sdk::format<instar::dmg::Image>("dmg"))
