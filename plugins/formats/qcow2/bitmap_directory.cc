// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/bitmap_directory.hpp"

#include <algorithm>
#include <cstring>

namespace instar::qcow2 {
namespace {

constexpr uint32_t kKnownFlags = kBitmapInUse | kBitmapAuto;
constexpr uint8_t kDirtyTracking = 1;
constexpr uint64_t kTableReserved = 0xff000000000001fe;
constexpr uint32_t kMaxTable = 0x8000000;

/** Whether an entry says what an entry may say. */
bool is_good(const BitmapDirectoryEntry& entry, const Geometry& geometry, uint64_t size) {
  const uint64_t offset = entry.bitmap_table_offset;
  const uint32_t table = entry.bitmap_table_size;
  const uint32_t granularity = entry.granularity_bits;
  if (offset == 0 || geometry.in_cluster(offset) != 0 || table == 0 || table > kMaxTable ||
      granularity < kMinGranularityBits || granularity > kMaxGranularityBits ||
      (entry.flags & ~kKnownFlags) != 0 || entry.name_size > kMaxBitmapName ||
      entry.type != kDirtyTracking)
    return false;
  if (uint64_t{table} << geometry.cluster_bits > kMaxBitmapBytes) return false;
  return (entry.flags & kBitmapInUse) != 0 || table >= bitmap_clusters(geometry, size, granularity);
}

}  // namespace

uint64_t bitmap_clusters(const Geometry& geometry, uint64_t size, uint32_t granularity_bits) {
  const uint64_t bits = sdk::div_up(size, uint64_t{1} << granularity_bits);
  return geometry.clusters(sdk::div_up(bits, 8));
}

uint64_t bitmap_record_bytes(std::string_view name) {
  return sdk::round_up(sizeof(BitmapDirectoryEntry) + name.size(), 8);
}

Result<std::vector<BitmapRecord>> read_bitmap_directory(const Call& call, const HostFile& file,
                                                        const Geometry& geometry,
                                                        const BitmapsExtension& extension,
                                                        uint64_t size) {
  const uint64_t length = extension.bitmap_directory_size;
  if (length == 0) return fail(EINVAL, "Requested bitmap_directory_size is zero");
  const auto broken = fail(EINVAL, "Broken bitmap directory");
  std::vector<uint8_t> bytes(length);
  INSTAR_CHECK(file.read(call, extension.bitmap_directory_offset, bytes.data(), bytes.size()));
  std::vector<BitmapRecord> records;
  size_t at = 0;
  while (at < length) {
    BitmapDirectoryEntry entry;
    if (length - at < sizeof entry) return broken;
    if (records.size() == extension.nb_bitmaps)
      return fail(EINVAL, "More bitmaps found than specified in header extension");
    std::memcpy(&entry, bytes.data() + at, sizeof entry);
    const uint64_t extra = entry.extra_data_size;
    const uint64_t whole = sdk::round_up(sizeof entry + extra + entry.name_size, 8);
    // QEMU counts in 32 bits, and so takes huge extra data for what it is.
    if (whole > length - at && whole <= INT32_MAX) return broken;
    if (extra != 0) return fail(EINVAL, "Bitmap extra data is not supported");
    std::string name(reinterpret_cast<const char*>(bytes.data()) + at + sizeof entry,
                     entry.name_size);
    name.resize(std::min(name.find('\0'), name.size()));
    if (!is_good(entry, geometry, size))
      return fail(EINVAL, "Bitmap '", name, "' doesn't satisfy the constraints");
    records.push_back({entry.bitmap_table_offset, entry.bitmap_table_size, entry.flags,
                       entry.granularity_bits, std::move(name)});
    at += whole;
  }
  if (records.size() != extension.nb_bitmaps)
    return fail(EINVAL, "Less bitmaps found than specified in header extension");
  return records;
}

std::vector<uint8_t> serialize_bitmap_directory(const std::vector<BitmapRecord>& records) {
  std::vector<uint8_t> out;
  for (const auto& record : records) {
    BitmapDirectoryEntry entry{};
    entry.bitmap_table_offset = record.table_offset;
    entry.bitmap_table_size = record.table_entries;
    entry.flags = record.flags;
    entry.type = kDirtyTracking;
    entry.granularity_bits = static_cast<uint8_t>(record.granularity_bits);
    entry.name_size = static_cast<uint16_t>(record.name.size());
    const auto* bytes = reinterpret_cast<const uint8_t*>(&entry);
    out.insert(out.end(), bytes, bytes + sizeof entry);
    out.insert(out.end(), record.name.begin(), record.name.end());
    out.resize(sdk::round_up(out.size(), 8));
  }
  return out;
}

Result<std::vector<uint64_t>> read_bitmap_table(const Call& call, const HostFile& file,
                                                const Geometry& geometry,
                                                const BitmapRecord& record) {
  std::vector<uint64_t> table(record.table_entries);
  INSTAR_CHECK(file.read(call, record.table_offset, table.data(), table.size() * 8));
  for (auto& entry : table) {
    entry = load_be<uint64_t>(&entry);
    const uint64_t offset = entry & kEntryOffsetMask;
    const bool good = (entry & kTableReserved) == 0 &&
                      (offset == 0 || (offset == entry && geometry.in_cluster(offset) == 0));
    if (!good)
      return fail(EINVAL, "Could not read bitmap_table table from image for bitmap '", record.name,
                  "': ", sdk::errno_text(EINVAL));
  }
  return table;
}

}  // namespace instar::qcow2
