// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/bochs/image.hpp"

#include "sdk/cpp/plugin.hpp"

namespace instar::bochs {

using sdk::Block;
using sdk::Call;
using sdk::fail;
using sdk::Result;
using sdk::Status;

namespace {

constexpr uint32_t kVersion1 = 0x00010000;
constexpr uint32_t kVersion2 = 0x00020000;
constexpr uint32_t kUnallocated = 0xffffffff;
constexpr uint32_t kMostEntries = 0x100000;
constexpr uint32_t kLargestExtent = 0x800000;

bool is(const char* field, size_t size, std::string_view text) {
  return std::string_view(field, strnlen(field, size)) == text;
}

uint64_t disk_sectors(const Header& header) {
  return sdk::load_le<uint64_t>(header.disk_size + (header.version == kVersion1 ? 0 : 4)) / kSector;
}

Status check_header(const Header& header) {
  const bool known = header.version == kVersion1 || header.version == kVersion2;
  if (!is(header.magic, sizeof header.magic, "Bochs Virtual HD Image") ||
      !is(header.type, sizeof header.type, "Redolog") ||
      !is(header.subtype, sizeof header.subtype, "Growing") || !known)
    return fail(EINVAL, "Image not in Bochs format");
  if (header.catalog_entries > kMostEntries) return fail(EFBIG, "Catalog size is too large");
  const uint32_t extent = header.extent_size;
  if (extent < kSector) return fail(EINVAL, "Extent size must be at least 512");
  if (!std::has_single_bit(extent))
    return fail(EINVAL, "Extent size ", extent, " is not a power of two");
  if (extent > kLargestExtent) return fail(EINVAL, "Extent size ", extent, " is too large");
  if (header.catalog_entries < sdk::div_up(disk_sectors(header), extent / kSector))
    return fail(EINVAL, "Catalog size is too small for this disk size");
  return {};
}

}  // namespace

Catalog::Catalog(sdk::HostFile file, const Header& header)
    : file_(std::move(file)),
      catalog_offset_(header.header_size),
      // In 32 bits, as QEMU has it.
      data_offset_(
          static_cast<uint32_t>(header.header_size + header.catalog_entries * sizeof(uint32_t))),
      sectors_per_extent_(header.extent_size / kSector),
      // In 32 bits: 0 means very many.
      bitmap_sectors_(1 + (header.bitmap_size - 1u) / kSector),
      cache_(file_, kCacheBytes) {}

Result<Block> Catalog::lookup(const Call& call, uint64_t sector) {
  const uint64_t extent = sector / sectors_per_extent_;
  const uint64_t inside = sector % sectors_per_extent_;
  INSTAR_TRY(const auto number,
             cache_.get<sdk::Le<uint32_t>>(call, catalog_offset_ + extent * sizeof(uint32_t)));
  if (number == kUnallocated) return Block{.count = sectors_per_extent_ - inside};
  uint64_t bitmap = 0;
  if (sdk::mul_overflows(number * kSector, sectors_per_extent_ + bitmap_sectors_, &bitmap) ||
      sdk::add_overflows(bitmap, data_offset_, &bitmap) || bitmap > INT64_MAX)
    return fail(EIO, "Extent ", extent, " lies beyond any file");
  INSTAR_TRY(const uint8_t written, cache_.get<uint8_t>(call, bitmap + inside / 8));
  if ((written >> (inside % 8) & 1) == 0) return Block{};
  return Block{Block::Kind::kData, bitmap + (bitmap_sectors_ + inside) * kSector, 0};
}

Image::Image(uint64_t size, uint32_t flags, sdk::HostFile file, const Header& header)
    : BlockMap({kSector, size}, flags, std::move(file), header) {}

Result<std::unique_ptr<Image>> Image::open(sdk::OpenContext& context) {
  if (context.writable()) return fail(EACCES, "Image is read-only");
  INSTAR_TRY(const sdk::NodeRef node, context.file());
  INSTAR_TRY(sdk::HostFile file, sdk::HostFile::open(node, false));
  Header header;
  INSTAR_CHECK(file.read(context.call(), 0, &header, sizeof header));
  INSTAR_CHECK(check_header(header));
  return std::unique_ptr<Image>(
      new Image(disk_sectors(header) * kSector, context.flags(), std::move(file), header));
}

void Image::limits(instar_node_limits& limits) const {
  BlockMap::limits(limits);
  limits.cluster_size = 0;  // a sector, which nobody would call a cluster
}

}  // namespace instar::bochs

INSTAR_PLUGIN("bochs", "1.0.0", instar::sdk::format<instar::bochs::Image>("bochs"))
