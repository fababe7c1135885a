// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vmdk/extent.hpp"

namespace instar::vmdk {

using sdk::Block;
using sdk::Call;
using sdk::ConstBytes;
using sdk::fail;
using sdk::IoVec;
using sdk::Result;
using sdk::Status;

Result<std::unique_ptr<sdk::CodecPool>> open_grain_codec(const sdk::Host& host) {
  constexpr int kLevel = 6;  // streams are sent: no larger than qemu-img makes them
  instar_codec_params params{};
  params.framing = INSTAR_FRAMING_ZLIB;
  params.level = kLevel;
  return sdk::CodecPool::open(host, "zlib", params);
}

std::vector<uint8_t> with_marker(uint64_t sector, ConstBytes packed) {
  GrainMarker marker;
  marker.lba = sector;
  marker.size = static_cast<uint32_t>(packed.size());
  std::vector<uint8_t> bytes(sdk::round_up(sizeof marker + packed.size(), kSector));
  std::memcpy(bytes.data(), &marker, sizeof marker);
  std::memcpy(bytes.data() + sizeof marker, packed.data(), packed.size());
  return bytes;
}

SparseMap::SparseMap(const GrainLayout& layout, uint64_t begin, uint32_t flags, sdk::HostFile file,
                     std::unique_ptr<sdk::CodecPool> codec)
    : BlockMap({layout.grain_bytes(), layout.sectors * kSector, begin}, flags, std::move(file),
               layout, std::move(codec)),
      begin_(begin) {}

void SparseMap::show_backing(sdk::HostFile backing, bool trusted) {
  set_backing(std::move(backing));
  if (!trusted) table().distrust_backing();
}

Result<Block> SparseMap::grain_at(const Call& call, uint64_t offset) {
  const std::lock_guard lock(mutex());
  return table().lookup(call, grain_of(offset));
}

Result<int64_t> SparseMap::pack(ConstBytes grain, sdk::Bytes out) {
  return table().codec().compress(grain, out);
}

Status SparseMap::store_packed(const Call& call, uint64_t offset, ConstBytes packed) {
  const std::vector<uint8_t> bytes = with_marker(offset / kSector, packed);
  uint64_t place = 0;
  {
    const std::lock_guard lock(mutex());
    INSTAR_CHECK(begin_change(call));
    INSTAR_TRY(place, table().allocate_bytes(bytes.size()));
  }
  table().file().say("write_compressed");
  INSTAR_CHECK(table().file().write(call, place, bytes.data(), bytes.size()));
  const std::lock_guard lock(mutex());
  return table().store(call, grain_of(offset), {Block::Kind::kPacked, place, bytes.size()});
}

/** A grain that is there already is packed anew: the stream only grows. */
Status SparseMap::write_packed(const Call& call, uint64_t offset, IoVec from) {
  if (!layout().markers) return fail(EINVAL, sdk::errno_text(EINVAL));
  const std::lock_guard lock(packing_);
  const uint64_t grain = layout().grain_bytes();
  const uint64_t end = offset + from.length();
  std::vector<uint8_t> plain(grain);
  std::vector<uint8_t> packed(table().codec().bound(grain));
  for (uint64_t at = offset; at < end;) {
    const uint64_t first = sdk::round_down(at - begin_, grain) + begin_;
    const uint64_t length = std::min(grain, begin_ + size() - first);
    const uint64_t n = std::min(first + length, end) - at;
    if (n < length) {
      const instar_iovec piece{plain.data(), length};
      INSTAR_CHECK(read(call, first, IoVec(&piece, 1)));
    }
    from.copy_out(at - offset, plain.data() + (at - first), n);
    INSTAR_TRY(const int64_t bytes, pack(ConstBytes(plain.data(), length), packed));
    if (bytes <= 0) return fail(EINVAL, sdk::errno_text(EINVAL));
    INSTAR_CHECK(store_packed(call, first, ConstBytes(packed.data(), static_cast<size_t>(bytes))));
    at += n;
  }
  return {};
}

/** What shows zeroes already stays as it is. */
Status SparseMap::zero_packed(const Call& call, uint64_t offset, uint64_t length) {
  const std::vector<uint8_t> zeroes(layout().grain_bytes());
  for (uint64_t at = offset; at < offset + length;) {
    const uint64_t inside = (at - begin_) % zeroes.size();
    const uint64_t n = std::min(zeroes.size() - inside, offset + length - at);
    INSTAR_TRY(const Block there, grain_at(call, at));
    if (there.kind == Block::Kind::kPacked || has_backing()) {
      const instar_iovec piece{const_cast<uint8_t*>(zeroes.data()), n};
      INSTAR_CHECK(write_packed(call, at, IoVec(&piece, 1)));
    }
    at += n;
  }
  return {};
}

}  // namespace instar::vmdk
