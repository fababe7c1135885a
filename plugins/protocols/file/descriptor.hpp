// SPDX-License-Identifier: Apache-2.0
/** @file descriptor.hpp An owned file descriptor. */
#pragma once

#include <unistd.h>

#include <utility>

namespace instar::file {

/** Closes the descriptor with itself; closing also gives the file's OFD locks back. */
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

}  // namespace instar::file
