// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vpc/block_table.hpp"

#include <bit>

namespace instar::vpc {

using sdk::Block;
using sdk::BlockPart;
using sdk::BlockSpace;
using sdk::Call;
using sdk::fail;
using sdk::Result;
using sdk::Status;

Result<uint32_t> BlockTable::entry(const Call& call, uint64_t block) {
  const uint64_t position = header_.dynamic.table_offset + block * sizeof(uint32_t);
  INSTAR_TRY(const auto sector, cache_.get<Be<uint32_t>>(call, position));
  return uint32_t{sector};
}

Status BlockTable::find_end(const Call& call) {
  if (header_.fixed()) return {};
  const uint64_t block_bytes = header_.bitmap_size() + header_.block_size();
  const uint64_t file_end = sdk::round_up(file_.size(), kSectorSize);
  end_ = header_.table_end();
  for (uint32_t block = 0; block < header_.dynamic.max_table_entries; ++block) {
    INSTAR_TRY(const uint32_t sector, entry(call, block));
    if (sector == kUnallocated) continue;
    end_ = std::max(end_, uint64_t{sector} * kSectorSize + block_bytes);
    if (end_ > file_end) return truncated();
  }
  return {};
}

Result<Block> BlockTable::lookup(const Call& call, uint64_t block) {
  if (header_.fixed()) return Block{Block::Kind::kData, block * header_.block_size(), 0};
  INSTAR_TRY(const uint32_t sector, entry(call, block));
  if (sector == kUnallocated)
    return Block{header_.differencing() ? Block::Kind::kAbsent : Block::Kind::kZero, 0, 0};
  const auto kind = header_.differencing() ? Block::Kind::kPartial : Block::Kind::kData;
  return Block{kind, uint64_t{sector} * kSectorSize + header_.bitmap_size(), 0};
}

Result<uint64_t> BlockTable::bitmap_of(const Call& call, uint64_t block) {
  INSTAR_TRY(const uint32_t sector, entry(call, block));
  return uint64_t{sector} * kSectorSize;
}

/** A byte stands for eight sectors, the highest bit for the first. */
Result<BlockPart> BlockTable::part(const Call& call, uint64_t block, uint64_t begin) {
  INSTAR_TRY(const uint64_t bitmap, bitmap_of(call, block));
  const uint64_t sectors = header_.block_size() / kSectorSize;
  BlockPart part;
  uint64_t sector = begin / kSectorSize;
  for (bool first = true; sector < sectors;) {
    INSTAR_TRY(const auto byte, cache_.get<uint8_t>(call, bitmap + sector / 8));
    const auto rest = static_cast<uint8_t>(byte << sector % 8);
    if (std::exchange(first, false)) part.present = (rest & 0x80) != 0;
    const int same = part.present ? std::countl_one(rest) : std::countl_zero(rest);
    const uint64_t left = 8 - sector % 8;
    sector += std::min<uint64_t>(static_cast<uint64_t>(same), left);
    if (static_cast<uint64_t>(same) < left) break;
  }
  part.end = std::min(sector, sectors) * kSectorSize;
  return part;
}

/** Its bitmap stands where the footer was; that goes behind the new block before anything says that
 * the block is there. */
Result<BlockSpace> BlockTable::allocate(const Call& call, uint64_t block, uint64_t) {
  const uint64_t bitmap_size = header_.bitmap_size();
  const uint64_t begin = end_;
  if (begin / kSectorSize >= kUnallocated) return fail(ENOSPC, sdk::errno_text(ENOSPC));
  const BlockSpace space{begin + bitmap_size, 1,
                         begin + bitmap_size >= file_.size() && file_.grows_with_zeroes()};
  const std::vector<uint8_t> bitmap(bitmap_size, in_parts() ? 0 : 0xff);
  INSTAR_CHECK(file_.write(call, begin, bitmap.data(), bitmap.size()));
  if (in_parts()) INSTAR_CHECK(cache_.write(call, begin, bitmap.data(), bitmap.size()));
  end_ = begin + bitmap_size + header_.block_size();
  INSTAR_CHECK(file_.write(call, end_, &header_.footer, sizeof header_.footer));
  touched_ = block;
  return space;
}

/** The footer stays where it is. */
bool BlockTable::release(uint64_t, uint64_t offset) {
  if (offset + header_.block_size() != end_) return false;
  end_ = offset - header_.bitmap_size();
  return true;
}

Status BlockTable::store(const Call& call, uint64_t block, const Block& what) {
  const uint64_t bitmap = what.offset - header_.bitmap_size();
  const Be<uint32_t> sector(static_cast<uint32_t>(bitmap / kSectorSize));
  INSTAR_CHECK(cache_.set(call, header_.dynamic.table_offset + block * sizeof sector, sector));
  if (!in_parts() || what.kind != Block::Kind::kData) return {};
  return mark(call, block, 0, header_.block_size());
}

Status BlockTable::mark(const Call& call, uint64_t block, uint64_t begin, uint64_t end) {
  INSTAR_TRY(const uint64_t bitmap, bitmap_of(call, block));
  const uint64_t last = sdk::div_up(end, kSectorSize);
  for (uint64_t sector = begin / kSectorSize; sector < last;) {
    const uint64_t next = std::min(sector / 8 * 8 + 8, last);
    const auto bits = static_cast<uint8_t>((0xff >> sector % 8) & (0xff << (7 - (next - 1) % 8)));
    const uint64_t position = bitmap + sector / 8;
    INSTAR_TRY(const auto old, cache_.get<uint8_t>(call, position));
    if ((old | bits) != old)
      INSTAR_CHECK(cache_.set(call, position, static_cast<uint8_t>(old | bits)));
    sector = next;
  }
  return {};
}

/** Others take a sector without its bit for zeroes. */
Status BlockTable::touch(const Call& call, uint64_t block, uint64_t) {
  if (header_.fixed() || in_parts() || block == touched_) return {};
  touched_ = block;
  INSTAR_TRY(const uint64_t position, bitmap_of(call, block));
  std::vector<uint8_t> bitmap(header_.bitmap_size());
  INSTAR_CHECK(file_.read(call, position, bitmap.data(), bitmap.size()));
  const auto full = [](uint8_t byte) { return byte == 0xff; };
  if (std::all_of(bitmap.begin(), bitmap.end(), full)) return {};
  std::fill(bitmap.begin(), bitmap.end(), 0xff);
  return file_.write(call, position, bitmap.data(), bitmap.size());
}

}  // namespace instar::vpc
