// SPDX-License-Identifier: Apache-2.0
// Another size. The header of a sparse extent is one sector, and changes at once; of flat ones the
// descriptor says it.
#include <algorithm>
#include <set>

#include "plugins/formats/vmdk/beside.hpp"
#include "plugins/formats/vmdk/image.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::vmdk {

using sdk::Block;
using sdk::Call;
using sdk::fail;
using sdk::HostFile;
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

/** What has not reached the tables in the file is of what was reserved. */
Status GrainTable::take_back(const Call& call, uint64_t sectors, uint64_t end) {
  INSTAR_CHECK(shrink(call, sectors));
  next_ = sdk::round_up(end, kSector);
  return file_.resize(call, next_);
}

Status SparseMap::resize(const Call& call, uint64_t bytes, uint32_t mode) {
  const uint64_t before = size();
  uint64_t end = 0;  // of the file
  {
    const std::lock_guard lock(mutex());
    INSTAR_CHECK(begin_change(call));
    INSTAR_CHECK(write_tables(call));
    if (bytes > before) INSTAR_CHECK(clear_rest(call));
    INSTAR_CHECK(bytes > before ? table().grow(call, bytes / kSector)
                                : table().shrink(call, bytes / kSector));
    set_size(bytes);
    end = table().file().size();
  }
  Status reserved = reserve(call, before, bytes, mode);
  if (reserved) return {};
  const std::lock_guard lock(mutex());
  forget_blocks();
  if (table().take_back(call, before / kSector, end)) set_size(before);
  return reserved;
}

namespace {

size_t changed_sectors(std::string before, std::string after) {
  const size_t length = sdk::round_up(std::max(before.size(), after.size()), kSector);
  before.resize(length, '\0');
  after.resize(length, '\0');
  size_t changed = 0;
  for (size_t at = 0; at < length; at += kSector)
    changed += before.compare(at, kSector, after, at, kSector) != 0 ? 1 : 0;
  return changed;
}

}  // namespace

Status Extent::grow(const Call& call, uint64_t to, uint32_t mode) {
  if (to == size) return {};
  if (sparse) {
    INSTAR_CHECK(sparse->resize(call, to, mode));
  } else {
    const uint64_t before = flat_offset + size;
    const uint64_t after = flat_offset + to;
    // Who shrank it may not have come to an end.
    const uint64_t stale = std::min(flat.size(), after);
    if (stale > before) INSTAR_CHECK(flat.write_zeroes(call, before, stale - before, 0));
    if (after > stale) INSTAR_CHECK(flat.resize(call, after, mode));
    INSTAR_CHECK(flat.flush(call));
  }
  size = to;
  return {};
}

Status Extent::shrink(const Call& call, uint64_t to) {
  if (to == size) return {};
  INSTAR_CHECK(sparse ? sparse->resize(call, to, INSTAR_PREALLOCATION_OFF)
                      : flat.resize(call, flat_offset + to));
  size = to;
  return {};
}

/** Those whose extents are not packed, each in a file of its own. */
Status Image::check_resizes(uint64_t size) const {
  const bool flat = create_type_.ends_with("Flat");
  const bool split = create_type_.starts_with("twoGbMaxExtent");
  const bool one = create_type_ == "monolithicFlat" || create_type_ == "monolithicSparse";
  if (!split && (!one || extents_.size() != 1))
    return fail(ENOTSUP, "A vmdk image of the type '", create_type_, "' can't be resized");
  std::set<std::string_view> names;
  for (const auto& extent : extents_)
    if (!extent.is_plain(flat) || !names.insert(extent.filename).second)
      return fail(ENOTSUP, "A vmdk image with extents of other kinds can't be resized");
  return parent_cid_ != UINT32_MAX && size > this->size() ? check_parent() : Status();
}

/** What an image grows by reads as zeroes: its parent must have nothing there. */
Status Image::check_parent() const {
  if (!backing_) return fail(ENOTSUP, "An image can't grow while its parent is not open");
  INSTAR_TRY(const uint64_t end, backing_.size());
  if (end <= size()) return {};
  return fail(ENOTSUP, "An image can't grow over a parent that is longer than it");
}

/** Bytes that the last extent can have. */
uint64_t Image::most_of_last() const {
  if (extents_.empty()) return 0;
  if (!create_type_.starts_with("twoGbMaxExtent")) return UINT64_MAX;
  return std::max(extents_.back().size, kSplitBytes);
}

/** Of extents that are added. */
Result<Plan> Image::plan_of_extents(uint32_t mode) const {
  Plan plan;
  INSTAR_TRY(plan.subformat, read_subformat(create_type_));
  plan.zeroed_grain =
      !extents_.empty() && extents_.back().sparse && extents_.back().sparse->layout().zeroed_grains;
  plan.preallocation = static_cast<instar_preallocation>(mode);
  return plan;
}

/**
 * What the descriptor says is true before and after: it changes behind everything that it says more.
 * A sparse extent tells its size itself, so that an image that gets more extents may, in between, end
 * where the last of the old ones does.
 */
