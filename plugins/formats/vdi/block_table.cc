// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vdi/block_table.hpp"

namespace instar::vdi {

namespace {
constexpr uint64_t kEntriesAtOnce = 64u << 10;
}

using sdk::Block;
using sdk::BlockSpace;
using sdk::Call;
using sdk::fail;
using sdk::Result;
using sdk::Status;

Result<uint32_t> BlockTable::entry(const Call& call, uint64_t block) {
  INSTAR_TRY(const auto number,
             cache_.get<Le<uint32_t>>(call, header_.offset_bmap + block * sizeof(uint32_t)));
  return uint32_t{number};
}

Result<Block> BlockTable::lookup(const Call& call, uint64_t block) {
  INSTAR_TRY(const uint32_t number, entry(call, block));
  if (!allocated(number)) return Block{};
  return Block{Block::Kind::kData, place(number), 0};
}

/** What the header says may be outdated after a power cut. */
Status BlockTable::find_end(const Call& call) {
  uint64_t end = 0;
  for (uint64_t block = 0; block < header_.blocks_in_image; ++block) {
    INSTAR_TRY(const uint32_t number, entry(call, block));
    if (allocated(number)) end = std::max<uint64_t>(end, uint64_t{number} + 1);
  }
  next_ = end;
  return {};
}

Result<BlockSpace> BlockTable::allocate(const Call& call, uint64_t, uint64_t count) {
  if (!next_) INSTAR_CHECK(find_end(call));
  if (*next_ >= kDiscarded) return fail(ENOSPC, sdk::errno_text(ENOSPC));
  count = std::min<uint64_t>(count, kDiscarded - *next_);
  const BlockSpace space{place(*next_), count};
  *next_ += count;
  return space;
}

/** Others may be in use behind it: then the space is a gap until the end. */
bool BlockTable::release(uint64_t, uint64_t offset) {
  released_ = true;
  if (offset != place(*next_ - 1)) return false;
  --*next_;
  return true;
}

Status BlockTable::end_writing(const Call& call) {
  if (!released_) return {};
  INSTAR_TRY(const auto owners, this->owners(call));
  INSTAR_CHECK(close_gaps(call, owners));
  INSTAR_CHECK(cache_.set(call, offsetof(Header, blocks_allocated), Le<uint32_t>(*next_)));
  INSTAR_CHECK(cache_.write_back(call));
  INSTAR_CHECK(file_.flush(call));
  return file_.resize(call, place(*next_));
}

Status BlockTable::store(const Call& call, uint64_t block, const Block& what) {
  const uint64_t number = (what.offset - header_.offset_data) / kBlockSize;
  INSTAR_CHECK(cache_.set(call, offsetof(Header, blocks_allocated), Le<uint32_t>(*next_)));
  return set_entry(call, block, static_cast<uint32_t>(number));
}

Status BlockTable::set_entry(const Call& call, uint64_t block, uint32_t number) {
  return cache_.set(call, header_.offset_bmap + block * sizeof number, Le<uint32_t>(number));
}

Status write_entries(const Call& call, sdk::HostFile& file, uint64_t position, uint64_t count,
                     std::optional<uint32_t> first_number) {
  std::vector<Le<uint32_t>> entries;
  for (uint64_t first = 0; first < count; first += kEntriesAtOnce) {
    entries.clear();
    for (uint64_t i = first; i < std::min(count, first + kEntriesAtOnce); ++i)
      entries.emplace_back(first_number ? static_cast<uint32_t>(*first_number + i) : kUnallocated);
    INSTAR_CHECK(file.write(call, position + first * sizeof(uint32_t), entries.data(),
                            entries.size() * sizeof(uint32_t)));
  }
  return {};
}

}  // namespace instar::vdi
