// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/file/locks.hpp"

#include <fcntl.h>

#include "sdk/abi/open.h"

namespace instar::file {

namespace {

using sdk::Status;

constexpr int kUsedBase = 100;
constexpr int kUnsharedBase = 200;
constexpr const char* kNames[kPermissions] = {"consistent read", "write", "write unchanged",
                                              "resize"};

struct flock one_byte(short type, int byte) {
  struct flock range {};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  range.l_start = byte;
  range.l_len = 1;
  return range;
}

/** 0 or an errno. */
int take(int fd, int byte) {
  auto range = one_byte(F_RDLCK, byte);
  return fcntl(fd, F_OFD_SETLK, &range) == 0 ? 0 : errno;
}

/** 0, EAGAIN when somebody else holds a lock there, or another errno. */
int ask(int fd, int byte) {
  auto range = one_byte(F_WRLCK, byte);
  if (fcntl(fd, F_OFD_GETLK, &range) != 0) return errno;
  return range.l_type == F_UNLCK ? 0 : EAGAIN;
}

bool unsupported(int error) {
  return error == EINVAL || error == ENOLCK || error == ENOSYS || error == EOPNOTSUPP;
}

sdk::Error in_use(int error, const std::string& filename, std::string message) {
  return {error, std::move(message),
          sdk::cat("Is another process using the image [", filename, "]?")};
}

Status take_all(int fd, const std::string& filename, LockSet set) {
  for (uint32_t p = 0; p < kPermissions; ++p) {
    if ((set.used & (1u << p)) == 0) continue;
    if (const int error = take(fd, kUsedBase + static_cast<int>(p)))
      return in_use(error, filename, sdk::cat("Failed to lock byte ", kUsedBase + p));
  }
  for (uint32_t p = 0; p < kPermissions; ++p) {
    if ((set.unshared & (1u << p)) == 0) continue;
    if (const int error = take(fd, kUnsharedBase + static_cast<int>(p)))
      return in_use(error, filename, sdk::cat("Failed to lock byte ", kUnsharedBase + p));
  }
  return {};
}

Status check_all(int fd, const std::string& filename, LockSet set) {
  for (uint32_t p = 0; p < kPermissions; ++p) {
    if ((set.used & (1u << p)) == 0) continue;
    if (const int error = ask(fd, kUnsharedBase + static_cast<int>(p)))
      return in_use(error, filename, sdk::cat("Failed to get \"", kNames[p], "\" lock"));
  }
  for (uint32_t p = 0; p < kPermissions; ++p) {
    if ((set.unshared & (1u << p)) == 0) continue;
    if (const int error = ask(fd, kUsedBase + static_cast<int>(p)))
      return in_use(error, filename, sdk::cat("Failed to get shared \"", kNames[p], "\" lock"));
  }
  return {};
}

}  // namespace

LockSet lock_set_of(uint32_t flags) {
  LockSet set;
  if ((flags & INSTAR_OPEN_NO_IO) == 0) set.used |= kConsistentRead;
  if ((flags & INSTAR_OPEN_WRITE) != 0) {
    set.used |= kWrite;
    if ((flags & INSTAR_OPEN_FIXED_SIZE) == 0) set.used |= kResize;
  }
  if ((flags & INSTAR_OPEN_FORCE_SHARE) != 0) return set;
  if ((flags & INSTAR_OPEN_SHARE_WRITE) == 0) set.unshared |= kWrite;
  if ((flags & INSTAR_OPEN_SHARE_RESIZE) == 0) set.unshared |= kResize;
  return set;
}

Status lock(int fd, const std::string& filename, LockSet set, Locking locking) {
  if (locking == Locking::kOff) return {};
  if (auto taken = take_all(fd, filename, set); !taken) {
    if (locking == Locking::kAuto && unsupported(taken.error().code)) return {};
    return taken;
  }
  return check_all(fd, filename, set);
}

}  // namespace instar::file
