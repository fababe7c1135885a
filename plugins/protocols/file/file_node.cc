// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/file/file_node.hpp"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>

#include "plugins/protocols/file/resizing.hpp"
#include "plugins/protocols/file/transfer.hpp"

namespace instar::file {

namespace {

using sdk::Call;
using sdk::fail;
using sdk::IoVec;
using sdk::Result;
using sdk::Status;

constexpr uint64_t kSector = 512;

/** 0 or an errno. */
int allocate(int fd, int mode, uint64_t offset, uint64_t length) {
  int result;
  do
    result = ::fallocate(fd, mode, static_cast<off_t>(offset), static_cast<off_t>(length));
  while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

bool unsupported(int error) {
  return error == EOPNOTSUPP || error == ENOSYS || error == EINVAL || error == ENOTTY ||
         error == ENODEV;
}

sdk::Error not_supported() {
  return fail(ENOTSUP, sdk::errno_text(ENOTSUP));
}

Status result_of(int error) {
  if (error == 0) return {};
  if (unsupported(error)) return not_supported();
  return system_error(error);
}

}  // namespace

FileNode::FileNode(Kind kind, OpenFile file, ImageLocks locks, Alignment alignment,
                   uint32_t open_flags)
    : kind_(kind),
      file_(std::move(file)),
      locks_(std::move(locks)),
      alignment_(alignment),
      open_flags_(open_flags) {}

Result<uint64_t> FileNode::size() const {
  INSTAR_TRY(const uint64_t length, length_of(fd()));
  return sdk::round_up(length, kSector);
}

void FileNode::limits(instar_node_limits& limits) const {
  limits.request_alignment = alignment_.request;
  limits.memory_alignment = alignment_.memory;
  limits.flags |= INSTAR_NODE_SPARSE_ZERO;
  if (file_.regular) limits.flags |= INSTAR_NODE_ZERO_INIT;
  if (file_.block_device) {
    int sector = 0;
    if (::ioctl(fd(), BLKSSZGET, &sector) != 0 || sector < 512) sector = 512;
    limits.write_zeroes_alignment = limits.discard_alignment = static_cast<uint32_t>(sector);
  }
  if (writable()) return;
  limits.flags |= INSTAR_NODE_READ_ONLY;
  limits.can_write = limits.can_write_zeroes = limits.can_discard = INSTAR_ABILITY_NONE;
}

Status FileNode::read(const Call&, uint64_t offset, IoVec to) const {
  return read_all(fd(), offset, to);
}

Status FileNode::write(const Call&, uint64_t offset, IoVec from, uint32_t flags) {
  const bool durable = (flags & INSTAR_WRITE_FUA) != 0 && (open_flags_ & INSTAR_OPEN_NO_FLUSH) == 0;
  return write_all(fd(), offset, from, durable);
}

Status FileNode::write_zeroes(const Call& call, uint64_t offset, uint64_t length, uint32_t flags) {
  if (length == 0) return {};
  forget_data();
  INSTAR_CHECK(file_.regular ? zero_file(offset, length, flags)
                             : zero_device(offset, length, flags));
  return (flags & INSTAR_WRITE_FUA) != 0 ? flush(call) : Status{};
}

Status FileNode::zero_file(uint64_t offset, uint64_t length, uint32_t flags) {
  constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  const uint64_t end = offset + length;
  if ((flags & INSTAR_WRITE_MAY_UNMAP) != 0) {
    const int error = allocate(fd(), kPunch, offset, length);
    if (error == 0) return extend_to(offset, end);
    if (!unsupported(error)) return system_error(error);
  }
  const int error = allocate(fd(), FALLOC_FL_ZERO_RANGE, offset, length);
  if (error == 0 || !unsupported(error)) return result_of(error);
  // Two steps where the file system lacks the one: the range is there, and then it is zeroes.
  if (allocate(fd(), kPunch, offset, length) != 0) return not_supported();
  return result_of(allocate(fd(), 0, offset, length));
}

/** Makes the file at least `end` bytes long; [offset, end) is a hole. Never by ftruncate: another
 * thread or the engine, on the same descriptor, may be writing behind `end`. */
Status FileNode::extend_to(uint64_t offset, uint64_t end) {
  INSTAR_TRY(const uint64_t length, length_of(fd()));
  if (length >= end) return {};
  const uint64_t last = end - std::min<uint64_t>(end - offset, alignment_.request);
  if (const int error = allocate(fd(), 0, last, end - last)) return result_of(error);
  // The block that made it longer is given back.
  allocate(fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, end - offset);
  return {};
}

Status FileNode::zero_device(uint64_t offset, uint64_t length, uint32_t flags) {
  if (!file_.block_device) return not_supported();
  if ((flags & INSTAR_WRITE_MAY_UNMAP) != 0) {
    constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    const int error = allocate(fd(), kPunch, offset, length);
    if (error == 0 || !unsupported(error)) return result_of(error);
  }
  // The kernel may write plain zeroes itself here, which the caller does not want then.
  if ((flags & INSTAR_WRITE_NO_FALLBACK) != 0) return not_supported();
  uint64_t range[2] = {offset, length};
  return result_of(::ioctl(fd(), BLKZEROOUT, range) == 0 ? 0 : errno);
}

Status FileNode::discard(const Call&, uint64_t offset, uint64_t length) {
  if (length == 0) return {};
  forget_data();
  int error = 0;
  if (file_.block_device) {
    uint64_t range[2] = {offset, length};
    error = ::ioctl(fd(), BLKDISCARD, range) == 0 ? 0 : errno;
  } else if (file_.regular) {
    error = allocate(fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
  }
  // A wish: where the storage can't, nothing happens.
  if (error == 0 || unsupported(error)) return {};
  return system_error(error);
}

Status FileNode::flush(const Call&) {
  if ((open_flags_ & INSTAR_OPEN_NO_FLUSH) != 0 || !writable()) return {};
  if (const int earlier = flush_error_.load()) return system_error(earlier);
  int result;
  do
    result = ::fdatasync(fd());
  while (result != 0 && errno == EINTR);
  if (result == 0 || errno == EINVAL) return {};  // EINVAL: a character device
  const int error = errno;
  // The kernel has dropped the pages: a second fdatasync would claim success.
  if (!file_.direct) flush_error_.store(error);
  return system_error(error);
}

Status FileNode::resize(const Call& call, uint64_t size, uint32_t preallocation, uint32_t flags,
                        const instar_progress* progress) {
  forget_data();
  const auto mode = static_cast<instar_preallocation>(preallocation);
  if (file_.regular) return resize_file(call, fd(), size, mode, progress);
  return resize_device(fd(), size, mode, (flags & INSTAR_RESIZE_EXACT) != 0);
}

void FileNode::info(sdk::JsonWriter& json) const {
  json.begin_object();
  if (kind_ != Kind::kHostCdrom) {
    json.field("dirty-flag", false);
    json.key("format-specific").begin_object().field("type", "file").key("data").begin_object();
    struct fsxattr attributes {};
    if (::ioctl(fd(), FS_IOC_FSGETXATTR, &attributes) == 0 && attributes.fsx_extsize != 0)
      json.field("extent-size-hint", attributes.fsx_extsize);
    json.end_object().end_object();
  }
  json.end_object();
}

Result<uint64_t> FileNode::allocated_size() const {
  struct stat st {};
  if (::fstat(fd(), &st) != 0) return system_error(errno);
  return static_cast<uint64_t>(st.st_blocks) * 512;
}

Status FileNode::rawfd(instar_rawfd& out) const {
  out.fd = fd();
  out.base = 0;
  out.direct = file_.direct ? 1 : 0;
  out.block_device = file_.block_device ? 1 : 0;
  return {};
}

Status FileNode::set_permissions(const Call&, uint32_t used, uint32_t shared) {
  return locks_.set({used, shared});
}

}  // namespace instar::file
