// SPDX-License-Identifier: Apache-2.0
// Requests, cut where extents meet.
#include <algorithm>
#include <random>

#include "plugins/formats/vmdk/image.hpp"

namespace instar::vmdk {

using sdk::Call;
using sdk::fail;
using sdk::IoSlice;
using sdk::IoVec;
using sdk::Result;
using sdk::Status;

Extent& Image::extent_at(uint64_t offset) {
  return *std::upper_bound(extents_.begin(), extents_.end(), offset,
                           [](uint64_t at, const Extent& extent) { return at < extent.end(); });
}

template <class Each>
Status Image::walk(uint64_t offset, uint64_t length, Each each) {
  const uint64_t end = offset + length;
  if (end > size()) return fail(EIO, sdk::errno_text(EIO));
  for (uint64_t at = offset; at < end;) {
    Extent& extent = extent_at(at);
    const uint64_t n = std::min(end, extent.end()) - at;
    INSTAR_CHECK(each(extent, at, n));
    at += n;
  }
  return {};
}

Status Image::read(const Call& call, uint64_t offset, IoVec to) {
  return walk(offset, to.length(), [&](Extent& extent, uint64_t at, uint64_t n) -> Status {
    if (!extent.sparse)
      return extent.flat.read(call, extent.flat_offset + (at - extent.begin), to, at - offset, n);
    return extent.sparse->read(call, at, IoSlice(to, at - offset, n).vec());
  });
}

Status Image::write_descriptor(const Call& call, std::string text) {
  if (text.size() > most_descriptor()) return fail(ENOSPC, sdk::errno_text(ENOSPC));
  // What a longer text left over is not to be read again.
  const uint64_t least = has_descriptor_inside() ? most_descriptor() : file_.size();
  text.resize(std::clamp<uint64_t>(least, text.size(), most_descriptor()), '\0');
  text.resize(sdk::round_up(text.size(), kSector), '\0');
  return file_.write(call, descriptor_offset_, text.data(), text.size());
}

/** Another CID, once. */
Status Image::begin_change(const Call& call) {
  if (!writable()) return fail(EACCES, sdk::errno_text(EACCES));
  const std::lock_guard lock(mutex_);
  if (changed_) return {};
  INSTAR_TRY(const std::string text, descriptor_text(call));
  const std::string changed = replace_cid(text, std::random_device{}());
  cid_ = find_cid(changed, "CID").value_or(cid_);
  INSTAR_CHECK(write_descriptor(call, changed));
  changed_ = true;
  return {};
}

Status Image::write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) {
  INSTAR_CHECK(begin_change(call));
  INSTAR_CHECK(walk(offset, from.length(), [&](Extent& extent, uint64_t at, uint64_t n) -> Status {
    if (!extent.sparse)
      return extent.flat.write(call, extent.flat_offset + (at - extent.begin), from, at - offset,
                               n);
    const IoSlice part(from, at - offset, n);
    if (extent.compressed()) return extent.sparse->write_packed(call, at, part.vec());
    return extent.sparse->write(call, at, part.vec(), 0);
  }));
  return (flags & INSTAR_WRITE_FUA) != 0 ? flush(call) : Status{};
}

Status Image::write_zeroes(const Call& call, uint64_t offset, uint64_t length, uint32_t flags) {
  INSTAR_CHECK(begin_change(call));
  const uint32_t plain = flags & ~uint32_t{INSTAR_WRITE_FUA};
  INSTAR_CHECK(walk(offset, length, [&](Extent& extent, uint64_t at, uint64_t n) -> Status {
    if (!extent.sparse)
      return extent.flat.write_zeroes(call, extent.flat_offset + (at - extent.begin), n, plain);
    if (extent.compressed()) return extent.sparse->zero_packed(call, at, n);
    return extent.sparse->write_zeroes(call, at, n, plain);
  }));
  return (flags & INSTAR_WRITE_FUA) != 0 ? flush(call) : Status{};
}

Status Image::flush(const Call& call) {
  if (!writable()) return {};
  for (auto& extent : extents_)
    INSTAR_CHECK(extent.sparse ? extent.sparse->flush(call) : extent.flat.flush(call));
  return file_.flush(call);
}

Status Image::close(const Call& call) {
  if (!writable()) return {};
  Status result;
  for (auto& extent : extents_) {
    if (!extent.sparse) continue;
    auto closed = extent.sparse->close(call);
    if (result) result = std::move(closed);
  }
  return result;
}

Result<size_t> Image::extents(const Call& call, uint64_t offset, uint64_t length,
                              instar_extent* out, size_t max) {
  size_t count = 0;
  INSTAR_CHECK(walk(offset, length, [&](Extent& extent, uint64_t at, uint64_t n) -> Status {
    if (count == max) return {};
    if (!extent.sparse) {
      out[count++] = {n, extent.flat_offset + (at - extent.begin),
                      INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_OFFSET |
                          INSTAR_EXTENT_RECURSE,
                      extent.flat.id()};
      return {};
    }
    INSTAR_TRY(const size_t more, extent.sparse->extents(call, at, n, out + count, max - count));
    uint64_t covered = 0;
    for (size_t i = 0; i < more; ++i)
      covered += out[count + i].length;
    count += more;
    if (covered < n) max = count;  // the next extent does not follow
    return {};
  }));
  return count;
}

Result<size_t> Image::prepare_write(const Call& call, uint64_t offset, uint64_t length,
                                    instar_placement* out, size_t max) {
  Extent& extent = extent_at(offset);
  if (max == 0 || offset >= size() || extent.compressed()) return size_t{0};
  INSTAR_CHECK(begin_change(call));
  length = std::min(length, extent.end() - offset);
  if (extent.sparse) return extent.sparse->prepare_write(call, offset, length, out, max);
  out[0] = {offset, length, extent.flat_offset + (offset - extent.begin), 0, extent.flat.id(), 0};
  return size_t{1};
}

Status Image::commit_write(const Call& call, const instar_placement* placements, size_t count) {
  Status result;
  for (size_t i = 0; i < count; ++i) {
    Extent& extent = extent_at(placements[i].offset);
    if (!extent.sparse) continue;
    auto stored = extent.sparse->commit_write(call, placements + i, 1);
    if (result) result = std::move(stored);
  }
  return result;
}

void Image::abort_write(const instar_placement* placements, size_t count) {
  for (size_t i = count; i > 0; --i) {
    Extent& extent = extent_at(placements[i - 1].offset);
    if (extent.sparse) extent.sparse->abort_write(placements + i - 1, 1);
  }
}

Result<int64_t> Image::pack(const Call&, sdk::ConstBytes block, sdk::Bytes out) {
  // Asked to compress, QEMU writes other extents plainly.
  if (extents_.empty() || !extents_.front().compressed()) return int64_t{-ENOSPC};
  return extents_.front().sparse->pack(block, out);
}

Status Image::store(const Call& call, uint64_t offset, size_t, sdk::ConstBytes packed) {
  if (offset >= size() || !extent_at(offset).compressed())
    return fail(EINVAL, sdk::errno_text(EINVAL));
  INSTAR_CHECK(begin_change(call));
  return extent_at(offset).sparse->store_packed(call, offset, packed);
}

}  // namespace instar::vmdk
