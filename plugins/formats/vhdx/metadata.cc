// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vhdx/metadata.hpp"

#include <bit>
#include <map>
#include <memory>

#include "plugins/formats/vhdx/checksum.hpp"

namespace instar::vhdx {

using sdk::Call;
using sdk::MetadataCache;
using sdk::Result;
using sdk::Status;

namespace {

constexpr uint64_t kMostOffset = sdk::round_down(INT64_MAX, 1u << 30);  // as QEMU has it
constexpr uint32_t kLongestItem = 1u << 20;  // as the specification has it

sdk::Error bare(int code) {
  return sdk::fail(code, sdk::errno_text(code));
}

/** The first copy, or the second where that one is broken. */
Result<std::unique_ptr<RegionTable>> read_region_table(const Call& call, MetadataCache& cache) {
  auto table = std::make_unique<RegionTable>();
  for (const uint64_t offset : kRegionTableOffsets) {
    INSTAR_CHECK(cache.read(call, offset, table.get(), sizeof *table));
    if (table->signature == kRegionSignature && has_checksum(table.get(), sizeof *table))
      return table;
  }
  return bare(EINVAL);
}

struct Regions {
  uint64_t bat_offset = 0;
  uint64_t bat_length = 0;
  uint64_t metadata_offset = 0;
  uint64_t metadata_length = 0;
};

Result<Regions> read_regions(const Call& call, MetadataCache& cache, std::vector<Area>& areas,
                             const Say& say) {
  INSTAR_TRY(const auto table, read_region_table(call, cache));
  if (table->entry_count > kMostRegions) return bare(EINVAL);
  Regions regions;
  bool has_bat = false;
  bool has_metadata = false;
  for (uint32_t i = 0; i < table->entry_count; ++i) {
    const RegionEntry& entry = table->entries[i];
    const Area area{entry.file_offset, entry.file_offset + entry.length};
    INSTAR_CHECK(check_overlap(areas, area, say));
    areas.push_back(area);
    if (entry.guid == kBatRegion) {
      if (std::exchange(has_bat, true)) return bare(EINVAL);
      regions.bat_offset = entry.file_offset;
      regions.bat_length = entry.length;
    } else if (entry.guid == kMetadataRegion) {
      if (std::exchange(has_metadata, true)) return bare(EINVAL);
      regions.metadata_offset = entry.file_offset;
      regions.metadata_length = entry.length;
    } else if ((entry.required & 1) != 0) {
      return bare(ENOTSUP);
    }
  }
  if (!has_bat || !has_metadata) return bare(EINVAL);
  return regions;
}

/** Entries by item. */
using Items = std::map<Guid, MetadataEntry>;

Result<Items> read_items(const Call& call, MetadataCache& cache, uint64_t region) {
  const auto table = std::make_unique<MetadataTable>();
  INSTAR_CHECK(cache.read(call, region, table.get(), sizeof *table));
  if (std::memcmp(table->signature, kMetadataSignature, sizeof table->signature) != 0 ||
      table->entry_count > kMostMetadata)
    return bare(EINVAL);
  Items items;
  for (uint32_t i = 0; i < table->entry_count; ++i) {
    const MetadataEntry& entry = table->entries[i];
    const Guid known[] = {kFileParameters,    kVirtualDiskSize,    kVirtualDiskId,
                          kLogicalSectorSize, kPhysicalSectorSize, kParentLocator};
    if (std::find(std::begin(known), std::end(known), entry.item) == std::end(known)) {
      if ((entry.flags & kIsRequired) != 0) return bare(ENOTSUP);
    } else if (!items.emplace(entry.item, entry).second) {
      return bare(EINVAL);
    }
  }
  return items;
}

template <class Value>
Status read_item(const Call& call, MetadataCache& cache, uint64_t position, Value& value) {
  return cache.read(call, position, &value, sizeof value);
}

Status check_values(const Metadata& metadata) {
  if (metadata.block_size < kSmallestBlock || metadata.block_size > kLargestBlock)
    return bare(EINVAL);
  if (metadata.sector_size != 512 && metadata.sector_size != 4096) return bare(ENOTSUP);
  if (!std::has_single_bit(metadata.block_size)) return bare(EINVAL);
  if (metadata.size > kMostBytes) return bare(EINVAL);
  if (metadata.bat_offset > kMostOffset - metadata.bat_length) return bare(EIO);
  if (metadata.entries() > metadata.bat_length / sizeof(uint64_t)) return bare(EINVAL);
  return {};
}

}  // namespace

Status check_overlap(const std::vector<Area>& areas, const Area& area, const Say& say) {
  for (auto other = areas.rbegin(); other != areas.rend(); ++other) {
    if (area.begin >= other->end || area.end <= other->begin) continue;
    say(sdk::cat("VHDX region ", area.begin, "-", area.end, " overlaps with region ", other->begin,
                 "-", other->end));
    return bare(EINVAL);
  }
  return {};
}

/** Counted in 32 bits, as QEMU does: a disk of no size has a large table. */
uint64_t Metadata::bat_entries(uint64_t size, uint32_t block_size, uint32_t sector_size,
                               bool has_parent) {
  const uint64_t ratio = kSectorsPerChunk * sector_size / block_size;
  const auto blocks = static_cast<uint32_t>(sdk::div_up(size, block_size));
  if (has_parent) return sdk::div_up(blocks, ratio) * (ratio + 1);
  return blocks + (blocks - 1) / ratio;
}

Result<Metadata> read_metadata(const Call& call, MetadataCache& cache, const Area& log,
                               const Say& say) {
  Metadata metadata;
  metadata.areas.push_back(log);
  INSTAR_TRY(const Regions regions, read_regions(call, cache, metadata.areas, say));
  metadata.bat_offset = regions.bat_offset;
  metadata.bat_length = regions.bat_length;
  metadata.region_offset = regions.metadata_offset;
  metadata.region_length = regions.metadata_length;
  INSTAR_TRY(Items items, read_items(call, cache, regions.metadata_offset));
  for (const Guid& needed :
       {kFileParameters, kVirtualDiskSize, kVirtualDiskId, kLogicalSectorSize, kPhysicalSectorSize})
    if (!items.contains(needed)) return bare(ENOTSUP);
  const auto place = [&](const Guid& item) { return regions.metadata_offset + items[item].offset; };

  FileParameters parameters;
  Le<uint64_t> size;
  Le<uint32_t> sector_size;
  metadata.size_offset = place(kVirtualDiskSize);
  INSTAR_CHECK(read_item(call, cache, place(kFileParameters), parameters));
  INSTAR_CHECK(read_item(call, cache, metadata.size_offset, size));
  INSTAR_CHECK(read_item(call, cache, place(kLogicalSectorSize), sector_size));
  metadata.size = size;
  metadata.block_size = parameters.block_size;
  metadata.sector_size = sector_size;
  metadata.leaves_allocated = (parameters.flags & kLeaveBlocksAllocated) != 0;
  metadata.has_parent = (parameters.flags & kHasParent) != 0;
  if (metadata.has_parent) {
    if (!items.contains(kParentLocator) || items[kParentLocator].length > kLongestItem)
      return bare(EINVAL);
    metadata.parent_item.resize(items[kParentLocator].length);
    INSTAR_CHECK(cache.read(call, place(kParentLocator), metadata.parent_item.data(),
                            metadata.parent_item.size()));
  }
  INSTAR_CHECK(check_values(metadata));
  return metadata;
}

}  // namespace instar::vhdx
