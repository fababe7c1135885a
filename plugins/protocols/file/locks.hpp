// SPDX-License-Identifier: Apache-2.0
/**
 * @file locks.hpp
 * The image locks that QEMU and its tools share: byte-range OFD locks on the image file. A user
 * takes a read lock on byte 100+P for each permission P (bit number in enum instar_permission) that
 * it uses, and on byte 200+P for each that it does not share; then it asks whether anybody else
 * holds the counterpart.
 */
#pragma once

#include <cstdint>
#include <string>

#include "sdk/abi/permissions.h"
#include "sdk/cpp/result.hpp"

namespace instar::file {

/** What a user of an image does, and what it leaves to others: enum instar_permission bits. */
struct Permissions {
  uint32_t used = 0;
  uint32_t shared = INSTAR_PERMISSION_ALL;
};

/** What the flags of an open (enum instar_open_flags) need at most. */
Permissions permissions_of(uint32_t open_flags);

enum class Locking { kAuto, kOn, kOff };

/** The locks of one open file. They go with its descriptor. Not thread-safe. */
class ImageLocks {
 public:
  /** @param name_holders the hint also says which processes are in the way, where that can be told */
  ImageLocks(int fd, std::string filename, Locking locking, bool name_holders = false)
      : fd_(fd), filename_(std::move(filename)), locking_(locking), name_holders_(name_holders) {}

  /**
   * Takes what is missing, looks for conflicts, then gives back what is no longer needed. EAGAIN:
   * somebody else is in the way; the message names the permission, the hint the image, and the
   * locks are as before. A file system without locks is an error with Locking::kOn only.
   */
  sdk::Status set(Permissions wanted);

 private:
  sdk::Status take(Permissions wanted);
  sdk::Status check(Permissions wanted) const;
  /** Gives back what is held beyond `kept`. */
  void release_beyond(Permissions kept);
  sdk::Error in_use(int error, int byte, std::string message) const;

  int fd_;
  std::string filename_;
  Locking locking_;
  bool name_holders_;
  Permissions held_;
};

}  // namespace instar::file
