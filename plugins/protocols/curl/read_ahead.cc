// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/curl/read_ahead.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace instar::curl {

using sdk::Bytes;
using sdk::Call;
using sdk::fail;
using sdk::Result;
using sdk::Status;

Status ReadAhead::read(const Call& call, uint64_t offset, Bytes to) {
  while (!to.empty()) {
    INSTAR_TRY(const BlockPtr block, get(call, offset / block_));
    const uint64_t inside = offset % block_;
    const size_t n = std::min<size_t>(to.size(), block->data.size() - inside);
    std::memcpy(to.data(), block->data.data() + inside, n);
    offset += n;
    to = to.subspan(n);
  }
  return {};
}

ReadAhead::BlockPtr ReadAhead::find(uint64_t number) {
  const auto found = std::find_if(blocks_.begin(), blocks_.end(),
                                  [&](const BlockPtr& block) { return block->number == number; });
  if (found == blocks_.end()) return nullptr;
  blocks_.splice(blocks_.begin(), blocks_, found);
  return blocks_.front();
}

/** Whoever comes first fetches, the others wait for that. */
Result<ReadAhead::BlockPtr> ReadAhead::get(const Call& call, uint64_t number) {
  std::unique_lock lock(mutex_);
  while (BlockPtr block = find(number)) {
    while (!block->ready && !block->failed) {
      if (call.cancelled()) return fail(ECANCELED, sdk::errno_text(ECANCELED));
      changed_.wait_for(lock, std::chrono::milliseconds(100));
    }
    if (block->ready) return block;
  }
  auto block = std::make_shared<Block>(Block{number});
  blocks_.push_front(block);
  if (blocks_.size() > kMostBlocks) blocks_.pop_back();
  lock.unlock();
  Status loaded = load(call, *block);
  lock.lock();
  block->ready = static_cast<bool>(loaded);
  block->failed = !block->ready;
  if (block->failed) blocks_.remove(block);
  changed_.notify_all();
  if (!loaded) return std::move(loaded).error();
  return block;
}

Status ReadAhead::load(const Call& call, Block& block) {
  const uint64_t offset = block.number * block_;
  block.data.resize(std::min(block_, size_ - offset));
  return fetch_(call, offset, block.data);
}

}  // namespace instar::curl