Status Image::grow(const Call& call, uint64_t size, uint32_t mode) {
  INSTAR_TRY(const Plan plan, plan_of_extents(mode));
  const FilesBeside files(host_, call, filename_);
  NewExtents added(files, plan, filename_);
  const size_t count = extents_.size();
  const uint64_t begin = count == 0 ? 0 : extents_.back().begin;
  const uint64_t before = count == 0 ? 0 : extents_.back().size;
  const uint64_t last = std::min(size - begin, most_of_last());
  for (uint64_t at = begin + last, number = count + 1; at < size; at += kSplitBytes, ++number)
    INSTAR_CHECK(added.make(call, number, std::min(size - at, kSplitBytes)));
  INSTAR_TRY(const Texts texts,
             changed_text(call, {count, last / kSector, added.lines(), size / kSector}));
  Status grown = count == 0 ? Status() : extents_.back().grow(call, last, mode);
  if (grown) grown = open_extents(call, added.lines());
  if (!grown) {
    while (extents_.size() > count)
      extents_.pop_back();
    if (count != 0) (void)static_cast<bool>(extents_.back().shrink(call, before));
    return grown;
  }
  // Whether what fails now has happened is not known.
  added.keep();
  return change_text(call, texts);
}

/** As the descriptor is going to have them. */
Status Image::open_extents(const Call& call, const std::string& lines) {
  const instar_open_args args = late_arguments();
  sdk::OpenContext context(host_.abi(), call, &args);
  INSTAR_TRY(const auto added, parse_extents(lines));
  for (const auto& line : added) {
    INSTAR_CHECK(open_extent(context, line));
    INSTAR_CHECK(show_backing(extents_.back()));
  }
  return {};
}

/** The descriptor first: from then on, nothing that is given up belongs to the image. */
Status Image::shrink(const Call& call, uint64_t size) {
  const auto count =
      static_cast<size_t>(&extent_at(std::max<uint64_t>(size, 1) - 1) - extents_.data()) + 1;
  const uint64_t last = size - extents_[count - 1].begin;
  INSTAR_TRY(const Texts texts, changed_text(call, {count, last / kSector, "", size / kSector}));
  INSTAR_CHECK(change_text(call, texts));
  std::vector<std::string> unused;
  for (; extents_.size() > count; extents_.pop_back())
    unused.push_back(extents_.back().reference);
  INSTAR_CHECK(extents_.back().shrink(call, last));
  const FilesBeside files(host_, call, filename_);
  for (const std::string& name : unused)
    files.remove(name);
  return {};
}

Result<Image::Texts> Image::changed_text(const Call& call, const ExtentChange& change) {
  Texts texts;
  INSTAR_TRY(texts.before, descriptor_text(call));
  INSTAR_TRY(texts.after, replace_extents(texts.before, change));
  if (texts.after.size() <= most_descriptor()) return texts;
  return fail(EFBIG, "The descriptor of so many extents is too long");
}

/** One that is all in one sector changes there; another replaces the file where it can. Either happens
 * at once. */
Status Image::change_text(const Call& call, const Texts& texts) {
  const std::lock_guard lock(mutex_);
  const FilesBeside files(host_, call, filename_);
  if (!has_descriptor_inside() && changed_sectors(texts.before, texts.after) > 1) {
    auto staged = files.stage();
    if (staged) return replace_file(call, files, *staged, texts.after);
    if (staged.error().code != ENOTSUP) return std::move(staged).error();
  }
  INSTAR_CHECK(file_.flush(call));
  INSTAR_CHECK(write_descriptor(call, texts.after));
  return file_.flush(call);
}

/** It is open, and locked, before it is seen. */
Status Image::replace_file(const Call& call, const FilesBeside& files, const std::string& staged,
                           const std::string& text) {
  const auto fill = [&]() -> Result<HostFile> {
    const instar_open_args args = late_arguments();
    const sdk::OpenContext context(host_.abi(), call, &args);
    INSTAR_TRY(const sdk::NodeRef node,
               context.child("descriptor", INSTAR_CHILD_FILE, staged.c_str(), nullptr,
                             INSTAR_CHILD_PROTOCOL | INSTAR_CHILD_USER_NAME));
    INSTAR_TRY(HostFile file, HostFile::open(node, !context.has_flag(INSTAR_OPEN_NO_FLUSH)));
    INSTAR_CHECK(file.write(call, 0, text.data(), text.size()));
    INSTAR_CHECK(file.flush(call));
    return file;
  };
  auto file = fill();
  if (!file) {
    files.remove_staged(staged);
    return std::move(file).error();
  }
  Status settled = files.settle(staged);
  if (settled)
    file_ = *std::move(file);
  else
    files.remove_staged(staged);
  return settled;
}

/** For children that are opened when the image is open already. */
instar_open_args Image::late_arguments() const {
  instar_open_args args{};
  args.struct_size = sizeof args;
  args.flags = flags_;
  args.filename = filename_.c_str();
  args.opener = opener_;
  return args;
}

Status Image::resize(const Call& call, uint64_t size, uint32_t mode, uint32_t,
                     const instar_progress*) {
  if (size > INT64_MAX - (kSector - 1)) return fail(EINVAL, "The image size is too large");
  size = sdk::round_up(size, kSector);
  INSTAR_CHECK(check_resizes(size));
  INSTAR_CHECK(sdk::check_file_preallocation(mode));
  if (size == this->size()) return {};
  INSTAR_CHECK(begin_change(call));
  return size > this->size() ? grow(call, size, mode) : shrink(call, size);
}

}  // namespace instar::vmdk
