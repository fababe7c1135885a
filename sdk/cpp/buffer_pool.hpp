// SPDX-License-Identifier: Apache-2.0
/** @file buffer_pool.hpp Reused buffers of one size, not cleared. Thread-safe. */
#pragma once

#include <memory>
#include <mutex>
#include <vector>

namespace instar::sdk {

class BufferPool {
 public:
  explicit BufferPool(size_t size) : size_(size) {}

  /** A buffer for the holder's life. */
  class Buffer {
   public:
    Buffer(BufferPool& pool, std::unique_ptr<uint8_t[]> data)
        : pool_(pool), data_(std::move(data)) {}
    ~Buffer() {
      const std::lock_guard lock(pool_.mutex_);
      pool_.idle_.push_back(std::move(data_));
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    uint8_t* data() const { return data_.get(); }
    size_t size() const { return pool_.size_; }

   private:
    BufferPool& pool_;
    std::unique_ptr<uint8_t[]> data_;
  };

  Buffer take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        auto data = std::move(idle_.back());
        idle_.pop_back();
        return Buffer(*this, std::move(data));
      }
    }
    return Buffer(*this, std::unique_ptr<uint8_t[]>(new uint8_t[size_]));
  }

 private:
  size_t size_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<uint8_t[]>> idle_;
};

}  // namespace instar::sdk
