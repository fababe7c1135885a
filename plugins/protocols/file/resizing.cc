// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/file/resizing.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include "plugins/protocols/file/opening.hpp"
#include "plugins/protocols/file/transfer.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::file {

namespace {

using sdk::Call;
using sdk::cat;
using sdk::fail;
using sdk::Status;

constexpr uint64_t kBlock = 4096;

/** The error of a system call. */
sdk::Error because(int code, const char* what) {
  return fail(code, what, ": ", sdk::errno_text(code));
}

struct Free {
  void operator()(uint8_t* memory) const { std::free(memory); }
};
using Zeroes = std::unique_ptr<uint8_t, Free>;

/** Aligned for O_DIRECT. Empty when there is no memory. */
Zeroes make_zeroes(size_t size) {
  Zeroes zeroes(static_cast<uint8_t*>(std::aligned_alloc(kBlock, sdk::round_up(size, kBlock))));
  if (zeroes != nullptr) std::fill_n(zeroes.get(), size, uint8_t{0});
  return zeroes;
}

/** Gives a new file its first block, so that O_DIRECT readers can find their alignment. As QEMU's
 * files have it; a failure does no harm. */
void allocate_first_block(int fd, uint64_t size) {
  const size_t length = size < kBlock ? 512 : kBlock;
  const auto zeroes = make_zeroes(length);
  if (zeroes == nullptr) return;
  const instar_iovec piece{zeroes.get(), length};
  (void)static_cast<bool>(write_all(fd, 0, sdk::IoVec(&piece, 1), false));
}

Status fill(const Call& call, int fd, uint64_t from, uint64_t to, const instar_progress* progress) {
  constexpr uint64_t kChunk = 1 << 20;
  const auto zeroes = make_zeroes(kChunk);
  if (zeroes == nullptr) return because(ENOMEM, "Could not write zeros for preallocation");
  for (uint64_t position = from; position < to;) {
    if (call.cancelled()) return fail(ECANCELED, sdk::errno_text(ECANCELED));
    const uint64_t length = std::min(kChunk - position % kChunk, to - position);
    const instar_iovec piece{zeroes.get(), static_cast<size_t>(length)};
    if (auto written = write_all(fd, position, sdk::IoVec(&piece, 1), false); !written)
      return because(written.error().code, "Could not write zeros for preallocation");
    position += length;
    if (progress != nullptr && progress->report != nullptr)
      progress->report(progress->opaque, position - from, to - from);
  }
  if (::fsync(fd) != 0) return because(errno, "Could not flush file to disk");
  return {};
}

Status grow_allocated(int fd, uint64_t from, uint64_t to) {
  if (from == to) return {};
  int error;
  do
    error = ::posix_fallocate(fd, static_cast<off_t>(from), static_cast<off_t>(to - from));
  while (error == EINTR);
  if (error != 0) return because(error, "Could not preallocate new data");
  if (from == 0) allocate_first_block(fd, to);
  return {};
}

Status truncate_to(int fd, uint64_t from, uint64_t to) {
  if (::ftruncate(fd, static_cast<off_t>(to)) != 0) return because(errno, "Could not resize file");
  if (from == 0 && to > 0) allocate_first_block(fd, to);
  return {};
}

}  // namespace

Status resize_file(const Call& call, int fd, uint64_t size, instar_preallocation mode,
                   const instar_progress* progress) {
  if (size > INT64_MAX) return because(EFBIG, "Could not resize file");
  struct stat st {};
  if (::fstat(fd, &st) != 0) return because(errno, "Could not stat file");
  const auto current = static_cast<uint64_t>(st.st_size);
  if (mode != INSTAR_PREALLOCATION_OFF && size < current)
    return fail(ENOTSUP, "Cannot use preallocation for shrinking files");

  INSTAR_CHECK(sdk::check_file_preallocation(mode));
  if (mode == INSTAR_PREALLOCATION_OFF) return truncate_to(fd, current, size);

  const bool falloc = mode == INSTAR_PREALLOCATION_FALLOC;
  Status result =
      falloc ? grow_allocated(fd, current, size) : fill(call, fd, current, size, progress);
  if (!result && ::ftruncate(fd, st.st_size) != 0)
    call.warn(cat("Failed to restore old file length: ", sdk::errno_text(errno)));
  return result;
}

Status resize_device(int fd, uint64_t size, instar_preallocation mode, bool exact) {
  if (mode != INSTAR_PREALLOCATION_OFF)
    return fail(ENOTSUP, "Preallocation mode '", sdk::preallocation_name(mode),
                "' unsupported for this non-regular file");
  INSTAR_TRY(const uint64_t current, length_of(fd));
  if (exact && size != current) return fail(ENOTSUP, "Cannot resize device files");
  if (size > current) return fail(EINVAL, "Cannot grow device files");
  return {};
}

}  // namespace instar::file
