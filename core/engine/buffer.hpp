// SPDX-License-Identifier: Apache-2.0
/** @file buffer.hpp Page-aligned memory that exists only where it was touched. */
#pragma once

#include <cstddef>
#include <cstdint>

namespace instar::engine {

class Buffer {
 public:
  /** std::bad_alloc where there is none. */
  explicit Buffer(size_t size);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  size_t size_;
  uint8_t* data_;
};

}  // namespace instar::engine
