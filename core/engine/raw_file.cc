// SPDX-License-Identifier: Apache-2.0
#include "core/engine/raw_file.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/trace.hpp"
#include "sdk/abi/map.h"
#include "sdk/abi/rawfd.h"

namespace instar::engine {

std::unique_ptr<RawFile> RawFile::of(block::Node& node) {
  void* self = nullptr;
  const auto* ops = node.interface<instar_rawfd_ops>(INSTAR_RAWFD_ID, &self);
  if (ops == nullptr || ops->get == nullptr) return nullptr;
  instar_rawfd raw{};
  raw.struct_size = sizeof raw;
  sdk::OutgoingCall call;
  struct stat st;
  if (ops->get(self, call.abi(), &raw) < 0 || fstat(raw.fd, &st) != 0) return nullptr;
  std::unique_ptr<RawFile> file(new RawFile);
  file->fd_ = raw.fd;
  file->base_ = raw.base;
  file->direct_ = raw.direct != 0;
  file->regular_ = S_ISREG(st.st_mode);
  file->device_ = S_ISREG(st.st_mode) ? st.st_dev : st.st_rdev;
  file->inode_ = S_ISREG(st.st_mode) ? st.st_ino : 0;
  struct statfs fs;
  if (file->regular_ && fstatfs(raw.fd, &fs) == 0 && fs.f_bsize > 0)
    file->block_size_ = static_cast<uint64_t>(fs.f_bsize);
  return file;
}

bool RawFile::same_bytes(uint64_t offset, const RawFile& other, uint64_t other_offset) const {
  return device_ == other.device_ && inode_ == other.inode_ && regular_ == other.regular_ &&
         base_ + offset == other.base_ + other_offset;
}

uint64_t RawFile::next_data(uint64_t offset) const {
  const off_t data = lseek(fd_, static_cast<off_t>(base_ + offset), SEEK_DATA);
  if (data < 0) return errno == ENXIO ? UINT64_MAX : offset;
  return std::max(static_cast<uint64_t>(data), base_ + offset) - base_;
}

int RawFile::read(uint64_t offset, void* to, size_t len) const {
  auto* at = static_cast<uint8_t*>(to);
  while (len > 0) {
    const ssize_t n = pread(fd_, at, len, static_cast<off_t>(base_ + offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -errno;
    if (n == 0) {
      std::memset(at, 0, len);
      return 0;
    }
    at += n;
    offset += static_cast<uint64_t>(n);
    len -= static_cast<size_t>(n);
  }
  return 0;
}

int RawFile::write(uint64_t offset, const void* from, size_t len) const {
  const auto* at = static_cast<const uint8_t*>(from);
  while (len > 0) {
    const ssize_t n = pwrite(fd_, at, len, static_cast<off_t>(base_ + offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -errno;
    if (n == 0) return -ENOSPC;
    at += n;
    offset += static_cast<uint64_t>(n);
    len -= static_cast<size_t>(n);
  }
  return 0;
}

bool RawFile::same_file_system(const RawFile& source) const {
  return regular_ && source.regular_ && device_ == source.device_;
}

bool RawFile::can_clone_from(const RawFile& source) const {
  struct stat st;
  if (!same_file_system(source) || fstat(source.fd_, &st) != 0) return false;
  // A range that no file system accepts: those that share blocks refuse the range, the others all.
  file_clone_range range{};
  range.src_fd = source.fd_;
  range.src_offset = (static_cast<uint64_t>(st.st_size) | (block_size_ - 1)) + 2;
  range.src_length = 1;
  range.dest_offset = range.src_offset;
  return ioctl(fd_, FICLONERANGE, &range) != 0 && errno == EINVAL;
}

int RawFile::clone_from(const RawFile& source, uint64_t source_offset, uint64_t offset,
                        uint64_t len) const {
  file_clone_range range{};
  range.src_fd = source.fd_;
  range.src_offset = source.base_ + source_offset;
  range.src_length = len;
  range.dest_offset = base_ + offset;
  return ioctl(fd_, FICLONERANGE, &range) == 0 ? 0 : -errno;
}

int RawFile::copy_from(const RawFile& source, uint64_t source_offset, uint64_t offset,
                       uint64_t len) const {
  auto from = static_cast<off_t>(source.base_ + source_offset);
  auto to = static_cast<off_t>(base_ + offset);
  while (len > 0) {
    const ssize_t n = copy_file_range(source.fd_, &from, fd_, &to, len, 0);
    const int error = n < 0 ? errno : 0;
    base::trace(base::Event::kCopyRange, "src_fd ", source.fd_, " dst_fd ", fd_, " offset ",
                int64_t{to}, " bytes ", len, " ret ", int64_t{n});
    if (error == EINTR) continue;
    if (error != 0) return -error;
    if (n == 0) return -EINVAL;  // the source ends here; what is missing reads as zeroes
    len -= static_cast<uint64_t>(n);
  }
  return 0;
}

namespace {

/** Whether bytes may be read past a node: it says so, and so does each node that stands below it. A
 * throttle filter does not. */
bool allows_plain_reads(block::Node& node) {
  if (node.kind() == block::NodeKind::kProtocol) return true;
  void* self = nullptr;
  if (node.interface<instar_map_ops>(INSTAR_MAP_ID, &self) == nullptr) return false;
  return std::all_of(node.children().begin(), node.children().end(), [](const auto& child) {
    return child.role == INSTAR_CHILD_BACKING || allows_plain_reads(*child.node);
  });
}

}  // namespace

RawFiles::Known& RawFiles::look_up(block::Node& node) {
  for (const auto& known : known_)
    if (known->node == &node) return *known;
  known_.push_back(
      std::make_unique<Known>(Known{&node, allows_plain_reads(node), RawFile::of(node)}));
  return *known_.back();
}

const RawFile* RawFiles::find(block::Node& node) {
  return look_up(node).file.get();
}

const RawFile* RawFiles::plain(const block::ChainExtent& extent) {
  constexpr uint32_t kPacked = INSTAR_EXTENT_COMPRESSED | INSTAR_EXTENT_ENCRYPTED;
  if ((extent.flags & INSTAR_EXTENT_OFFSET) == 0 || (extent.flags & kPacked) != 0) return nullptr;
  if (extent.file == nullptr || extent.layer == nullptr) return nullptr;
  if (!look_up(*extent.layer).allows_plain_reads) return nullptr;
  return find(*extent.file);
}

}  // namespace instar::engine
