// SPDX-License-Identifier: Apache-2.0
// Another size of an image with one extent. The header of a sparse one is one sector, and changes at
// once; that of a flat one is the descriptor.
#include "plugins/formats/vmdk/image.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::vmdk {

using sdk::Block;
using sdk::Call;
using sdk::fail;
using sdk::Result;
using sdk::Status;

/** A larger copy at the end of the file, with tables that are empty; the sector where it begins. */
Result<uint64_t> GrainTable::copy_directory(const Call& call, uint64_t directory,
                                            uint64_t entries) {
  const uint64_t bytes = sdk::round_up(entries * sizeof(uint32_t), kSector);
  const uint64_t tables = entries - layout_.gd_entries;
  INSTAR_TRY(const uint64_t place, allocate_bytes(bytes + tables * layout_.table_bytes()));
  std::vector<Le<uint32_t>> copy;
  for (uint64_t i = 0; i < entries; ++i) {
    uint64_t sector = (place + bytes + (i - layout_.gd_entries) * layout_.table_bytes()) / kSector;
    if (i < layout_.gd_entries) {
      INSTAR_TRY(sector, table_sector(call, directory, i * layout_.table_entries));
    }
    copy.emplace_back(static_cast<uint32_t>(sector));
  }
  copy.resize(bytes / sizeof(uint32_t));
  INSTAR_CHECK(file_.write(call, place, copy.data(), bytes));
  INSTAR_CHECK(file_.write_zeroes(call, place + bytes, tables * layout_.table_bytes(), 0));
  return place;
}

/** Behind a barrier, and before one. */
Status GrainTable::write_layout(const Call& call, const GrainLayout& layout) {
  SparseHeader header;
  INSTAR_CHECK(file_.read(call, 0, &header, sizeof header));
  header.capacity = layout.sectors;
  header.gd_offset = layout.gd_offset / kSector;
  if (layout.rgd_offset != 0) header.rgd_offset = layout.rgd_offset / kSector;
  INSTAR_CHECK(file_.flush(call));
  INSTAR_CHECK(file_.write(call, 0, &header, sizeof header));
  INSTAR_CHECK(file_.flush(call));
  layout_ = layout;
  gd_offset_ = layout.gd_offset;
  directory_.clear();
  tables_.clear();
  return {};
}

/** Grains [first, end) are absent from now on. Where they lay. */
Result<std::vector<uint64_t>> GrainTable::unlink_grains(const Call& call, uint64_t first,
                                                        uint64_t end) {
  std::vector<uint64_t> free;
  uint64_t step = 1;
  for (uint64_t grain = first; grain < end; grain += step) {
    INSTAR_TRY(const Block block, lookup(call, grain));
    step = block.count;
    if (block.kind == Block::Kind::kAbsent) continue;
    if (block.kind == Block::Kind::kData) free.push_back(block.offset);
    INSTAR_CHECK(store(call, grain, {}));
    if (crowded()) INSTAR_CHECK(write_back(call));
  }
  INSTAR_CHECK(write_back(call));
  INSTAR_CHECK(file_.flush(call));
  return free;
}

Status GrainTable::grow(const Call& call, uint64_t sectors) {
  // Who shrank it may not have come to an end.
  INSTAR_CHECK(unlink_grains(call, sdk::div_up(layout_.sectors, layout_.grain_sectors),
                             layout_.gd_entries * layout_.table_entries));
  GrainLayout layout = layout_;
  layout.sectors = sectors;
  layout.gd_entries = sdk::div_up(sectors, layout.table_entries * layout.grain_sectors);
  if (layout.gd_entries > kMostL1Entries) return fail(EINVAL, "L1 size too big");
  if (layout.gd_entries > layout_.gd_entries) {
    const bool two = layout.rgd_offset != 0 && layout.rgd_offset != layout.gd_offset;
    INSTAR_TRY(layout.gd_offset, copy_directory(call, layout_.gd_offset, layout.gd_entries));
    if (layout.rgd_offset != 0) layout.rgd_offset = layout.gd_offset;
    if (two) {
      INSTAR_TRY(layout.rgd_offset, copy_directory(call, layout_.rgd_offset, layout.gd_entries));
    }
  }
  return write_layout(call, layout);
}

/** Grains that are given up become holes. */
Status GrainTable::shrink(const Call& call, uint64_t sectors) {
  const uint64_t before = sdk::div_up(layout_.sectors, layout_.grain_sectors);
  GrainLayout layout = layout_;
  layout.sectors = sectors;
  INSTAR_CHECK(write_layout(call, layout));
  INSTAR_TRY(const std::vector<uint64_t> free,
             unlink_grains(call, sdk::div_up(sectors, layout.grain_sectors), before));
  for (const uint64_t offset : free)
    INSTAR_CHECK(file_.discard(call, offset, layout_.grain_bytes()));
  return {};
}

Status SparseMap::resize(const Call& call, uint64_t bytes, uint32_t mode) {
  const uint64_t before = size();
  {
    const std::lock_guard lock(mutex());
    INSTAR_CHECK(begin_change(call));
    INSTAR_CHECK(write_tables(call));
    if (bytes > before) INSTAR_CHECK(clear_rest(call));
    INSTAR_CHECK(bytes > before ? table().grow(call, bytes / kSector)
                                : table().shrink(call, bytes / kSector));
    set_size(bytes);
  }
  return reserve(call, before, bytes, mode);
}

/** Those with one extent that is not packed. */
Status Image::check_resizes() const {
  if (parent_cid_ != UINT32_MAX) return fail(ENOTSUP, "An image with a parent can't be resized");
  const bool flat = create_type_ == "monolithicFlat";
  if (extents_.size() != 1 || (!flat && create_type_ != "monolithicSparse") ||
      static_cast<bool>(extents_[0].sparse) == flat)
    return fail(ENOTSUP, "A vmdk image of the type '", create_type_, "' can't be resized");
  return {};
}

/** What the descriptor says is true before and after: its file is never shorter than that. */
Status Image::resize_flat(const Call& call, uint64_t size, uint32_t mode) {
  Extent& extent = extents_.front();
  const uint64_t end = extent.flat_offset + size;
  if (size > extent.size) INSTAR_CHECK(extent.flat.resize(call, end, mode));
  INSTAR_CHECK(extent.flat.flush(call));
  INSTAR_CHECK(write_size(call, size));
  return size < extent.size ? extent.flat.resize(call, end) : Status{};
}

Status Image::write_size(const Call& call, uint64_t size) {
  const std::lock_guard lock(mutex_);
  INSTAR_TRY(const std::string text, descriptor_text(call));
  INSTAR_CHECK(
      write_descriptor(call, replace_size(text, extents_.front().size / kSector, size / kSector)));
  return file_.flush(call);
}

Status Image::resize(const Call& call, uint64_t size, uint32_t mode, uint32_t,
                     const instar_progress*) {
  INSTAR_CHECK(check_resizes());
  INSTAR_CHECK(sdk::check_file_preallocation(mode));
  if (size > INT64_MAX - (kSector - 1)) return fail(EINVAL, "The image size is too large");
  size = sdk::round_up(size, kSector);
  Extent& extent = extents_.front();
  if (size == extent.size) return {};
  INSTAR_CHECK(begin_change(call));
  if (extent.sparse) {
    INSTAR_CHECK(extent.sparse->resize(call, size, mode));
    INSTAR_CHECK(write_size(call, size));
  } else {
    INSTAR_CHECK(resize_flat(call, size, mode));
  }
  extent.size = size;
  return {};
}

}  // namespace instar::vmdk
