// SPDX-License-Identifier: Apache-2.0
// Another size of the disk, or another parent. The footer at the beginning of the file says what it is, or that at the end
// of a fixed one; the table has room for the larger of both sizes when it does.
#include "plugins/formats/vpc/image.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::vpc {

using sdk::Call;
using sdk::fail;
using sdk::Status;

/** The dynamic header's first sector is all that changes of it. */
Status BlockTable::write_dynamic_header(const Call& call) {
  INSTAR_CHECK(file_.flush(call));
  header_.dynamic.checksum = checksum_of(header_.dynamic);
  INSTAR_CHECK(file_.write(call, header_.footer.data_offset, &header_.dynamic, kSectorSize));
  cache_.clear();
  return file_.flush(call);
}

Status BlockTable::write_front(const Call& call, const Footer& footer) {
  INSTAR_CHECK(file_.write(call, 0, &footer, sizeof footer));
  header_.footer = footer;
  cache_.clear();
  return file_.flush(call);
}

/** In its place as far as that is wide; else a copy stands where the footer was. */
Status BlockTable::grow_table(const Call& call, uint32_t blocks) {
  DynamicHeader& dynamic = header_.dynamic;
  const uint32_t before = dynamic.max_table_entries;
  const uint64_t bytes = sdk::round_up(uint64_t{blocks} * sizeof(uint32_t), kSectorSize);
  const bool moves = dynamic.table_offset + blocks * sizeof(uint32_t) > header_.table_end();
  const uint64_t place = moves ? end_ : uint64_t{dynamic.table_offset};
  if (place > INT64_MAX - bytes) return fail(EFBIG, sdk::errno_text(EFBIG));
  std::vector<Be<uint32_t>> entries;
  for (uint64_t block = 0; block < bytes / sizeof(uint32_t);) {
    const uint64_t first = block;
    entries.clear();
    for (; block < bytes / sizeof(uint32_t) && entries.size() < kDefaultBlockSize / 4; ++block) {
      uint32_t sector = kUnallocated;
      if (block < before) {
        INSTAR_TRY(sector, entry(call, block));
      }
      entries.emplace_back(sector);
    }
    INSTAR_CHECK(file_.write(call, place + first * sizeof(uint32_t), entries.data(),
                             entries.size() * sizeof(uint32_t)));
  }
  if (moves) {
    end_ = place + bytes;
    INSTAR_CHECK(file_.write(call, end_, &header_.footer, sizeof header_.footer));
  }
  dynamic.table_offset = place;
  dynamic.max_table_entries = blocks;
  return write_dynamic_header(call);
}

/** From `first` on. Where they lay. */
sdk::Result<std::vector<uint64_t>> BlockTable::unlink_blocks(const Call& call, uint32_t first) {
  std::vector<uint64_t> free;
  for (uint32_t block = first; block < header_.dynamic.max_table_entries; ++block) {
    INSTAR_TRY(const uint32_t sector, entry(call, block));
    if (sector == kUnallocated) continue;
    free.push_back(uint64_t{sector} * kSectorSize);
    const uint64_t position = header_.dynamic.table_offset + block * sizeof(uint32_t);
    INSTAR_CHECK(cache_.set(call, position, Be<uint32_t>(kUnallocated)));
  }
  INSTAR_CHECK(cache_.write_back(call));
  INSTAR_CHECK(file_.flush(call));
  cache_.clear();
  return free;
}

/** Blocks that are given up become holes; those at the end go. */
Status BlockTable::shrink_table(const Call& call, uint32_t blocks) {
  const uint64_t block_bytes = header_.bitmap_size() + header_.block_size();
  INSTAR_TRY(const std::vector<uint64_t> free, unlink_blocks(call, blocks));
  header_.dynamic.max_table_entries = blocks;
  INSTAR_CHECK(write_dynamic_header(call));
  INSTAR_CHECK(find_end(call));
  for (const uint64_t offset : free)
    if (offset < end_) INSTAR_CHECK(file_.discard(call, offset, block_bytes));
  return {};
}

/** The footer stands behind the last block, and nothing behind it. */
Status BlockTable::end_file(const Call& call) {
  INSTAR_CHECK(file_.write(call, end_, &header_.footer, sizeof header_.footer));
  return file_.resize(call, end_ + sizeof header_.footer);
}

/** The file always ends with a footer: that of the new size is written, and behind it there is
 * nothing, before the old one is gone. */
