// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/host_file.hpp"

namespace instar::qcow2 {
namespace {
/** No file is read beyond, as QEMU has it. */
constexpr uint64_t kMaxEnd = sdk::round_down(INT64_MAX, 1u << 30);
}  // namespace

IoSlice::IoSlice(const IoVec& all, uint64_t position, uint64_t length) {
  all.walk(position, length, [&](uint8_t* piece, uint64_t, size_t n) {
    if (n != 0) pieces_.push_back({piece, n});
  });
}

Result<HostFile> HostFile::open(sdk::NodeRef node, bool flushes) {
  INSTAR_TRY(const uint64_t size, node.size());
  INSTAR_TRY(const instar_node_limits limits, node.limits());
  HostFile file;
  file.node_ = node;
  file.events_ = sdk::DebugEvents(node);
  file.size_ = size;
  file.flushes_ = flushes;
  file.zero_init_ = (limits.flags & INSTAR_NODE_ZERO_INIT) != 0;
  return file;
}

HostFile& HostFile::operator=(HostFile&& other) noexcept {
  node_ = other.node_;
  events_ = other.events_;
  size_.store(other.size_.load());
  flushes_ = other.flushes_;
  zero_init_ = other.zero_init_;
  return *this;
}

Status HostFile::read(const Call& call, uint64_t offset, const IoVec& to, uint64_t position,
                      uint64_t length) const {
  if (offset > kMaxEnd || length > kMaxEnd - offset) return fail(EIO, sdk::errno_text(EIO));
  const uint64_t end = size();
  const uint64_t present = offset < end ? std::min(length, end - offset) : 0;
  if (present < length) to.fill_zero(position + present, length - present);
  if (present == 0) return {};
  if (position == 0 && to.count() == 1 && to.begin()->len == present)
    return node_.read(call, offset, to);
  const IoSlice slice(to, position, present);
  return node_.read(call, offset, slice.vec());
}

Status HostFile::read(const Call& call, uint64_t offset, void* to, size_t length) const {
  const instar_iovec piece{to, length};
  return read(call, offset, IoVec(&piece, 1), 0, length);
}

Status HostFile::write(const Call& call, uint64_t offset, const IoVec& from, uint64_t position,
                       uint64_t length) {
  if (position == 0 && from.length() == length) {
    INSTAR_CHECK(node_.write(call, offset, from));
  } else {
    const IoSlice slice(from, position, length);
    INSTAR_CHECK(node_.write(call, offset, slice.vec()));
  }
  note_end(offset + length);
  return {};
}

Status HostFile::write(const Call& call, uint64_t offset, const void* from, size_t length) {
  const instar_iovec piece{const_cast<void*>(from), length};
  return write(call, offset, IoVec(&piece, 1), 0, length);
}

Status HostFile::write_zeroes(const Call& call, uint64_t offset, uint64_t length, uint32_t flags) {
  INSTAR_CHECK(node_.write_zeroes(call, offset, length, flags));
  note_end(offset + length);
  return {};
}

Status HostFile::discard(const Call& call, uint64_t offset, uint64_t length) const {
  const uint64_t end = size();
  if (offset >= end) return {};
  return node_.discard(call, offset, std::min(length, end - offset));
}

Status HostFile::resize(const Call& call, uint64_t end, uint32_t mode) {
  INSTAR_CHECK(node_.resize(call, end, mode));
  size_.store(end, std::memory_order_release);
  return {};
}

Status HostFile::flush(const Call& call) const {
  if (!flushes_) return {};
  return node_.flush(call);
}

void HostFile::note_end(uint64_t end) {
  uint64_t known = size_.load(std::memory_order_relaxed);
  while (known < end && !size_.compare_exchange_weak(known, end, std::memory_order_release)) {
  }
}

}  // namespace instar::qcow2
