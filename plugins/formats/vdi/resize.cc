// SPDX-License-Identifier: Apache-2.0
// Another size of the disk. The header is one sector, and changes at once: what it says of the map and
// of the blocks is in the file before, and what it no longer says is given up afterwards.
#include <algorithm>

#include "plugins/formats/vdi/image.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::vdi {

using sdk::Call;
using sdk::fail;
using sdk::Result;
using sdk::Status;

namespace {

constexpr uint32_t kNobody = UINT32_MAX;

uint64_t blocks_of(uint64_t size) {
  return sdk::div_up(size, kBlockSize);
}

}  // namespace

/** Entries that the map can have where it is. */
uint64_t BlockTable::map_room() const {
  const uint64_t now = sdk::round_up(header_.blocks_in_image * sizeof(uint32_t), kSectorSize);
  const uint64_t room = header_.offset_data > header_.offset_bmap
                            ? uint64_t{header_.offset_data} - header_.offset_bmap
                            : now;
  return room / sizeof(uint32_t);
}

/** A barrier stands before it, and behind. */
Status BlockTable::write_header(const Call& call) {
  INSTAR_CHECK(file_.flush(call));
  INSTAR_CHECK(file_.write(call, 0, &header_, sizeof header_));
  cache_.clear();
  return file_.flush(call);
}

/** Copies, and only then lets the map say so. */
Status BlockTable::move_blocks(const Call& call, const std::vector<Move>& moves) {
  std::vector<uint8_t> bytes(kBlockSize);
  for (const Move& move : moves) {
    INSTAR_CHECK(file_.read(call, place(move.from), bytes.data(), bytes.size()));
    INSTAR_CHECK(file_.write(call, place(move.to), bytes.data(), bytes.size()));
  }
  INSTAR_CHECK(file_.flush(call));
  for (const Move& move : moves)
    INSTAR_CHECK(set_entry(call, move.block, move.to));
  INSTAR_CHECK(cache_.set(call, offsetof(Header, blocks_allocated), Le<uint32_t>(*next_)));
  INSTAR_CHECK(cache_.write_back(call));
  return file_.flush(call);
}

/** Nothing lies in the first `count` places any more. */
Status BlockTable::clear_front(const Call& call, uint32_t count) {
  std::vector<Move> moves;
  uint64_t end = std::max<uint64_t>(*next_, count);
  for (uint32_t block = 0; block < header_.blocks_in_image; ++block) {
    INSTAR_TRY(const uint32_t number, entry(call, block));
    if (number < count) moves.push_back({block, number, static_cast<uint32_t>(end++)});
  }
  if (end >= kDiscarded) return fail(ENOSPC, sdk::errno_text(ENOSPC));
  next_ = end;
  return move_blocks(call, moves);
}

/** A larger map takes the place of the first blocks. */
Status BlockTable::move_map(const Call& call, uint32_t blocks) {
  const auto taken = static_cast<uint32_t>(sdk::div_up(blocks * sizeof(uint32_t), kBlockSize));
  const uint64_t map = header_.offset_data;
  const uint64_t data = map + uint64_t{taken} * kBlockSize;
  if (data > UINT32_MAX) return fail(EFBIG, "The image's block map can't be made larger");
  INSTAR_CHECK(clear_front(call, taken));
  std::vector<Le<uint32_t>> entries;
  for (uint32_t block = 0; block < header_.blocks_in_image;) {
    const uint64_t position = map + block * sizeof(uint32_t);
    entries.clear();
    for (; block < header_.blocks_in_image && entries.size() < kBlockSize / 4; ++block) {
      INSTAR_TRY(const uint32_t number, entry(call, block));
      entries.emplace_back(allocated(number) ? number - taken : number);
    }
    INSTAR_CHECK(file_.write(call, position, entries.data(), entries.size() * sizeof(uint32_t)));
  }
  if (file_.size() < data) INSTAR_CHECK(file_.resize(call, data));
  header_.offset_bmap = static_cast<uint32_t>(map);
  header_.offset_data = static_cast<uint32_t>(data);
  next_ = *next_ - taken;
  return {};
}

