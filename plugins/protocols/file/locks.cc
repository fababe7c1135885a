// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/file/locks.hpp"

#include <fcntl.h>

#include "plugins/protocols/file/lock_holders.hpp"
#include "sdk/abi/open.h"

namespace instar::file {

namespace {

using sdk::Status;

constexpr int kUsedBase = 100;
constexpr int kUnsharedBase = 200;
constexpr int kPermissions = 4;
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
int lock_byte(int fd, int byte) {
  auto range = one_byte(F_RDLCK, byte);
  return fcntl(fd, F_OFD_SETLK, &range) == 0 ? 0 : errno;
}

/** 0, EAGAIN when somebody else holds a lock there, or another errno. */
int ask(int fd, int byte) {
  auto range = one_byte(F_WRLCK, byte);
  if (fcntl(fd, F_OFD_GETLK, &range) != 0) return errno;
  return range.l_type == F_UNLCK ? 0 : EAGAIN;
}

void give_back(int fd, int byte) {
  auto range = one_byte(F_UNLCK, byte);
  (void)fcntl(fd, F_OFD_SETLK, &range);
}

bool unsupported(int error) {
  return error == EINVAL || error == ENOLCK || error == ENOSYS || error == EOPNOTSUPP;
}

/** Calls each(P) for the permissions in a set until that gives an error. */
template <class Each>
Status for_each(uint32_t set, Each each) {
  for (int p = 0; p < kPermissions; ++p)
    if ((set & (1u << p)) != 0) INSTAR_CHECK(each(p));
  return {};
}

}  // namespace

Permissions permissions_of(uint32_t flags) {
  Permissions result;
  if ((flags & INSTAR_OPEN_NO_IO) == 0) result.used |= INSTAR_PERMISSION_READ;
  if ((flags & INSTAR_OPEN_WRITE) != 0)
    result.used |= INSTAR_PERMISSION_WRITE | INSTAR_PERMISSION_RESIZE;
  if ((flags & INSTAR_OPEN_FORCE_SHARE) == 0)
    result.shared &= ~uint32_t{INSTAR_PERMISSION_WRITE | INSTAR_PERMISSION_RESIZE};
  return result;
}

sdk::Error ImageLocks::in_use(int error, int byte, std::string message) const {
  const std::string holders = name_holders_ ? lock_holders(fd_, byte) : "";
  return {error, std::move(message),
          sdk::cat("Is another process using the image [", filename_, "]?",
                   holders.empty() ? "" : "\n", holders)};
}

Status ImageLocks::take(Permissions wanted) {
  const auto take_byte = [&](int byte) -> Status {
    if (const int error = lock_byte(fd_, byte))
      return in_use(error, byte, sdk::cat("Failed to lock byte ", byte));
    return {};
  };
  INSTAR_CHECK(for_each(wanted.used & ~held_.used, [&](int p) -> Status {
    INSTAR_CHECK(take_byte(kUsedBase + p));
    held_.used |= 1u << p;
    return {};
  }));
  return for_each(held_.shared & ~wanted.shared, [&](int p) -> Status {
    INSTAR_CHECK(take_byte(kUnsharedBase + p));
    held_.shared &= ~(1u << p);
    return {};
  });
}

Status ImageLocks::check(Permissions wanted) const {
  return for_each(INSTAR_PERMISSION_ALL, [&](int p) -> Status {
    const uint32_t bit = 1u << p;
    if (const int error = (wanted.used & bit) != 0 ? ask(fd_, kUnsharedBase + p) : 0)
      return in_use(error, kUnsharedBase + p, sdk::cat("Failed to get \"", kNames[p], "\" lock"));
    if (const int error = (wanted.shared & bit) == 0 ? ask(fd_, kUsedBase + p) : 0)
      return in_use(error, kUsedBase + p,
                    sdk::cat("Failed to get shared \"", kNames[p], "\" lock"));
    return {};
  });
}

void ImageLocks::release_beyond(Permissions kept) {
  for (int p = 0; p < kPermissions; ++p) {
    const uint32_t bit = 1u << p;
    if ((held_.used & ~kept.used & bit) != 0) give_back(fd_, kUsedBase + p);
    if ((~held_.shared & kept.shared & bit) != 0) give_back(fd_, kUnsharedBase + p);
  }
  held_.used &= kept.used;
  held_.shared |= kept.shared;
}

Status ImageLocks::set(Permissions wanted) {
  if (locking_ == Locking::kOff) return {};
  wanted.used &= INSTAR_PERMISSION_ALL;
  wanted.shared &= INSTAR_PERMISSION_ALL;
  const Permissions before = held_;
  auto taken = take(wanted);
  if (!taken && locking_ == Locking::kAuto && unsupported(taken.error().code)) return {};
  if (taken) taken = check(wanted);
  release_beyond(taken ? wanted : before);
  return taken;
}

}  // namespace instar::file
