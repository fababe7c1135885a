// SPDX-License-Identifier: Apache-2.0
#include "core/engine/buffer.hpp"

#include <sys/mman.h>

#include <new>

namespace instar::engine {

Buffer::Buffer(size_t size) : size_(size), data_(nullptr) {
  if (size == 0) return;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<uint8_t*>(memory);
}

Buffer::~Buffer() {
  if (data_ != nullptr) munmap(data_, size_);
}

}  // namespace instar::engine
