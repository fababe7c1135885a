// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/xz/packed.hpp"

#include <lzma.h>

#include <array>
#include <cstdlib>

namespace instar::xz {
namespace {

using sdk::Bytes;
using sdk::Call;
using sdk::ConstBytes;
using sdk::fail;
using sdk::PackedFile;
using sdk::PackedLayout;
using sdk::Piece;
using sdk::Result;
using sdk::Status;

/** Of the unpacker of a whole stream: level 9 needs 65 MiB. */
constexpr uint64_t kMaxMemory = 100u << 20;
/** Of an index: a million blocks. */
constexpr uint64_t kMaxIndexMemory = 40u << 20;
constexpr size_t kSector = 512;

sdk::Error describe(lzma_ret result) {
  switch (result) {
    case LZMA_MEM_ERROR:
      return fail(ENOMEM, sdk::errno_text(ENOMEM));
    case LZMA_MEMLIMIT_ERROR:
      return fail(EFBIG, "it needs too much memory");
    case LZMA_FORMAT_ERROR:
      return fail(EIO, "no xz header");
    case LZMA_OPTIONS_ERROR:
      return fail(EIO, "it was packed in a way that is not known here");
    default:
      return fail(EIO, "damaged");
  }
}

/** A stream of the library that is ended with the object. */
struct Stream {
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { lzma_end(&lzma); }
  lzma_stream lzma = LZMA_STREAM_INIT;
};

class XzUnpacker : public sdk::Unpacker {
 public:
  Result<Step> step(ConstBytes in, Bytes out) override {
    if (ended_) {
      const auto begun = lzma_stream_decoder(&stream_.lzma, kMaxMemory, 0);
      if (begun != LZMA_OK) return describe(begun);
    }
    stream_.lzma.next_in = in.data();
    stream_.lzma.avail_in = in.size();
    stream_.lzma.next_out = out.data();
    stream_.lzma.avail_out = out.size();
    const auto result = lzma_code(&stream_.lzma, LZMA_RUN);
    ended_ = result == LZMA_STREAM_END;
    if (result != LZMA_OK && result != LZMA_BUF_ERROR && !ended_) return describe(result);
    return Step{in.size() - stream_.lzma.avail_in, out.size() - stream_.lzma.avail_out, ended_};
  }

 private:
  Stream stream_;
  bool ended_ = true;
};

struct FreeIndex {
  void operator()(lzma_index* index) const { lzma_index_end(index, nullptr); }
};
using Index = std::unique_ptr<lzma_index, FreeIndex>;

/** Where the last stream ends: a sector may be filled up with zeroes behind it. */
Result<uint64_t> find_end(const Call& call, const PackedFile& file) {
  std::array<uint8_t, kSector> tail{};
  const size_t length = std::min<uint64_t>(tail.size(), file.size);
  INSTAR_CHECK(file.node.read(call, file.size - length, tail.data(), length));
  size_t end = length;
  while (end > 0 && tail[end - 1] == 0)
    --end;
  return file.size - length + end;
}

/** The indexes of all streams, as one. */
Result<Index> read_index(const Call& call, const PackedFile& file, uint64_t end) {
  lzma_index* raw = nullptr;
  Stream decoder;
  auto result = lzma_file_info_decoder(&decoder.lzma, &raw, kMaxIndexMemory, end);
  std::array<uint8_t, 16384> buffer;
  uint64_t position = 0;
  while (result == LZMA_OK || result == LZMA_SEEK_NEEDED) {
    if (call.cancelled()) return fail(ECANCELED, sdk::errno_text(ECANCELED));
    if (result == LZMA_SEEK_NEEDED) {
      position = decoder.lzma.seek_pos;
      decoder.lzma.avail_in = 0;
    }
    if (decoder.lzma.avail_in == 0) {
      const size_t n = std::min<uint64_t>(buffer.size(), end - std::min(position, end));
      INSTAR_CHECK(file.node.read(call, position, buffer.data(), n));
      decoder.lzma.next_in = buffer.data();
      decoder.lzma.avail_in = n;
      position += n;
    }
    result = lzma_code(&decoder.lzma, LZMA_RUN);
  }
  if (result == LZMA_STREAM_END) return Index(raw);
  return file.wrong(position, fail(describe(result).code, "the index: ", describe(result).message));
}

/** A block's filters, as its header tells them; freed with the object. */
class BlockHeader {
 public:
  BlockHeader(const BlockHeader&) = delete;
  BlockHeader& operator=(const BlockHeader&) = delete;
  BlockHeader(const Piece& piece, uint64_t content) {
    filters_[0].id = LZMA_VLI_UNKNOWN;
    block_.version = 1;
    block_.check = static_cast<lzma_check>(piece.tag);
    block_.filters = filters_.data();
    content_ = content;
  }
  ~BlockHeader() { lzma_filters_free(filters_.data(), nullptr); }

