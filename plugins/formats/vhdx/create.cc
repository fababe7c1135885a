// SPDX-License-Identifier: Apache-2.0
#include <bit>

#include "plugins/formats/vhdx/checksum.hpp"
#include "plugins/formats/vhdx/image.hpp"
#include "plugins/formats/vhdx/parent.hpp"
#include "sdk/cpp/measure.hpp"
#include "sdk/cpp/parent_name.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::vhdx {

using sdk::Call;
using sdk::fail;
using sdk::HostFile;
using sdk::Result;
using sdk::Status;

namespace {

constexpr uint32_t kSectorSize = 512;
constexpr uint64_t kLogOffset = kMiB;
constexpr uint64_t kMetadataLength = kMiB;
constexpr uint64_t kRoomForMore = 4 * kMiB;  // behind the metadata, as QEMU has it
constexpr uint32_t kItemsOffset = sizeof(MetadataTable);
constexpr uint64_t kEntriesAtOnce = 64u << 10;
constexpr char kCreator[] = "instar";

struct Wanted {
  uint64_t size = 0;
  uint32_t block_size = 0;
  uint32_t log_size = 0;
  bool fixed = false;
  bool zero_blocks = true;  ///< else blocks are "not present" at first
  instar_preallocation preallocation = INSTAR_PREALLOCATION_OFF;
  std::string parent;  ///< "": none

