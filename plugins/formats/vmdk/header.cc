// SPDX-License-Identifier: Apache-2.0
// Headers of sparse extents, checked.
#include <algorithm>
#include <cstring>

#include "plugins/formats/vmdk/extent.hpp"

namespace instar::vmdk {

using sdk::Call;
using sdk::fail;
using sdk::Result;
using sdk::Status;

namespace {

constexpr uint32_t kNewestVersion = 3;
constexpr uint64_t kMostGrainSectors = 0x200000;
/** Packed grains are held in memory whole, by each who reads; 128 is what there is. */
constexpr uint64_t kMostPackedGrainSectors = (4u << 20) / kSector;

std::string hex16(uint64_t value) {
  return "0x" + sdk::hex_digits(value, 16);
}

/** What all kinds of sparse extents have in common. */
Status check_layout(const GrainLayout& layout) {
  if (layout.grain_sectors > (layout.compressed ? kMostPackedGrainSectors : kMostGrainSectors) ||
      layout.grain_sectors == 0)
    return fail(EFBIG, "Invalid granularity, image may be corrupt");
  if (layout.gd_entries > kMostL1Entries) return fail(EFBIG, "L1 size too big");
  if (layout.sectors > INT64_MAX / kSector) return fail(EFBIG, sdk::errno_text(EFBIG));
  return {};
}

/** Offsets are counted in sectors; what does not fit is beyond the end of any file. */
uint64_t bytes_of(uint64_t sectors) {
  return sectors > INT64_MAX / kSector ? sdk::round_down(INT64_MAX, kSector) : sectors * kSector;
}

/** The header's copy at the end. */
Result<SparseHeader> read_footer(const Call& call, const sdk::HostFile& file) {
  Tail tail;
  const uint64_t end = sdk::round_up(file.size(), kSector);
  if (end < sizeof tail) return fail(EINVAL, "Failed to read footer: ", sdk::errno_text(EINVAL));
  INSTAR_CHECK(file.read(call, end - sizeof tail, &tail, sizeof tail));
  const auto is = [](const Marker& marker, MarkerType type) {
    return marker.size == 0 && marker.type == static_cast<uint32_t>(type);
  };
  if (tail.footer.magic != kSparseMagic || !is(tail.footer_marker, MarkerType::kFooter) ||
      tail.end_of_stream.sectors != 0 || !is(tail.end_of_stream, MarkerType::kEndOfStream))
    return fail(EINVAL, "Invalid footer");
  return tail.footer;
}

/** Where the end of a stream begins whose directory is in front; 0: it has no end. */
Result<uint64_t> find_tail(const Call& call, const sdk::HostFile& file, SparseHeader header,
                           const GrainLayout& layout) {
  const auto footer = read_footer(call, file);
  if (!footer && footer.error().code != EINVAL) return footer.error();
  const uint64_t directory = sdk::round_up(layout.gd_entries * sizeof(uint32_t), kSector);
  const uint64_t length = sizeof(Marker) + directory + sizeof(Tail);
  if (!footer || file.size() % kSector != 0 || file.size() < header.overhead * kSector + length)
    return 0;
  const uint64_t offset = file.size() - length;
  header.gd_offset = (offset + sizeof(Marker)) / kSector;
  return std::memcmp(&header, &*footer, sizeof header) == 0 ? offset : 0;
}

/** Whether the directory of a stream may be in front of the grains, behind the descriptor. */
bool has_front_directory(const SparseHeader& header, uint64_t gd_bytes) {
  return header.rgd_offset != 0 && (header.flags & kFlagRedundantTable) == 0 &&
         header.overhead < kMostSectors && header.rgd_offset < header.overhead &&
         sdk::div_up(gd_bytes, kSector) <= header.overhead - header.rgd_offset;
}

GrainLayout layout_of(const SparseHeader& header, bool at_end) {
  GrainLayout layout;
  layout.sectors = header.capacity;
  layout.grain_sectors = header.grain_size;
  layout.table_entries = header.entries_per_table;
  // In 32 bits, as QEMU has it.
  const auto per_entry = static_cast<uint32_t>(layout.table_entries * layout.grain_sectors);
  layout.gd_entries = static_cast<uint32_t>((layout.sectors + per_entry - 1) / per_entry);
  layout.gd_offset = bytes_of(header.gd_offset);
  if ((header.flags & kFlagRedundantTable) != 0) layout.rgd_offset = bytes_of(header.rgd_offset);
  layout.compressed = header.compression == kCompressionDeflate;
  layout.markers = (header.flags & kFlagMarkers) != 0;
  layout.zeroed_grains = (header.flags & kFlagZeroedGrain) != 0;
  layout.gd_at_end = at_end;
  layout.gd_in_front = layout.compressed && layout.markers && !at_end &&
                       header.gd_offset == header.rgd_offset &&
                       has_front_directory(header, layout.gd_entries * sizeof(uint32_t));
  return layout;
}

/** An extent as create leaves it: grains would lie behind its tables. */
bool is_empty(const SparseHeader& header, const GrainLayout& layout, const sdk::HostFile& file) {
  const uint64_t directory = sdk::div_up(layout.gd_entries * sizeof(uint32_t), kSector);
  return (header.flags & kFlagRedundantTable) != 0 && header.overhead < kMostSectors &&
         header.gd_offset < header.overhead && header.rgd_offset < header.gd_offset &&
         directory <= header.gd_offset - header.rgd_offset &&
         file.size() == header.overhead * kSector;
}

Result<SparseExtentFile> read_hosted(const Call& call, const sdk::HostFile& file, bool writable) {
  SparseHeader header;
  INSTAR_CHECK(file.read(call, 0, &header, sizeof header));
  if (header.capacity == 0 && header.descriptor_offset != 0)
    return SparseExtentFile{{}, true, bytes_of(header.descriptor_offset)};
  const bool at_end = header.gd_offset == kGdAtEnd;
  if (at_end) {
    INSTAR_TRY(header, read_footer(call, file));
  }
  const bool compressed = header.compression == kCompressionDeflate;
  if (header.version > kNewestVersion)
    return fail(ENOTSUP, "Unsupported VMDK version ", uint32_t{header.version});
  if (header.version == kNewestVersion && writable && !compressed)
    return fail(EINVAL, "VMDK version 3 must be read only");
  if (header.entries_per_table > kEntriesPerTable) return fail(EINVAL, "L2 table size too big");
  if (static_cast<uint32_t>(header.entries_per_table * header.grain_size) == 0)
    return fail(EINVAL, "L1 entry size is invalid");
  if (sdk::div_up(file.size(), kSector) < header.overhead)
    return fail(EINVAL, "File truncated, expecting at least ",
                static_cast<int64_t>(header.overhead * kSector), " bytes");
  SparseExtentFile extent{layout_of(header, at_end)};
  extent.layout.fresh =
      compressed && extent.layout.markers && is_empty(header, extent.layout, file);
  INSTAR_CHECK(check_layout(extent.layout));
  if (extent.layout.gd_in_front) {
    INSTAR_TRY(extent.layout.tail_offset, find_tail(call, file, header, extent.layout));
  }
  return extent;
}

Result<SparseExtentFile> read_cowd(const Call& call, const sdk::HostFile& file) {
  CowdHeader header;
  INSTAR_CHECK(file.read(call, 0, &header, sizeof header));
  GrainLayout layout;
  layout.sectors = header.capacity;
  layout.grain_sectors = header.grain_size;
  layout.gd_offset = header.gd_offset * kSector;
  layout.gd_entries = header.gd_entries;
  layout.table_entries = kCowdEntriesPerTable;
  INSTAR_CHECK(check_layout(layout));
  return SparseExtentFile{layout};
}

Status check_se_const(const SeConstHeader& header) {
  if (header.magic != kSeConstMagic)
    return fail(EINVAL, "Bad const header magic: ", hex16(header.magic));
  if (header.version != kSeVersion)
    return fail(ENOTSUP, "Unsupported version: ", hex16(header.version));
  if (header.grain_size != kSeGrainSize)
    return fail(ENOTSUP, "Unsupported grain size: ", uint64_t{header.grain_size});
  if (header.grain_table_size != kSeTableSize)
    return fail(ENOTSUP, "Unsupported grain table size: ", uint64_t{header.grain_table_size});
  if (header.flags != 0) return fail(ENOTSUP, "Unsupported flags: ", hex16(header.flags));
  const auto* reserved = header.reserved;
  if (std::any_of(reserved, reserved + 4, [](uint64_t word) { return word != 0; }))
    return fail(ENOTSUP, "Unsupported reserved bits: ", hex16(reserved[0]), ' ', hex16(reserved[1]),
                ' ', hex16(reserved[2]), ' ', hex16(reserved[3]));
  if (!sdk::is_zero(header.padding, sizeof header.padding))
    return fail(ENOTSUP, "Unsupported non-zero const header padding");
  return {};
}

Status check_se_volatile(const SeVolatileHeader& header) {
  if (header.magic != kSeVolatileMagic)
    return fail(EINVAL, "Bad volatile header magic: ", hex16(header.magic));
  if (header.replay_journal != 0)
    return fail(ENOTSUP, "Image is dirty, Replaying journal not supported");
  if (!sdk::is_zero(header.padding, sizeof header.padding))
    return fail(ENOTSUP, "Unsupported non-zero volatile header padding");
  return {};
}

}  // namespace

Result<SparseExtentFile> read_sparse_header(const Call& call, const sdk::HostFile& file,
                                            bool writable) {
  if (file.size() < 4) return fail(EINVAL, "File is too small, not a valid image");
  Le<uint32_t> magic;
  INSTAR_CHECK(file.read(call, 0, &magic, sizeof magic));
  if (magic == kSparseMagic) return read_hosted(call, file, writable);
  if (magic == kCowdMagic) return read_cowd(call, file);
  return fail(EINVAL, "Image not in VMDK format");
}

Result<GrainLayout> read_se_sparse_header(const Call& call, const sdk::HostFile& file) {
  SeConstHeader header;
  INSTAR_CHECK(file.read(call, 0, &header, sizeof header));
  INSTAR_CHECK(check_se_const(header));
  SeVolatileHeader state;
  INSTAR_CHECK(file.read(call, bytes_of(header.volatile_header_offset), &state, sizeof state));
  INSTAR_CHECK(check_se_volatile(state));
  GrainLayout layout;
  layout.se_sparse = true;
  layout.sectors = header.capacity;
  layout.grain_sectors = header.grain_size;
  layout.gd_offset = bytes_of(header.grain_dir_offset);
  layout.gd_entries = static_cast<uint32_t>(header.grain_dir_size * (kSector / sizeof(uint64_t)));
  layout.table_entries = kSeTableSize * (kSector / sizeof(uint64_t));
  layout.se_tables_sector = header.grain_tables_offset;
  layout.se_grains_sector = std::min<uint64_t>(header.grains_offset, INT64_MAX / kSector);
  INSTAR_CHECK(check_layout(layout));
  return layout;
}

}  // namespace instar::vmdk