  Status read(ConstBytes packed) {
    if (packed.empty() || packed[0] == 0) return fail(EIO, "no block header");
    block_.header_size = lzma_block_header_size_decode(packed[0]);
    if (block_.header_size > packed.size()) return fail(EIO, "no block header");
    const auto result = lzma_block_header_decode(&block_, nullptr, packed.data());
    if (result != LZMA_OK) return describe(result);
    if (block_.uncompressed_size == LZMA_VLI_UNKNOWN) block_.uncompressed_size = content_;
    if (block_.uncompressed_size != content_) return fail(EIO, "its length is not the index's");
    shrink_dictionary();
    return {};
  }
  lzma_block* block() { return &block_; }

 private:
  /** Nothing farther back than its content is referred to: no memory for more. */
  void shrink_dictionary() {
    for (auto* filter = filters_.data(); filter->id != LZMA_VLI_UNKNOWN; ++filter) {
      if (filter->id != LZMA_FILTER_LZMA2) continue;
      auto* options = static_cast<lzma_options_lzma*>(filter->options);
      const auto most = static_cast<uint32_t>(std::min<uint64_t>(content_, UINT32_MAX));
      options->dict_size =
          std::min(options->dict_size, std::max<uint32_t>(most, LZMA_DICT_SIZE_MIN));
    }
  }

  std::array<lzma_filter, LZMA_FILTERS_MAX + 1> filters_{};
  lzma_block block_{};
  uint64_t content_ = 0;
};

}  // namespace

Result<std::unique_ptr<sdk::Unpacker>> XzPacking::unpacker() {
  return std::unique_ptr<sdk::Unpacker>(new XzUnpacker);
}

Result<PackedLayout> XzPacking::layout(const Call& call, const PackedFile& file) {
  INSTAR_TRY(const uint64_t end, find_end(call, file));
  INSTAR_TRY(const Index index, read_index(call, file, end));
  PackedLayout layout;
  layout.size = lzma_index_uncompressed_size(index.get());
  lzma_index_iter at;
  lzma_index_iter_init(&at, index.get());
  while (!lzma_index_iter_next(&at, LZMA_INDEX_ITER_NONEMPTY_BLOCK)) {
    const auto check = static_cast<uint32_t>(at.stream.flags->check);
    layout.pieces.push_back({at.block.compressed_file_offset, at.block.total_size,
                             at.block.uncompressed_file_offset, at.block.uncompressed_size, check});
  }
  return layout;
}

Result<size_t> XzPacking::unpack(const Piece& piece, ConstBytes packed, Bytes out) {
  BlockHeader header(piece, out.size());
  INSTAR_CHECK(header.read(packed));
  size_t taken = header.block()->header_size;
  size_t made = 0;
  const auto result = lzma_block_buffer_decode(header.block(), nullptr, packed.data(), &taken,
                                               packed.size(), out.data(), &made, out.size());
  if (result != LZMA_OK) return describe(result);
  return made;
}

}  // namespace instar::xz
