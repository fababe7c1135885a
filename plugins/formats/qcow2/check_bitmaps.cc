// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/checker.hpp"

namespace instar::qcow2 {
namespace {
constexpr uint32_t kMaxTableEntries = 0x8000000;
constexpr uint64_t kMaxBitmapBytes = 0x20000000;
constexpr uint32_t kMinGranularityBits = 9;
constexpr uint32_t kMaxGranularityBits = 31;
constexpr uint32_t kMaxName = 1023;
constexpr uint8_t kDirtyTracking = 1;
constexpr uint64_t kTableEntryReserved = 0xff000000000001fe;
}  // namespace

bool Checker::is_valid(const BitmapDirectoryEntry& bitmap) const {
  const uint64_t offset = bitmap.bitmap_table_offset;
  const uint64_t bytes = uint64_t{bitmap.bitmap_table_size} << geometry_.cluster_bits;
  const uint32_t flags = bitmap.flags;
  if (bitmap.bitmap_table_size == 0 || bitmap.bitmap_table_size > kMaxTableEntries || offset == 0 ||
      geometry_.in_cluster(offset) != 0 || bitmap.granularity_bits < kMinGranularityBits ||
      bitmap.granularity_bits > kMaxGranularityBits ||
      (flags & ~uint32_t{kBitmapInUse | kBitmapAuto}) != 0 || bitmap.name_size > kMaxName ||
      bitmap.type != kDirtyTracking || bitmap.extra_data_size != 0 || bytes > kMaxBitmapBytes)
    return false;
  // One in use may have been left behind by a resize.
  return (flags & kBitmapInUse) != 0 || image_.header.size <= (bytes * 8)
                                                                  << bitmap.granularity_bits;
}

Status Checker::count_bitmap(const BitmapDirectoryEntry& bitmap) {
  std::vector<uint64_t> table(bitmap.bitmap_table_size);
  count_range(bitmap.bitmap_table_offset, table.size() * 8);
  Status good = image_.file.read(call_, bitmap.bitmap_table_offset, table.data(), table.size() * 8);
  for (auto& entry : table) {
    entry = load_be<uint64_t>(&entry);
    const uint64_t offset = entry & kEntryOffsetMask;
    if ((entry & kTableEntryReserved) != 0 || geometry_.in_cluster(offset) != 0 ||
        (offset != 0 && (entry & 1) != 0))
      good = fail(EINVAL, sdk::errno_text(EINVAL));
  }
  if (!good) {
    ++result_.corruptions;
    return good;
  }
  for (const uint64_t entry : table)
    if (const uint64_t offset = entry & kEntryOffsetMask)
      count_range(offset, geometry_.cluster_size);
  return {};
}

Status Checker::count_bitmaps() {
  if (!image_.header.bitmaps) return {};
  const BitmapsExtension& extension = *image_.header.bitmaps;
  const uint64_t size = extension.bitmap_directory_size;
  count_range(extension.bitmap_directory_offset, size);
  std::vector<uint8_t> directory(size);
  const auto broken = [&] {
    ++result_.corruptions;
    return fail(EINVAL, sdk::errno_text(EINVAL));
  };
  if (size == 0 || !image_.file.read(call_, extension.bitmap_directory_offset, directory.data(),
                                     directory.size()))
    return broken();
  std::vector<BitmapDirectoryEntry> bitmaps;
  for (uint64_t at = 0; at < size;) {
    BitmapDirectoryEntry entry;
    if (size - at < sizeof entry || bitmaps.size() >= extension.nb_bitmaps) return broken();
    std::memcpy(&entry, directory.data() + at, sizeof entry);
    const uint64_t length =
        sdk::round_up(sizeof entry + uint64_t{entry.extra_data_size} + entry.name_size, 8);
    if (length > size - at || !is_valid(entry)) return broken();
    bitmaps.push_back(entry);
    at += length;
  }
  if (bitmaps.size() != extension.nb_bitmaps) return broken();
  for (const auto& bitmap : bitmaps)
    INSTAR_CHECK(count_bitmap(bitmap));
  return {};
}

}  // namespace instar::qcow2