Status BlockTable::grow(const Call& call, uint64_t size) {
  // Who shrank it may not have come to an end.
  if (header_.blocks_in_image > blocks_of(header_.disk_size))
    INSTAR_CHECK(shrink(call, header_.disk_size));
  const auto blocks = static_cast<uint32_t>(blocks_of(size));
  if (!next_) INSTAR_CHECK(find_end(call));
  const uint32_t before = header_.blocks_in_image;
  const Header old = header_;
  Status grown = [&]() -> Status {
    if (blocks > map_room()) INSTAR_CHECK(move_map(call, blocks));
    if (blocks > before) {
      const uint64_t position = header_.offset_bmap + before * sizeof(uint32_t);
      INSTAR_CHECK(write_entries(call, file_, position, blocks - before));
      header_.blocks_in_image = blocks;
    }
    header_.disk_size = size;
    header_.blocks_allocated = static_cast<uint32_t>(*next_);
    return write_header(call);
  }();
  if (!grown) {
    header_ = old;
    next_.reset();  // it is found anew
  }
  return grown;
}

/** For each place in the file the block that lies there. */
Result<std::vector<uint32_t>> BlockTable::owners(const Call& call) {
  if (!next_) INSTAR_CHECK(find_end(call));
  const uint64_t most = sdk::div_up(file_.size(), kBlockSize) + 1;
  if (*next_ > most) return fail(EIO, "A block of the image lies behind the end of its file");
  std::vector<uint32_t> owners(*next_, kNobody);
  for (uint32_t block = 0; block < header_.blocks_in_image; ++block) {
    INSTAR_TRY(const uint32_t number, entry(call, block));
    if (!allocated(number)) continue;
    if (owners[number] != kNobody) return fail(EIO, "Two blocks of the image lie in one place");
    owners[number] = block;
  }
  return owners;
}

/** Others take the number of blocks for the first free place: none may be free before it. */
Status BlockTable::shrink(const Call& call, uint64_t size) {
  const auto blocks = static_cast<uint32_t>(blocks_of(size));
  INSTAR_TRY(std::vector<uint32_t> owners, this->owners(call));
  header_.disk_size = size;
  header_.blocks_allocated = static_cast<uint32_t>(*next_);
  INSTAR_CHECK(write_header(call));
  for (uint32_t& owner : owners) {
    if (owner == kNobody || owner < blocks) continue;
    INSTAR_CHECK(set_entry(call, owner, kUnallocated));
    owner = kNobody;
  }
  INSTAR_CHECK(cache_.write_back(call));
  INSTAR_CHECK(file_.flush(call));
  INSTAR_CHECK(close_gaps(call, owners));
  header_.blocks_allocated = static_cast<uint32_t>(*next_);
  header_.blocks_in_image = blocks;
  INSTAR_CHECK(write_header(call));
  return file_.resize(call, place(*next_));
}

/** The last blocks go where there are none. */
Status BlockTable::close_gaps(const Call& call, const std::vector<uint32_t>& owners) {
  const auto count = static_cast<uint32_t>(
      owners.size() - static_cast<size_t>(std::count(owners.begin(), owners.end(), kNobody)));
  std::vector<Move> moves;
  uint32_t free = 0;
  for (uint32_t number = count; number < owners.size(); ++number) {
    if (owners[number] == kNobody) continue;
    while (owners[free] != kNobody)
      ++free;
    moves.push_back({owners[number], number, free++});
  }
  INSTAR_CHECK(move_blocks(call, moves));
  next_ = count;
  return {};
}

Status Image::resize(const Call& call, uint64_t size, uint32_t mode, uint32_t,
                     const instar_progress*) {
  INSTAR_CHECK(sdk::check_file_preallocation(mode));
  INSTAR_CHECK(check_size(size));
  size = sdk::round_up(size, kSectorSize);
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
  if (mode == INSTAR_PREALLOCATION_OFF && !table().knows_holes())
    mode = INSTAR_PREALLOCATION_METADATA;
  return reserve(call, before, size, mode);
}

}  // namespace instar::vdi
