// SPDX-License-Identifier: Apache-2.0
/** @file unpacked_chunks.hpp The last chunks that were unpacked, for requests that take only a part of
 * one. Thread-safe; a chunk is unpacked by one thread, while the others that want it wait. */
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "sdk/cpp/bytes.hpp"
#include "sdk/cpp/result.hpp"

namespace instar::dmg {

class UnpackedChunks {
 public:
  using Content = std::shared_ptr<const std::vector<uint8_t>>;
  using Unpack = std::function<sdk::Status(sdk::Bytes out)>;

  /** @param capacity bytes that are kept, if more than one chunk is. */
  explicit UnpackedChunks(uint64_t capacity) : capacity_(capacity) {}

  /** The content of the chunk numbered `index`, of `size` bytes. */
  sdk::Result<Content> get(size_t index, size_t size, const Unpack& unpack);

 private:
  struct Entry {
    size_t index;
    Content content;  ///< nullptr: it is being unpacked
  };
  using Lock = std::unique_lock<std::mutex>;
  void make_room(size_t size);
  std::list<Entry>::iterator find(size_t index);

  const uint64_t capacity_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::list<Entry> entries_;  ///< the last used first
  uint64_t kept_ = 0;         ///< bytes
};

}  // namespace instar::dmg
