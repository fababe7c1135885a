// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/file/transfer.hpp"

#include <limits.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "plugins/protocols/file/opening.hpp"

namespace instar::file {

namespace {

using sdk::IoVec;
using sdk::Status;

static_assert(sizeof(instar_iovec) == sizeof(iovec) &&
              offsetof(instar_iovec, len) == offsetof(iovec, iov_len));

/** The pieces from `done` on, as many as one system call takes. */
class Rest {
 public:
  Rest(const IoVec& pieces, uint64_t done) {
    for (const auto& piece : pieces) {
      if (count_ == some_.size()) break;
      if (done >= piece.len) {
        done -= piece.len;
        continue;
      }
      some_[count_++] = {static_cast<uint8_t*>(piece.base) + done,
                         static_cast<size_t>(piece.len - done)};
      done = 0;
    }
  }
  const iovec* data() const { return some_.data(); }
  int count() const { return static_cast<int>(count_); }

 private:
  std::array<iovec, 64> some_;
  size_t count_ = 0;
};

/** What calls of `move` came to: all bytes, or those before an error (an errno) or the end of the
 * file (error 0). */
struct Moved {
  uint64_t done = 0;
  int error = 0;
};

/** Moves by calls of `move(iov, count, position)` until nothing is left. */
template <class Move>
Moved repeat(uint64_t offset, const IoVec& pieces, uint64_t length, Move move) {
  Moved moved;
  while (moved.done < length) {
    const bool at_once = moved.done == 0 && pieces.count() <= IOV_MAX;
    const Rest rest(pieces, at_once ? length : moved.done);
    const auto* iov = at_once ? reinterpret_cast<const iovec*>(pieces.data()) : rest.data();
    const int count = at_once ? static_cast<int>(pieces.count()) : rest.count();
    const ssize_t n = move(iov, count, static_cast<off_t>(offset + moved.done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) moved.error = errno;
    if (n <= 0) break;
    moved.done += static_cast<uint64_t>(n);
  }
  return moved;
}

}  // namespace

sdk::Error system_error(int code) {
  return sdk::fail(code, sdk::errno_text(code));
}

Status read_all(int fd, uint64_t offset, IoVec to) {
  const uint64_t length = to.length();
  const auto moved = repeat(offset, to, length, [&](const iovec* iov, int count, off_t at) {
    return ::preadv(fd, iov, count, at);
  });
  if (moved.done == length) return {};
  if (moved.error != 0) {
    // O_DIRECT refuses to go on behind an end that is not aligned.
    const auto file_length = length_of(fd);
    const bool at_end = file_length && offset + moved.done >= *file_length && offset <= INT64_MAX;
    if (moved.error != EINVAL || !at_end) return system_error(moved.error);
  }
  to.fill_zero(moved.done, length - moved.done);
  return {};
}

Status write_all(int fd, uint64_t offset, IoVec from, bool durable) {
  const uint64_t length = from.length();
  bool sync_after = false;
  const auto moved = repeat(offset, from, length, [&](const iovec* iov, int count, off_t at) {
    if (!durable || sync_after) return ::pwritev(fd, iov, count, at);
    const ssize_t n = ::pwritev2(fd, iov, count, at, RWF_DSYNC);
    if (n >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS)) return n;
    sync_after = true;
    return ::pwritev(fd, iov, count, at);
  });
  if (moved.done != length) return system_error(moved.error != 0 ? moved.error : ENOSPC);
  if (sync_after && ::fdatasync(fd) != 0) return system_error(errno);
  return {};
}

}  // namespace instar::file
