// SPDX-License-Identifier: Apache-2.0
/** @file read_ahead.hpp Small reads, served from blocks that are fetched whole. */
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "sdk/cpp/bytes.hpp"
#include "sdk/cpp/call.hpp"

namespace instar::curl {

/** Thread-safe. The blocks that were used last are kept. */
class ReadAhead {
 public:
  using Fetch = std::function<sdk::Status(const sdk::Call& call, uint64_t offset, sdk::Bytes to)>;

  /** @param block bytes of each; @param size of the file. */
  ReadAhead(uint64_t block, uint64_t size, Fetch fetch)
      : block_(block), size_(size), fetch_(std::move(fetch)) {}

  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::Bytes to);

 private:
  static constexpr size_t kMostBlocks = 16;
  struct Block {
    uint64_t number;
    bool ready = false, failed = false;
    std::vector<uint8_t> data = {};
  };
  using BlockPtr = std::shared_ptr<Block>;

  sdk::Result<BlockPtr> get(const sdk::Call& call, uint64_t number);
  BlockPtr find(uint64_t number);
  sdk::Status load(const sdk::Call& call, Block& block);

  const uint64_t block_, size_;
  const Fetch fetch_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<BlockPtr> blocks_;  ///< the one used last comes first
};

}  // namespace instar::curl
