// SPDX-License-Identifier: Apache-2.0
/**
 * @file locks.hpp
 * The image locks that QEMU and its tools share: byte-range OFD locks on the image file. A holder
 * takes a read lock on byte 100+P for each permission P that it uses, and on byte 200+P for each
 * that it does not leave to others; then it asks whether anybody else holds the counterpart.
 * The locks go with the descriptor (open file description).
 */
#pragma once

#include <cstdint>
#include <string>

#include "sdk/cpp/result.hpp"

namespace instar::file {

/** Bits of a set of permissions; the bit's number is P. */
enum Permission : uint32_t {
  kConsistentRead = 1u << 0,
  kWrite = 1u << 1,
  kWriteUnchanged = 1u << 2,
  kResize = 1u << 3,
};
constexpr uint32_t kPermissions = 4;

/** What a user of an image does, and what it forbids to others. */
struct LockSet {
  uint32_t used = 0;
  uint32_t unshared = 0;
};

/** What the flags of an open (enum instar_open_flags) mean for locks. */
LockSet lock_set_of(uint32_t open_flags);

enum class Locking { kAuto, kOn, kOff };

/**
 * Takes the locks, then looks for conflicts. EAGAIN: somebody else is in the way; the message names
 * the permission and the hint the image. A file system without locks is an error with kOn only.
 */
sdk::Status lock(int fd, const std::string& filename, LockSet set, Locking locking);

}  // namespace instar::file
