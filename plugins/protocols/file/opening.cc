// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/file/opening.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <memory>

#include "sdk/abi/open.h"

namespace instar::file {

namespace {

using sdk::fail;
using sdk::Result;

int open_retrying(const std::string& filename, int flags) {
  int fd;
  do
    fd = ::open(filename.c_str(), flags);
  while (fd < 0 && errno == EINTR);
  return fd;
}

sdk::Error could_not_open(const std::string& filename, int error) {
  return fail(error, "Could not open '", filename, "': ", sdk::errno_text(error));
}

/** A socket is left to open(2), which tells what is wrong. */
bool fits(Kind kind, mode_t mode) {
  if (S_ISSOCK(mode)) return true;
  if (kind == Kind::kFile) return S_ISREG(mode);
  return S_ISBLK(mode) || S_ISCHR(mode);
}

sdk::Error wrong_kind(Kind kind, const std::string& filename) {
  const char* wanted =
      kind == Kind::kFile ? "a regular file" : "either a character or block device";
  return fail(EINVAL, "'", kind_name(kind), "' driver requires '", filename, "' to be ", wanted);
}

/** The open that failed with EINVAL because of O_DIRECT is told from others by trying without. */
sdk::Error explain(const std::string& filename, int flags, int error) {
  if (error == EINVAL && (flags & O_DIRECT) != 0) {
    if (const Descriptor plain(open_retrying(filename, flags & ~O_DIRECT)); plain)
      return fail(EINVAL, "Could not open '", filename, "': filesystem does not support O_DIRECT");
  }
  return could_not_open(filename, error);
}

constexpr size_t kLargestAlignment = 4096;

bool can_read(int fd, uint8_t* buffer, size_t len) {
  ssize_t n;
  do
    n = ::pread(fd, buffer, len, 0);
  while (n < 0 && errno == EINTR);
  // Anything but EINVAL is not about alignment; the real request will tell.
  return n >= 0 || errno != EINVAL;
}

Result<Alignment> probe(int fd) {
  constexpr size_t kBuffer = 2 * kLargestAlignment;
  const std::unique_ptr<uint8_t, decltype(&std::free)> memory(
      static_cast<uint8_t*>(std::aligned_alloc(kLargestAlignment, kBuffer)), &std::free);
  if (memory == nullptr) return fail(ENOMEM, sdk::errno_text(ENOMEM));
  Alignment found{0, 0};
  for (uint32_t align = 512; align <= kLargestAlignment && found.request == 0; align *= 2)
    if (can_read(fd, memory.get(), align)) found.request = align;
  for (uint32_t align = 512; align <= kLargestAlignment && found.memory == 0; align *= 2)
    if (can_read(fd, memory.get() + align, kLargestAlignment)) found.memory = align;
  if (found.request == 0 || found.memory == 0)
    return sdk::Error{EINVAL, "Could not find working O_DIRECT alignment", "Try cache.direct=off"};
  // Reading an empty file succeeds at any alignment.
  if (auto length = length_of(fd); length && *length == 0)
    found = {kLargestAlignment, kLargestAlignment};
  return found;
}

}  // namespace

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::kFile:
      return "file";
    case Kind::kHostDevice:
      return "host_device";
    case Kind::kHostCdrom:
      return "host_cdrom";
  }
  return "";
}

std::string strip_scheme(Kind kind, const std::string& filename) {
  const std::string scheme = sdk::cat(kind_name(kind), ":");
  return filename.starts_with(scheme) ? filename.substr(scheme.size()) : filename;
}

Result<OpenFile> open_file(Kind kind, const std::string& filename, uint32_t open_flags) {
  if (filename.empty())
    return fail(EINVAL, "The '", kind_name(kind), "' block driver requires a file name");
  struct stat st {};
  // A fifo would be held open.
  const bool known = ::stat(filename.c_str(), &st) == 0;
  const bool writes = (open_flags & INSTAR_OPEN_WRITE) != 0;
  if (known && writes && S_ISDIR(st.st_mode)) return could_not_open(filename, EISDIR);
  if (known && !fits(kind, st.st_mode)) return wrong_kind(kind, filename);

  // O_NONBLOCK: neither a fifo in the place of the file nor a line without carrier may hold us up;
  // but a drive without a medium shall fail, except a CD-ROM's.
  const bool must_be_ready = known && S_ISBLK(st.st_mode) && kind != Kind::kHostCdrom;
  int flags = O_CLOEXEC | (must_be_ready ? 0 : O_NONBLOCK);
  flags |= writes ? O_RDWR : O_RDONLY;
  if ((open_flags & INSTAR_OPEN_NO_CACHE) != 0) flags |= O_DIRECT;
  OpenFile file;
  file.fd = Descriptor(open_retrying(filename, flags));
  if (!file.fd) return explain(filename, flags, errno);
  if (::fstat(file.fd.get(), &st) != 0)
    return fail(errno, "Could not stat file: ", sdk::errno_text(errno));
  if (!fits(kind, st.st_mode)) return wrong_kind(kind, filename);
  if (::fcntl(file.fd.get(), F_SETFL, flags & O_DIRECT) != 0)
    return could_not_open(filename, errno);
  file.regular = S_ISREG(st.st_mode);
  file.block_device = S_ISBLK(st.st_mode);
  file.direct = (flags & O_DIRECT) != 0;
  return file;
}

Result<Alignment> find_alignment(const OpenFile& file) {
  if (!file.direct) return Alignment{};
#ifdef STATX_DIOALIGN
  struct statx stx {};
  if (::statx(file.fd.get(), "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
      (stx.stx_mask & STATX_DIOALIGN) != 0 && stx.stx_dio_offset_align != 0)
    return Alignment{std::max<uint32_t>(stx.stx_dio_offset_align, 512),
                     std::max<uint32_t>(stx.stx_dio_mem_align, 512)};
#endif
  int sector = 0;
  if (file.block_device && ::ioctl(file.fd.get(), BLKSSZGET, &sector) == 0 && sector >= 512)
    return Alignment{static_cast<uint32_t>(sector), static_cast<uint32_t>(sector)};
  return probe(file.fd.get());
}

Result<uint64_t> length_of(int fd) {
  const off_t end = ::lseek(fd, 0, SEEK_END);
  if (end < 0) return fail(errno, sdk::errno_text(errno));
  return static_cast<uint64_t>(end);
}

}  // namespace instar::file