  bool allocated() const { return fixed || preallocation != INSTAR_PREALLOCATION_OFF; }
  uint64_t bat_offset() const { return kLogOffset + log_size; }
  uint64_t bat_length() const {
    const uint64_t entries = Metadata::bat_entries(size, block_size, kSectorSize, !parent.empty());
    return sdk::round_up(entries * sizeof(uint64_t), kMiB);
  }
  uint64_t metadata_offset() const { return bat_offset() + bat_length(); }
  uint64_t data_offset() const { return metadata_offset() + kMetadataLength + kRoomForMore; }
};

uint64_t default_block_size(uint64_t size) {
  if (size > uint64_t{32} << 40) return 64 * kMiB;
  if (size > uint64_t{100} << 30) return 32 * kMiB;
  return size > uint64_t{1} << 30 ? 16 * kMiB : 8 * kMiB;
}

Status parse_parent(Wanted& wanted, const sdk::Options& options) {
  wanted.parent = options.text("backing_file");
  if (wanted.parent.empty()) return {};
  INSTAR_CHECK(sdk::check_parent_format(options, "vhdx"));
  if (wanted.fixed) return fail(ENOTSUP, "A fixed image can't have a backing file");
  if (wanted.preallocation != INSTAR_PREALLOCATION_OFF)
    return fail(ENOTSUP, "Preallocation is not possible for an image with a backing file");
  wanted.zero_blocks = false;  // they would hide the parent's
  return {};
}

Result<Wanted> parse(const sdk::Options& options, uint64_t size) {
  Wanted wanted;
  const std::string type = options.text("subformat", "dynamic");
  if (type != "dynamic" && type != "fixed")
    return fail(EINVAL, "Parameter 'subformat' does not accept value '", type, "'");
  wanted.fixed = type == "fixed";
  wanted.zero_blocks = options.flag("block_state_zero", true);
  if (size > kMostBytes) return fail(EINVAL, "Image size too large; max of 64TB");
  wanted.size = sdk::round_up(size, kSectorSize);
  const uint64_t log_size = options.number("log_size", kMiB);
  if (log_size == 0) return fail(EINVAL, "Log size must be a multiple of 1 MB");
  if (log_size > UINT32_MAX - kMiB + 1) return fail(EINVAL, "Log size must be smaller than 4 GB");
  wanted.log_size = static_cast<uint32_t>(sdk::round_up(log_size, kMiB));
  uint64_t block_size = options.number("block_size");
  if (block_size == 0) block_size = default_block_size(wanted.size);
  block_size = sdk::round_up(std::min<uint64_t>(block_size, kLargestBlock), kMiB);
  if (!std::has_single_bit(block_size)) return fail(EINVAL, "Block size must be a power of two");
  wanted.block_size = static_cast<uint32_t>(block_size);
  INSTAR_TRY(wanted.preallocation, sdk::file_preallocation(options));
  INSTAR_CHECK(parse_parent(wanted, options));
  return wanted;
}

Status write_identifier(const Call& call, HostFile& file) {
  INSTAR_CHECK(file.write(call, 0, kFileSignature, 8));
  std::vector<Le<uint16_t>> creator;
  for (const uint16_t unit : sdk::utf16_of(kCreator))
    creator.emplace_back(unit);
  return file.write(call, 8, creator.data(), creator.size() * 2);
}

Status write_headers(const Call& call, HostFile& file, const Wanted& wanted) {
  Header header{};
  header.signature = kHeaderSignature;
  header.file_write_guid = sdk::random_uuid();
  header.data_write_guid = sdk::random_uuid();
  header.version = 1;
  header.log_length = wanted.log_size;
  header.log_offset = kLogOffset;
  for (const uint64_t offset : kHeaderOffsets) {
    header.sequence_number = header.sequence_number + 1;
    set_checksum(&header, sizeof header);
    INSTAR_CHECK(file.write(call, offset, &header, sizeof header));
  }
  return {};
}

Status write_regions(const Call& call, HostFile& file, const Wanted& wanted) {
  const auto table = std::make_unique<RegionTable>();
  table->signature = kRegionSignature;
  table->entry_count = 2;
  table->entries[0] = {kBatRegion, wanted.bat_offset(), static_cast<uint32_t>(wanted.bat_length()),
                       0};
  table->entries[1] = {kMetadataRegion, wanted.metadata_offset(), kMetadataLength, 0};
  set_checksum(table.get(), sizeof *table);
  for (const uint64_t offset : kRegionTableOffsets)
    INSTAR_CHECK(file.write(call, offset, table.get(), sizeof *table));
  return {};
}

/** @param parent the parent locator's item, or nothing */
Status write_metadata(const Call& call, HostFile& file, const Wanted& wanted,
                      const std::vector<uint8_t>& parent) {
  struct Items {
    FileParameters parameters;
    Le<uint64_t> size;
    Guid id;
    Le<uint32_t> logical_sector_size;
    Le<uint32_t> physical_sector_size;
  } items;
  static_assert(sizeof items == 40, "items");
  items.parameters.block_size = wanted.block_size;
  items.parameters.flags = wanted.fixed ? kLeaveBlocksAllocated : 0;
  if (!parent.empty()) items.parameters.flags = kHasParent;
  items.size = wanted.size;
  items.id = sdk::random_uuid();
  items.logical_sector_size = items.physical_sector_size = kSectorSize;

  const auto table = std::make_unique<MetadataTable>();
  std::memcpy(table->signature, kMetadataSignature, sizeof table->signature);
  uint32_t offset = kItemsOffset;
  const auto add = [&](const Guid& item, uint32_t length, uint32_t flags) {
    const uint16_t count = table->entry_count;
    table->entries[count] = {item, offset, length, flags | kIsRequired, 0};
    table->entry_count = static_cast<uint16_t>(count + 1);
    offset += length;
  };
  add(kFileParameters, sizeof items.parameters, 0);
  add(kVirtualDiskSize, sizeof items.size, kIsVirtualDisk);
  add(kVirtualDiskId, sizeof items.id, kIsVirtualDisk);
  add(kLogicalSectorSize, sizeof items.logical_sector_size, kIsVirtualDisk);
  add(kPhysicalSectorSize, sizeof items.physical_sector_size, kIsVirtualDisk);
  if (!parent.empty()) add(kParentLocator, static_cast<uint32_t>(parent.size()), 0);
  const uint64_t place = wanted.metadata_offset() + kItemsOffset;
  INSTAR_CHECK(file.write(call, wanted.metadata_offset(), table.get(), sizeof *table));
  INSTAR_CHECK(file.write(call, place, &items, sizeof items));
  return file.write(call, place + sizeof items, parent.data(), parent.size());
}

/** All blocks in their place, one behind another, or none. */
Status write_bat(const Call& call, HostFile& file, const Wanted& wanted) {
  if (!wanted.allocated() && !wanted.zero_blocks && file.grows_with_zeroes()) return {};
  const uint64_t ratio = kSectorsPerChunk * kSectorSize / wanted.block_size;
  const uint64_t blocks = sdk::div_up(wanted.size, wanted.block_size);
  const uint64_t count = blocks == 0 ? 0 : blocks + (blocks - 1) / ratio;
  const auto absent = wanted.zero_blocks ? BlockState::kZero : BlockState::kNotPresent;
  std::vector<Le<uint64_t>> entries;
  uint64_t place = wanted.data_offset();
  for (uint64_t first = 0; first < count; first += kEntriesAtOnce) {
    entries.clear();
    for (uint64_t i = first; i < std::min(count, first + kEntriesAtOnce); ++i) {
      if (i % (ratio + 1) == ratio) {  // a sector bitmap's
        entries.emplace_back(0);
      } else if (wanted.allocated()) {
        entries.emplace_back(place | static_cast<uint64_t>(BlockState::kFullyPresent));
        place += wanted.block_size;
      } else {
        entries.emplace_back(static_cast<uint64_t>(absent));
      }
    }
    INSTAR_CHECK(file.write(call, wanted.bat_offset() + first * sizeof(uint64_t), entries.data(),
                            entries.size() * sizeof(uint64_t)));
  }
  return {};
}

}  // namespace

