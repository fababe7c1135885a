// SPDX-License-Identifier: Apache-2.0
// Another size of the disk. It changes through the log, at once with the place of the table if that has
// to be larger; nobody looks at what is prepared before that.
#include "plugins/formats/vhdx/checksum.hpp"
#include "plugins/formats/vhdx/image.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::vhdx {

using sdk::Call;
using sdk::fail;
using sdk::Status;

/** What was set in the cache as well, in one entry of the log. */
Status BlockTable::write_size(const Call& call, const Metadata& metadata) {
  INSTAR_CHECK(image_->cache.set(call, metadata.size_offset, Le<uint64_t>(metadata.size)));
  INSTAR_CHECK(file().flush(call));
  INSTAR_CHECK(write_back(call));
  INSTAR_CHECK(file().flush(call));
  metadata_ = metadata;
  return {};
}

/** Both region tables say where the block allocation table is. */
Status BlockTable::set_region(const Call& call, const Metadata& metadata) {
  const auto table = std::make_unique<RegionTable>();
  for (const uint64_t offset : kRegionTableOffsets) {
    INSTAR_CHECK(image_->cache.read(call, offset, table.get(), sizeof *table));
    for (uint32_t i = 0; i < std::min<uint32_t>(table->entry_count, kMostRegions); ++i) {
      RegionEntry& entry = table->entries[i];
      if (entry.guid != kBatRegion) continue;
      entry.file_offset = metadata.bat_offset;
      entry.length = static_cast<uint32_t>(metadata.bat_length);
    }
    set_checksum(table.get(), sizeof *table);
    INSTAR_CHECK(image_->cache.write(call, offset, table.get(), sizeof *table));
  }
  return {};
}

/** A larger copy goes to the file's end. */
Status BlockTable::move_bat(const Call& call, Metadata& metadata) {
  const uint64_t old = metadata.bat_offset;
  const uint64_t used = metadata_.entries() * sizeof(uint64_t);
  const uint64_t length = sdk::round_up(metadata.entries() * sizeof(uint64_t), kMiB);
  bool zeroes = false;
  INSTAR_TRY(const uint64_t place, take_space(call, length, zeroes));
  std::vector<uint8_t> bytes(kMiB);
  for (uint64_t at = 0; at < length; at += kMiB) {
    const auto n = static_cast<size_t>(at < used ? std::min(used - at, kMiB) : 0);
    INSTAR_CHECK(image_->cache.read(call, old + at, bytes.data(), n));
    std::fill(bytes.begin() + static_cast<int64_t>(n), bytes.end(), uint8_t{0});
    INSTAR_CHECK(file().write(call, place + at, bytes.data(), bytes.size()));
  }
  image_->cache.clear();
  metadata.bat_offset = place;
  metadata.bat_length = length;
  for (Area& area : metadata.areas)
    if (area.begin == old) area = {place, place + length};
  return set_region(call, metadata);
}

Status BlockTable::grow(const Call& call, uint64_t size) {
  Metadata grown = metadata_;
  grown.size = size;
  const uint64_t used = metadata_.entries() * sizeof(uint64_t);
  const uint64_t needed = grown.entries() * sizeof(uint64_t);
  if (needed > grown.bat_length) {
    INSTAR_CHECK(move_bat(call, grown));
  } else if (needed > used) {
    INSTAR_CHECK(file().write_zeroes(call, grown.bat_offset + used, needed - used, 0));
    image_->cache.clear();
  }
  return write_size(call, grown);
}

/** No entry of the log may ask for a longer file. */
Status BlockTable::cut_file(const Call& call, uint64_t end) {
  if (end >= file().size()) return {};
  INSTAR_CHECK(end_writing(call));
  INSTAR_CHECK(file().resize(call, end));
  INSTAR_CHECK(file().flush(call));
  return start_log(call);
}

/** Blocks that are given up become holes; those at the end go. */
Status BlockTable::shrink(const Call& call, uint64_t size) {
  const uint64_t before = metadata_.blocks();
  Metadata shrunk = metadata_;
  shrunk.size = size;
  INSTAR_CHECK(write_size(call, shrunk));
  std::vector<uint64_t> free;
  for (uint64_t block = metadata_.blocks(); block < before; ++block) {
    const uint64_t index = metadata_.entry_of(block);
    INSTAR_TRY(const uint64_t value, entry(call, index));
    if (value == 0) continue;
    const auto kind = static_cast<BlockState>(value & kStateMask);
    if (kind == BlockState::kFullyPresent) free.push_back(value & kOffsetMask);
    INSTAR_CHECK(set_entry(call, index, 0, BlockState::kNotPresent));
    if (crowded()) INSTAR_CHECK(write_back(call));
  }
  INSTAR_CHECK(write_back(call));
  INSTAR_CHECK(file().flush(call));
  std::sort(free.begin(), free.end(), std::greater<>());
  for (const uint64_t offset : free) {
    if (offset + metadata_.block_size == end_)
      end_ = offset;
    else
      INSTAR_CHECK(file().discard(call, offset, metadata_.block_size));
  }
  return cut_file(call, end_);
}

Status Image::resize(const Call& call, uint64_t size, uint32_t mode, uint32_t,
                     const instar_progress*) {
  INSTAR_CHECK(sdk::check_file_preallocation(mode));
  const Metadata& metadata = table().metadata();
  if (metadata.has_parent) return fail(ENOTSUP, "An image with a parent can't be resized");
  if (size > kMostBytes) return fail(EINVAL, "Image size too large; max of 64TB");
  size = sdk::round_up(size, metadata.sector_size);
  const uint64_t before = this->size();
  if (size == before) return {};
  {
    const std::lock_guard lock(mutex());
    INSTAR_CHECK(begin_change(call));
    INSTAR_CHECK(write_tables(call));
    if (size > before) INSTAR_CHECK(clear_rest(call));
    INSTAR_CHECK(size > before ? table().grow(call, size) : table().shrink(call, size));
    set_size(size);
  }
  if (mode == INSTAR_PREALLOCATION_OFF && metadata.leaves_allocated)
    mode = INSTAR_PREALLOCATION_METADATA;
  return reserve(call, before, size, mode);
}

}  // namespace instar::vhdx
