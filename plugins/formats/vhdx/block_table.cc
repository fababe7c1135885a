// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vhdx/block_table.hpp"

#include <bit>

namespace instar::vhdx {

using sdk::Block;
using sdk::BlockPart;
using sdk::BlockSpace;
using sdk::Call;
using sdk::fail;
using sdk::Result;
using sdk::Status;

namespace {

BlockState state_of(uint64_t entry) {
  return static_cast<BlockState>(entry & kStateMask);
}

}  // namespace

Result<uint64_t> BlockTable::entry(const Call& call, uint64_t index) {
  const uint64_t position = metadata_.bat_offset + index * sizeof(uint64_t);
  INSTAR_TRY(const auto value, image_->cache.get<Le<uint64_t>>(call, position));
  return uint64_t{value};
}

Status BlockTable::set_entry(const Call& call, uint64_t index, uint64_t offset, BlockState state) {
  const Le<uint64_t> value(offset | static_cast<uint64_t>(state));
  return image_->cache.set(call, metadata_.bat_offset + index * sizeof value, value);
}

Result<Block> BlockTable::lookup(const Call& call, uint64_t block) {
  INSTAR_TRY(const uint64_t value, entry(call, metadata_.entry_of(block)));
  switch (state_of(value)) {
    case BlockState::kFullyPresent:
      return Block{Block::Kind::kData, value & kOffsetMask, 0};
    case BlockState::kPartiallyPresent:
      if (!metadata_.has_parent) break;
      return Block{Block::Kind::kPartial, value & kOffsetMask, 0};
    case BlockState::kNotPresent:
      if (metadata_.has_parent) return Block{};
      [[fallthrough]];
    case BlockState::kUndefined:
    case BlockState::kZero:
    case BlockState::kUnmapped:
    case BlockState::kUnmappedOld:
      return Block{Block::Kind::kZero, 0, 0};
  }
  return Block{Block::Kind::kBroken, 0, 0};
}

Status BlockTable::examine_entry(uint64_t index, uint64_t value, uint64_t used, uint64_t length,
                                 const Say& say, int64_t* errors) {
  const uint64_t offset = value & kOffsetMask;
  const uint64_t end = sdk::round_up(image_->end, 512);  // a length is whole sectors
  const sdk::Error failed = fail(EINVAL, sdk::errno_text(EINVAL));
  const auto found = [&](const std::string& text) {
    say(sdk::cat("VHDX BAT entry ", index, " ", text));
    if (errors != nullptr) ++*errors;
    return errors == nullptr;
  };
  const auto beyond = [&](const char* what, uint64_t at) {
    return sdk::cat(what, " offset ", at, " points after end of file (", end,
                    "). Image has probably been truncated.");
  };
  if (offset > UINT64_MAX - length && found("offset overflow.")) return failed;
  if (offset >= end) {
    if (found(beyond("start", offset))) return failed;
  } else if (used > end - offset) {
    if (found(beyond("end", offset + used - 1))) return failed;
  }
  if (auto sound = check_overlap(metadata_.areas, {offset, offset + length}, say); !sound) {
    if (errors == nullptr) return sound;
    ++*errors;
  }
  if (offset <= INT64_MAX) end_ = std::max(end_, offset + length);
  return {};
}

Status BlockTable::examine(const Call& call, const Say& say, int64_t* errors) {
  end_ = image_->end;
  for (const Area& area : metadata_.areas)
    if (area.end <= INT64_MAX) end_ = std::max(end_, area.end);
  const uint64_t ratio = metadata_.chunk_ratio();
  const uint64_t count = std::min(metadata_.entries(), metadata_.bat_length / sizeof(uint64_t));
  uint64_t block = 0;
  for (uint64_t index = 0; index < count; ++index) {
    const bool bitmap = index % (ratio + 1) == ratio;
    if (!bitmap && block >= metadata_.blocks()) continue;
    const uint64_t rest = bitmap ? kMiB : metadata_.size - block++ * metadata_.block_size;
    INSTAR_TRY(const uint64_t value, entry(call, index));
    const BlockState state = state_of(value);
    const bool counts = bitmap
                            ? metadata_.has_parent && state == BlockState::kFullyPresent
                            : state == BlockState::kFullyPresent ||
                                  (metadata_.has_parent && state == BlockState::kPartiallyPresent);
    if (!counts) continue;
    const uint64_t length = bitmap ? kMiB : metadata_.block_size;
    INSTAR_CHECK(examine_entry(index, value, std::min(rest, length), length, say, errors));
  }
  end_ = sdk::round_up(end_, kAlignment);
  return {};
}

/** The file ends behind it from now on: what is there says so to others. */
Result<uint64_t> BlockTable::take_space(const Call& call, uint64_t length, bool& zeroes) {
  const uint64_t offset = end_;
  if (offset > INT64_MAX - length) return fail(EFBIG, sdk::errno_text(EFBIG));
  zeroes = offset >= file().size() && file().grows_with_zeroes();
  if (file().size() < offset + length) INSTAR_CHECK(file().resize(call, offset + length));
  end_ = offset + length;
  return offset;
}

Result<BlockSpace> BlockTable::allocate(const Call& call, uint64_t block, uint64_t count) {
  BlockSpace space{0, count, false};
  if (in_parts()) {
    // Blocks of one chunk, whose bitmap lies before them.
    const uint64_t ratio = metadata_.chunk_ratio();
    space.count = std::min(count, ratio - block % ratio);
    for (uint64_t i = 0; i < space.count; ++i)
      INSTAR_CHECK(clear_bitmap(call, block + i));
  }
  INSTAR_TRY(space.offset, take_space(call, space.count * metadata_.block_size, space.zeroes));
  return space;
}

bool BlockTable::release(uint64_t, uint64_t offset) {
  if (offset + metadata_.block_size != end_) return false;
  end_ = offset;
  return true;
}

Status BlockTable::store(const Call& call, uint64_t block, const Block& what) {
  const uint64_t index = metadata_.entry_of(block);
  if (what.kind == Block::Kind::kZero) return set_entry(call, index, 0, BlockState::kZero);
  return set_entry(call, index, what.offset,
                   what.kind == Block::Kind::kPartial ? BlockState::kPartiallyPresent
                                                      : BlockState::kFullyPresent);
}

/** Of this block, in the bitmap block of its chunk; 0: there is none. */
Result<uint64_t> BlockTable::bitmap_of(const Call& call, uint64_t block) {
  INSTAR_TRY(const uint64_t value, entry(call, metadata_.bitmap_entry_of(block)));
  if (state_of(value) != BlockState::kFullyPresent) return uint64_t{0};
  return (value & kOffsetMask) + block % metadata_.chunk_ratio() * bitmap_bytes();
}

/** Before its block is said to be there in part, in the file as well. */
Status BlockTable::clear_bitmap(const Call& call, uint64_t block) {
  INSTAR_TRY(const uint64_t position, bitmap_of(call, block));
  if (position == 0) {
    bool zeroes = false;
    INSTAR_TRY(const uint64_t offset, take_space(call, kMiB, zeroes));
    if (!zeroes) INSTAR_CHECK(file().write_zeroes(call, offset, kMiB, 0));
    return set_entry(call, metadata_.bitmap_entry_of(block), offset, BlockState::kFullyPresent);
  }
  std::vector<uint8_t> bitmap(bitmap_bytes());
  INSTAR_CHECK(image_->cache.read(call, position, bitmap.data(), bitmap.size()));
  if (sdk::is_zero(bitmap.data(), bitmap.size())) return {};
  std::fill(bitmap.begin(), bitmap.end(), uint8_t{0});
  INSTAR_CHECK(file().write(call, position, bitmap.data(), bitmap.size()));
  return image_->cache.write(call, position, bitmap.data(), bitmap.size());
}

/** A byte stands for eight sectors, the lowest bit for the first. */
Result<BlockPart> BlockTable::part(const Call& call, uint64_t block, uint64_t begin) {
  INSTAR_TRY(const uint64_t bitmap, bitmap_of(call, block));
  if (bitmap == 0) return fail(EIO, sdk::errno_text(EIO));
  const uint64_t sectors = metadata_.block_size / metadata_.sector_size;
  BlockPart part;
  uint64_t sector = begin / metadata_.sector_size;
  for (bool first = true; sector < sectors;) {
    INSTAR_TRY(const auto byte, image_->cache.get<uint8_t>(call, bitmap + sector / 8));
    const auto rest = static_cast<uint8_t>(byte >> sector % 8);
    if (std::exchange(first, false)) part.present = (rest & 1) != 0;
    const auto same =
        static_cast<uint64_t>(part.present ? std::countr_one(rest) : std::countr_zero(rest));
    const uint64_t left = 8 - sector % 8;
    sector += std::min(same, left);
    if (same < left) break;
  }
  part.end = sector * metadata_.sector_size;
  return part;
}

Status BlockTable::mark(const Call& call, uint64_t block, uint64_t begin, uint64_t end) {
  INSTAR_TRY(const uint64_t bitmap, bitmap_of(call, block));
  if (bitmap == 0) return fail(EIO, sdk::errno_text(EIO));
  const uint64_t last = sdk::div_up(end, metadata_.sector_size);
  for (uint64_t sector = begin / metadata_.sector_size; sector < last;) {
    const uint64_t next = std::min(sector / 8 * 8 + 8, last);
    const auto bits = static_cast<uint8_t>((0xff << sector % 8) & (0xff >> (7 - (next - 1) % 8)));
    const uint64_t position = bitmap + sector / 8;
    INSTAR_TRY(const auto old, image_->cache.get<uint8_t>(call, position));
    if ((old | bits) != old)
      INSTAR_CHECK(image_->cache.set(call, position, static_cast<uint8_t>(old | bits)));
    sector = next;
  }
  return {};
}

Status BlockTable::start_writing(const Call& call) {
  Headers& headers = image_->headers;
  headers.renew_file_guid();
  headers.renew_data_guid();
  return start_log(call);
}

/** An empty one, if there is room. */
Status BlockTable::start_log(const Call& call) {
  Headers& headers = image_->headers;
  const bool has_room = headers.current().log_length >= kMiB;
  if (has_room) headers.set_log_guid(sdk::random_uuid());
  INSTAR_CHECK(headers.write(call, file()));
  if (has_room) log_.emplace(headers.current());
  return {};
}

/** Nobody has to look into the log. */
Status BlockTable::end_writing(const Call& call) {
  if (!log_) return {};
  image_->headers.set_log_guid(Guid{});
  return image_->headers.write(call, file());
}

Status BlockTable::write_back(const Call& call) {
  if (!log_) return image_->cache.write_back(call);
  const auto pieces = image_->cache.changes(kLogSector);
  std::vector<LogChange> changes;
  changes.reserve(pieces.size());
  for (const auto& piece : pieces)
    changes.push_back({piece.position, kLogSector, piece.bytes});
  for (size_t done = 0; done < changes.size();) {
    const size_t count = std::min(changes.size() - done, LogWriter::kMostChanges);
    if (done != 0) INSTAR_CHECK(file().flush(call));  // the log begins anew
    INSTAR_CHECK(log_->append(call, file(), &changes[done], count));
    INSTAR_CHECK(file().flush(call));
    for (const size_t end = done + count; done < end; ++done)
      INSTAR_CHECK(file().write(call, changes[done].offset, changes[done].bytes, kLogSector));
  }
  image_->cache.set_clean();
  return {};
}

}  // namespace instar::vhdx