Status BlockTable::resize_fixed(const Call& call, const Footer& footer, uint64_t size) {
  const uint64_t before = header_.size;
  INSTAR_CHECK(file_.write(call, size, &footer, sizeof footer));
  INSTAR_CHECK(file_.flush(call));
  if (size < before) return file_.resize(call, size + sizeof footer);
  return file_.write_zeroes(call, before, sizeof footer, 0);
}

Status BlockTable::resize(const Call& call, const Footer& footer, uint64_t size) {
  if (header_.fixed()) {
    INSTAR_CHECK(resize_fixed(call, footer, size));
    header_.footer = footer;
  } else {
    const auto blocks = static_cast<uint32_t>(sdk::div_up(size, header_.block_size()));
    // Who shrank it may not have come to an end.
    const auto used = static_cast<uint32_t>(sdk::div_up(header_.size, header_.block_size()));
    if (size > header_.size) INSTAR_CHECK(unlink_blocks(call, used));
    if (blocks > header_.dynamic.max_table_entries) INSTAR_CHECK(grow_table(call, blocks));
    INSTAR_CHECK(write_front(call, footer));
    if (blocks < header_.dynamic.max_table_entries && size < header_.size)
      INSTAR_CHECK(shrink_table(call, blocks));
    INSTAR_CHECK(end_file(call));
  }
  header_.size = size;
  return file_.flush(call);
}

Status Image::resize(const Call& call, uint64_t size, uint32_t mode, uint32_t,
                     const instar_progress*) {
  const Header& header = table().header();
  INSTAR_CHECK(sdk::check_file_preallocation(mode));
  if (header.differencing()) return fail(ENOTSUP, "An image with a parent can't be resized");
  if (header.fixed() && header.dynamic.table_offset != 0)
    return fail(ENOTSUP, "A fixed image with a footer at its beginning can't be resized");
  INSTAR_TRY(const Footer footer, resized_footer(header, size));
  size = size_by(footer, header.by_geometry);
  const uint64_t before = this->size();
  if (size == before) return {};
  {
    const std::lock_guard lock(mutex());
    INSTAR_CHECK(begin_change(call));
    INSTAR_CHECK(write_tables(call));
    if (size > before && !header.fixed()) INSTAR_CHECK(clear_rest(call));
    INSTAR_CHECK(table().resize(call, footer, size));
    set_size(size);
  }
  return reserve(call, before, size, mode);
}

Status BlockTable::forget_blocks(const Call& call) {
  INSTAR_CHECK(unlink_blocks(call, 0));
  INSTAR_CHECK(find_end(call));
  INSTAR_CHECK(end_file(call));
  return file_.flush(call);
}

Status BlockTable::change_parent(const Call& call, const ParentFields& parent) {
  const ParentLocator place = place_of_path(header_.dynamic);
  DynamicHeader changed = header_.dynamic;
  INSTAR_CHECK(record_parent(changed, parent, place.data_offset, place.data_space));
  INSTAR_CHECK(file_.write(call, place.data_offset, parent.path.data(), parent.path.size()));
  INSTAR_CHECK(file_.flush(call));
  INSTAR_CHECK(file_.write(call, header_.footer.data_offset, &changed, sizeof changed));
  header_.dynamic = changed;
  cache_.clear();
  return file_.flush(call);
}

Status Image::change_backing(const Call& call, const char* name, const char* format) {
  if (name == nullptr || *name == '\0') return fail(ENOTSUP, "The image can't be without a parent");
  if (format != nullptr && std::string_view(format) != "vpc")
    return fail(EINVAL, "The parent of a vpc image has to be one");
  INSTAR_TRY(const auto parent, parent_fields(host_, call, filename_, name));
  const std::lock_guard lock(mutex());
  INSTAR_CHECK(begin_change(call));
  INSTAR_CHECK(write_tables(call));
  INSTAR_CHECK(table().change_parent(call, parent));
  parent_name_ = name;
  return {};
}

/** Its parent may have just been changed. */
Status Image::make_empty(const Call& call) {
  {
    const std::lock_guard lock(mutex());
    INSTAR_CHECK(begin_change(call));
    INSTAR_CHECK(write_tables(call));
    INSTAR_CHECK(table().forget_blocks(call));
  }
  return change_backing(call, parent_name_.c_str(), nullptr);
}

}  // namespace instar::vpc