Status Image::create(sdk::CreateContext& context) {
  INSTAR_TRY(const Wanted wanted, parse(context.options(), context.options().number("size")));
  const Call& call = context.call();
  std::vector<uint8_t> parent;
  if (!wanted.parent.empty()) {
    INSTAR_TRY(const auto locator,
               locate_parent(context.host(), call, context.filename(), wanted.parent));
    parent = parent_item(locator);
  }
  INSTAR_TRY(const sdk::NodeRef node, context.create_file());
  INSTAR_TRY(HostFile file, HostFile::open(node, true));
  const uint64_t end = wanted.data_offset() + (wanted.allocated() ? wanted.size : 0);
  INSTAR_CHECK(file.resize(call, end, wanted.preallocation));
  INSTAR_CHECK(sdk::explained("Failed to write file signature", write_headers(call, file, wanted)));
  INSTAR_CHECK(write_regions(call, file, wanted));
  INSTAR_CHECK(write_bat(call, file, wanted));
  INSTAR_CHECK(write_metadata(call, file, wanted, parent));
  return write_identifier(call, file);
}

Result<instar_measure_result> Image::measure(sdk::Host host, const sdk::Options& options,
                                             sdk::NodeRef source) {
  INSTAR_CHECK(sdk::check_measures(host, "vhdx"));
  INSTAR_TRY(const uint64_t size, sdk::size_to_measure(options, source));
  INSTAR_TRY(const Wanted wanted, parse(options, size));
  const uint64_t begin = wanted.data_offset();
  if (wanted.allocated()) return sdk::measured(begin + wanted.size, begin + wanted.size);
  INSTAR_TRY(uint64_t used, sdk::count_data_blocks(source, size, wanted.block_size));
  const uint64_t blocks = sdk::div_up(wanted.size, wanted.block_size);
  if (source && !wanted.parent.empty()) used = blocks;  // what a backing file shares is not known
  return sdk::measured(begin + used * wanted.block_size, begin + blocks * wanted.block_size);
}

}  // namespace instar::vhdx
