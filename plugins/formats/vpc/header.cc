// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vpc/header.hpp"

#include <bit>

#include "plugins/formats/vpc/geometry.hpp"

namespace instar::vpc {

using sdk::Call;
using sdk::fail;
using sdk::HostFile;
using sdk::Result;
using sdk::Status;

namespace {

bool has_cookie(const Footer& footer) {
  return std::memcmp(footer.cookie, kFooterCookie, sizeof footer.cookie) == 0;
}

bool is_fixed(const Footer& footer) {
  return footer.disk_type == static_cast<uint32_t>(DiskType::kFixed);
}

bool made_by(const Footer& footer, const char* creator) {
  return std::memcmp(footer.creator_application, creator, 4) == 0;
}

/** The copy at the beginning, which all but fixed disks have, or that at the end.
 * @param at_end there is nothing but data before it */
Result<Footer> read_footer(const Call& call, const HostFile& file, bool& at_end) {
  Footer footer;
  INSTAR_CHECK(file.read(call, 0, &footer, sizeof footer));
  const uint64_t end = sdk::round_up(file.size(), kSectorSize);  // a length is whole sectors
  at_end = !has_cookie(footer) || (is_fixed(footer) && end == sizeof footer);
  if (at_end) {
    if (end < sizeof footer) return fail(EINVAL, "File too small for a VHD header");
    INSTAR_CHECK(file.read(call, end - sizeof footer, &footer, sizeof footer));
    if (!has_cookie(footer) || !is_fixed(footer)) return fail(EINVAL, "invalid VPC image");
  }
  if (footer.checksum != checksum_of(footer)) return fail(EINVAL, "Incorrect header checksum");
  return footer;
}

/**
 * Virtual PC, and QEMU where it is not told otherwise, mean the geometry; all others the size.
 * Where a geometry says all it can, the size is meant.
 */
Status read_size(Header& header, const std::string& filename, const sdk::Options& options) {
  const Footer& footer = header.footer;
  bool& by_geometry = header.by_geometry;
  by_geometry = made_by(footer, "vpc ") || made_by(footer, "qemu");
  if (options.has("force_size_calc")) {
    const std::string mode = options.text("force_size_calc");
    if (mode != "chs" && mode != "current_size")
      return fail(EINVAL, "Invalid size calculation mode: '", mode, "'");
    by_geometry = mode == "chs";
  }
  header.size = size_by(footer, by_geometry);
  if (header.size / kSectorSize > kMostSectors)
    return fail(EFBIG, "Could not open '", filename, "': ", sdk::errno_text(EFBIG));
  return {};
}

Result<DynamicHeader> read_dynamic_header(const Call& call, const HostFile& file, uint64_t offset) {
  DynamicHeader dynamic;
  if (!file.read(call, offset, &dynamic, sizeof dynamic))
    return fail(EIO, "Error reading dynamic VHD header");
  if (std::memcmp(dynamic.cookie, kDynamicCookie, sizeof dynamic.cookie) != 0)
    return fail(EINVAL, "Invalid header magic");
  return dynamic;
}

Status check_table(const HostFile& file, const Header& header) {
  const DynamicHeader& dynamic = header.dynamic;
  const uint32_t block_size = dynamic.block_size;
  if (!std::has_single_bit(block_size) || block_size < kSectorSize)
    return fail(EINVAL, "Invalid block size ", block_size);
  if (header.size / block_size > UINT32_MAX) return fail(EINVAL, "Too many blocks");
  const uint32_t entries = dynamic.max_table_entries;
  if (uint64_t{entries} * block_size < header.size) return fail(EINVAL, "Page table too small");
  if (entries > kMostEntries)
    return fail(EINVAL, "Max Table Entries too large (", static_cast<int32_t>(entries), ")");
  if (dynamic.table_offset > INT64_MAX - (1u << 30) - 4 * uint64_t{entries})
    return fail(EIO, "Error reading pagetable");
  if (header.table_end() > sdk::round_up(file.size(), kSectorSize)) return truncated();
  return {};
}

}  // namespace

uint64_t size_by(const Footer& footer, bool by_geometry) {
  const Geometry geometry{footer.cylinders, footer.heads, footer.sectors_per_track};
  const bool counts = by_geometry && geometry.sectors() != kMostGeometry;
  return counts ? geometry.sectors() * kSectorSize
                : sdk::round_down(footer.current_size, kSectorSize);
}

Result<Footer> resized_footer(const Header& header, uint64_t size) {
  uint64_t sectors = sdk::div_up(size, kSectorSize);
  if (sectors > kMostSectors) return fail(EINVAL, "Disk size is too large, max size is 2040 GiB");
  Footer footer = header.footer;
  Geometry geometry{footer.cylinders, footer.heads, footer.sectors_per_track};
  // Where a geometry says all it can, the size is meant.
  const bool says_nothing = !header.by_geometry && geometry.sectors() == kMostGeometry;
  if (!says_nothing)
    geometry = header.by_geometry ? geometry_above(sectors) : geometry_below(sectors);
  if (header.by_geometry && geometry.sectors() != kMostGeometry) sectors = geometry.sectors();
  footer.current_size = sectors * kSectorSize;
  footer.cylinders = geometry.cylinders;
  footer.heads = geometry.heads;
  footer.sectors_per_track = geometry.sectors_per_track;
  footer.checksum = checksum_of(footer);
  return footer;
}

sdk::Error truncated() {
  return fail(EINVAL,
              "block-vpc: free_data_block_offset points after the end of file. "
              "The image has been truncated.");
}

Result<Header> read_header(const Call& call, const HostFile& file, const std::string& filename,
                           const sdk::Options& options) {
  Header header;
  bool at_end = false;
  INSTAR_TRY(header.footer, read_footer(call, file, at_end));
  INSTAR_CHECK(read_size(header, filename, options));
  if (at_end) return header;
  INSTAR_TRY(header.dynamic, read_dynamic_header(call, file, header.footer.data_offset));
  INSTAR_CHECK(check_table(file, header));
  return header;
}

}  // namespace instar::vpc
