// SPDX-License-Identifier: Apache-2.0
#include "sdk/conformance/disk.hpp"

#include <algorithm>
#include <cstring>

namespace instar::conformance {

namespace {
constexpr uint8_t kRubbish = 0xdd;
constexpr uint64_t kHoleSize = 4096;
}  // namespace

uint64_t Disk::size() const {
  const std::lock_guard lock(mutex_);
  return bytes_.size();
}

std::vector<uint8_t> Disk::content() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

void Disk::replace(std::vector<uint8_t> bytes) {
  const std::lock_guard lock(mutex_);
  bytes_ = std::move(bytes);
  durable_ = bytes_;
  changes_.clear();
}

/** Called for every request, under the lock: whether it is let through. */
Status Disk::admit(DiskRequest kind) {
  if (kind == kDiskWrite) {
    ++writes_;
    if (writes_until_cut_ && *writes_until_cut_ > 0) {
      --*writes_until_cut_;
    } else if (writes_until_cut_) {
      return sdk::fail(EIO, "the power is cut");
    }
  } else if (writes_until_cut_ && *writes_until_cut_ == 0) {
    return sdk::fail(EIO, "the power is cut");
  }
  if (!fault_ || (fault_->kinds & kind) == 0) return {};
  if (fault_->skip > 0) {
    --fault_->skip;
    return {};
  }
  if (fault_->count == 0) return {};
  --fault_->count;
  ++failures_;
  return sdk::fail(fault_->err, sdk::errno_text(fault_->err));
}

Status Disk::reach(uint64_t end) {
  if (end > kMaxSize) return sdk::fail(ENOSPC, sdk::errno_text(ENOSPC));
  if (bytes_.size() < end) bytes_.resize(end);
  return {};
}

void Disk::remember(uint64_t offset, uint64_t length) {
  if (!watching_) return;
  const auto from = bytes_.begin() + static_cast<ptrdiff_t>(offset);
  changes_.push_back({offset, {from, from + static_cast<ptrdiff_t>(length)}});
}

Status Disk::read(uint64_t offset, IoVec to) {
  const std::lock_guard lock(mutex_);
  INSTAR_CHECK(admit(kDiskRead));
  const uint64_t length = to.length();
  const uint64_t inside =
      offset < bytes_.size() ? std::min<uint64_t>(length, bytes_.size() - offset) : 0;
  if (inside > 0) to.copy_in(0, bytes_.data() + offset, inside);
  to.fill_zero(inside, length - inside);
  return {};
}

Status Disk::write(uint64_t offset, const IoVec& from) {
  const std::lock_guard lock(mutex_);
  INSTAR_CHECK(admit(kDiskWrite));
  const uint64_t length = from.length();
  if (length > kMaxSize || offset > kMaxSize) return sdk::fail(ENOSPC, sdk::errno_text(ENOSPC));
  INSTAR_CHECK(reach(offset + length));
  from.copy_out(0, bytes_.data() + offset, length);
  remember(offset, length);
  return {};
}

Status Disk::write_zeroes(uint64_t offset, uint64_t length) {
  const std::lock_guard lock(mutex_);
  INSTAR_CHECK(admit(kDiskWrite));
  if (length > kMaxSize || offset > kMaxSize) return sdk::fail(ENOSPC, sdk::errno_text(ENOSPC));
  INSTAR_CHECK(reach(offset + length));
  std::memset(bytes_.data() + offset, 0, length);
  remember(offset, length);
  return {};
}

Status Disk::discard(uint64_t offset, uint64_t length) {
  const std::lock_guard lock(mutex_);
  INSTAR_CHECK(admit(kDiskWrite));
  const uint64_t end = std::min<uint64_t>(offset + length, bytes_.size());
  const uint64_t begin = sdk::round_up(offset, kSector);
  if (begin >= end) return {};
  std::memset(bytes_.data() + begin, kRubbish, end - begin);
  remember(begin, end - begin);
  return {};
}

Status Disk::flush() {
  const std::lock_guard lock(mutex_);
  INSTAR_CHECK(admit(kDiskFlush));
  durable_.resize(bytes_.size());
  for (const auto& change : changes_) {
    if (change.offset >= durable_.size()) continue;
    const size_t length = std::min<uint64_t>(change.bytes.size(), durable_.size() - change.offset);
    std::copy_n(change.bytes.begin(), length,
                durable_.begin() + static_cast<ptrdiff_t>(change.offset));
  }
  changes_.clear();
  return {};
}

Status Disk::resize(uint64_t size) {
  const std::lock_guard lock(mutex_);
  INSTAR_CHECK(admit(kDiskWrite));
  if (size > kMaxSize) return sdk::fail(ENOSPC, sdk::errno_text(ENOSPC));
  bytes_.resize(size);
  return {};
}

size_t Disk::extents(uint64_t offset, uint64_t length, instar_extent* out, size_t max) const {
  const std::lock_guard lock(mutex_);
  size_t count = 0;
  const uint64_t end = offset + length;
  for (uint64_t at = offset; at < end;) {
    const uint64_t n = std::min(kHoleSize - at % kHoleSize, end - at);
    // Of the whole block, wherever in it the question begins.
    const uint64_t block = at - at % kHoleSize;
    const bool hole =
        block >= bytes_.size() ||
        sdk::is_zero(bytes_.data() + block, std::min<uint64_t>(kHoleSize, bytes_.size() - block));
    const uint32_t flags =
        INSTAR_EXTENT_ALLOCATED | (hole ? INSTAR_EXTENT_ZERO : INSTAR_EXTENT_DATA);
    if (count > 0 && out[count - 1].flags == flags) {
      out[count - 1].length += n;
    } else {
      if (count == max) break;
      out[count++] = {n, 0, flags, 0};
    }
    at += n;
  }
  return count;
}

void Disk::fail_requests(unsigned kinds, uint64_t skip, int err, uint64_t count) {
  const std::lock_guard lock(mutex_);
  fault_ = Fault{kinds, skip, count, err};
  failures_ = 0;
}

void Disk::stop_failing() {
  const std::lock_guard lock(mutex_);
  fault_.reset();
}

uint64_t Disk::failures() const {
  const std::lock_guard lock(mutex_);
  return failures_;
}

uint64_t Disk::writes() const {
  const std::lock_guard lock(mutex_);
  return writes_;
}

void Disk::watch_power() {
  const std::lock_guard lock(mutex_);
  watching_ = true;
  durable_ = bytes_;
  changes_.clear();
}

void Disk::cut_power_after(uint64_t writes) {
  const std::lock_guard lock(mutex_);
  writes_until_cut_ = writes;
}

std::vector<uint8_t> Disk::after_power_cut(std::mt19937_64& random) const {
  const std::lock_guard lock(mutex_);
  auto left = durable_;
  const auto kept = [&] { return (random() & 1) != 0; };
  for (const auto& change : changes_)
    for (uint64_t done = 0; done < change.bytes.size();) {
      const uint64_t at = change.offset + done;
      const uint64_t n = std::min<uint64_t>(kSector - at % kSector, change.bytes.size() - done);
      if (kept() && at + n <= kMaxSize) {
        if (left.size() < at + n) left.resize(at + n);
        std::copy_n(change.bytes.begin() + static_cast<ptrdiff_t>(done), n,
                    left.begin() + static_cast<ptrdiff_t>(at));
      }
      done += n;
    }
  if (kept() && left.size() < bytes_.size()) left.resize(bytes_.size());
  return left;
}

}  // namespace instar::conformance
