// SPDX-License-Identifier: Apache-2.0
// Requests: what a user asks for, cut into what the driver takes.
#include <algorithm>
#include <cstring>

#include "core/block/node_private.hpp"

namespace instar::block {

namespace {

using sdk::OutgoingCall;
using sdk::round_down;
using sdk::round_up;

constexpr uint64_t kBounceSize = 1 << 20;
constexpr uint64_t kSector = 512;
constexpr uint64_t kProbedBlock = 512;
constexpr size_t kZeroesSize = 1 << 20;

/** Shared by everyone who writes zeroes plainly; aligned for any device. */
alignas(4096) constinit const uint8_t kZeroes[kZeroesSize] = {};

/** The part [position, position + length) of some pieces, as pieces of its own. */
class Slice {
 public:
  Slice(const IoVec& all, uint64_t position, uint64_t length) {
    pieces_.reserve(all.count());
    all.walk(position, length, [&](uint8_t* piece, uint64_t, size_t n) {
      pieces_.push_back({piece, n});
    });
  }
  IoVec pieces() const { return IoVec(pieces_.data(), pieces_.size()); }

 private:
  std::vector<instar_iovec> pieces_;
};

bool all_zero(const IoVec& pieces) {
  return std::all_of(pieces.begin(), pieces.end(),
                     [](const instar_iovec& piece) { return sdk::is_zero(piece.base, piece.len); });
}

/** Bytes that one buffer of a bounced request holds: whole blocks, one transfer. */
uint64_t bounce_size(const instar_node_limits& limits) {
  const uint64_t size = round_up(kBounceSize, limits.request_alignment);
  return limits.max_transfer != 0 ? std::min<uint64_t>(size, limits.max_transfer) : size;
}

/** A request that ends beyond 2^63 can't be one. */
Status check_range(uint64_t offset, uint64_t length) {
  uint64_t end = 0;
  if (sdk::add_overflows(offset, length, &end) || end > INT64_MAX)
    return fail(EIO, errno_text(EIO));
  return {};
}

}  // namespace

/** Every request is shown as it came, before it is cut. */
void Node::trace_request(base::Event event, uint64_t offset, uint64_t length,
                         uint32_t flags) const {
  if (!base::trace_enabled(event)) return;
  base::write_trace(event, cat("bs ", base::hex_number(this), " offset ", offset, " bytes ", length,
                               " flags ", base::hex_number(flags)));
}

/** Tells the driver what is done with its node, if it wants to know. */
void Node::note(const char* event) const {
  if (private_->debug_ops != nullptr) private_->debug_ops->event(private_->debug_self, event);
}

/** The size; asks the driver only if `end` lies beyond what it said last. */
Result<uint64_t> Node::size_covering(uint64_t end) const {
  const uint64_t known = private_->known_size.load(std::memory_order_relaxed);
  if (end <= known && !private_->size_is_volatile.load(std::memory_order_relaxed)) return known;
  return driver_size();
}

bool Node::fits(uint64_t offset, uint64_t length, const IoVec& pieces) const {
  const auto& limits = driver_limits_;
  if (((offset | length) & (limits.request_alignment - 1)) != 0) return false;
  const uint64_t mask = limits.memory_alignment - 1;
  if (mask == 0 && limits.request_alignment == 1) return true;
  // Cutting must not make pieces that the memory's alignment forbids.
  const bool cut = limits.max_transfer != 0 && length > limits.max_transfer;
  if (cut && (pieces.count() != 1 || (limits.max_transfer & mask) != 0)) return false;
  const uint64_t length_mask = limits.request_alignment - 1;
  return std::all_of(pieces.begin(), pieces.end(), [&](const instar_iovec& piece) {
    return (reinterpret_cast<uintptr_t>(piece.base) & mask) == 0 && (piece.len & length_mask) == 0;
  });
}

Status Node::read(const Call& call, uint64_t offset, void* to, size_t len) {
  const instar_iovec piece{to, len};
  return read(call, offset, IoVec(&piece, 1));
}

Status Node::read(const Call& call, uint64_t offset, IoVec to) {
  uint64_t length = to.length();
  if (length == 0) return {};
  trace_request(base::Event::kRead, offset, length, 0);
  INSTAR_CHECK(check_range(offset, length));
  INSTAR_TRY(const uint64_t size, size_covering(offset + length));
  if (offset + length <= size)
    return fits(offset, length, to) ? read_driver(call, offset, to)
                                    : read_bounced(call, offset, to, length);
  const uint64_t inside = offset < size ? size - offset : 0;
  to.fill_zero(inside, length - inside);
  if (inside == 0) return {};
  const Slice part(to, 0, inside);
  if (fits(offset, inside, part.pieces())) return read_driver(call, offset, part.pieces());
  return read_bounced(call, offset, to, inside);
}

Status Node::read_driver(const Call& call, uint64_t offset, IoVec to) {
  const auto run = [&](uint64_t at, const IoVec& pieces) -> Status {
    OutgoingCall inner(&call);
    const DriverLock lock(private_->ops.thread_model, private_->node_mutex, private_->plugin_mutex);
    return inner.status(
        private_->ops.read(driver_node_.self, inner.abi(), at, pieces.data(), pieces.count()));
  };
  const uint64_t most = driver_limits_.max_transfer;
  const uint64_t length = to.length();
  if (most == 0 || length <= most) return run(offset, to);
  for (uint64_t done = 0; done < length; done += most) {
    const Slice part(to, done, std::min(most, length - done));
    INSTAR_CHECK(run(offset + done, part.pieces()));
  }
  return {};
}

/** Reads whole blocks into an aligned buffer and copies the wanted bytes. */
Status Node::read_bounced(const Call& call, uint64_t offset, const IoVec& to, uint64_t length) {
  const uint64_t unit = driver_limits_.request_alignment;
  const uint64_t begin = round_down(offset, unit);
  const uint64_t end = round_up(offset + length, unit);
  const uint64_t step = std::min(end - begin, bounce_size(driver_limits_));
  const AlignedBuffer buffer(std::max<size_t>(driver_limits_.memory_alignment, 4096), step);
  if (!buffer) return fail(ENOMEM, errno_text(ENOMEM));
  for (uint64_t at = begin; at < end; at += step) {
    const uint64_t chunk = std::min(step, end - at);
    const instar_iovec piece{buffer.data(), static_cast<size_t>(chunk)};
    INSTAR_CHECK(read_driver(call, at, IoVec(&piece, 1)));
    const uint64_t from = std::max(at, offset);
    const uint64_t until = std::min(at + chunk, offset + length);
    to.copy_in(from - offset, buffer.data() + (from - at), until - from);
  }
  return {};
}

/** Whether writes beyond the end make the node longer. */
bool Node::growable() const {
  if (kind_ == NodeKind::kProtocol) return true;
  for (const auto& child : children_)
    if (child.role == INSTAR_CHILD_FILTERED) return child.node->growable();
  return false;
}

Status Node::admit_write(uint64_t offset, uint64_t length) const {
  if (!writable() || private_->ops.write == nullptr) return fail(EPERM, errno_text(EPERM));
  INSTAR_CHECK(check_range(offset, length));
  if (growable()) return {};
  INSTAR_TRY(const uint64_t size, size_covering(offset + length));
  if (offset + length > round_up(size, kSector)) return fail(EIO, errno_text(EIO));
  return {};
}

/** For images whose raw format was guessed: a guest must not turn them into another format. */
Status Node::admit_first_block(const Call& call, uint64_t offset, const IoVec& from) {
  uint8_t block[kProbedBlock];
  INSTAR_CHECK(read(call, 0, block, sizeof block));
  const uint64_t len = std::min<uint64_t>(from.length(), kProbedBlock - offset);
  from.copy_out(0, block + offset, len);
  if (private_->policy.admits_first_block(block)) return {};
  return fail(EPERM, errno_text(EPERM));
}

Status Node::write(const Call& call, uint64_t offset, const void* from, size_t len,
                   uint32_t flags) {
  const instar_iovec piece{const_cast<void*>(from), len};
  return write(call, offset, IoVec(&piece, 1), flags);
}

Status Node::write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) {
  const uint64_t length = from.length();
  if (length == 0) return {};
  trace_request(base::Event::kWrite, offset, length, flags);
  INSTAR_CHECK(admit_write(offset, length));
  const auto& policy = private_->policy;
  if (offset < kProbedBlock && policy.admits_first_block)
    INSTAR_CHECK(admit_first_block(call, offset, from));
  if (policy.detect_zeroes != DetectZeroes::kOff && all_zero(from)) {
    uint32_t zero_flags = flags & INSTAR_WRITE_FUA;
    if (policy.detect_zeroes == DetectZeroes::kUnmap) zero_flags |= INSTAR_WRITE_MAY_UNMAP;
    return write_zeroes(call, offset, length, zero_flags);
  }
  INSTAR_CHECK(write_through(call, offset, from, length));
  const bool stable =
      (flags & INSTAR_WRITE_FUA) != 0 || (open_flags_ & INSTAR_OPEN_WRITETHROUGH) != 0;
  return stable ? flush(call) : Status{};
}

Status Node::write_through(const Call& call, uint64_t offset, const IoVec& from, uint64_t length) {
  const uint64_t unit = driver_limits_.request_alignment;
  if (unit == 1)
    return fits(offset, length, from) ? write_driver(call, offset, from)
                                      : write_bounced(call, offset, from, length);
  const uint64_t begin = round_down(offset, unit);
  const uint64_t end = round_up(offset + length, unit);
  const bool whole_blocks = begin == offset && end == offset + length;
  const RangeLocks::Hold hold(private_->writes, begin, end, !whole_blocks);
  return fits(offset, length, from) ? write_driver(call, offset, from)
                                    : write_bounced(call, offset, from, length);
}

Status Node::write_driver(const Call& call, uint64_t offset, IoVec from) {
  note("pwritev");
  Status written = write_driver_parts(call, offset, from);
  note("pwritev_done");
  return written;
}

Status Node::write_driver_parts(const Call& call, uint64_t offset, const IoVec& from) {
  const auto run = [&](uint64_t at, const IoVec& pieces) -> Status {
    OutgoingCall inner(&call);
    const DriverLock lock(private_->ops.thread_model, private_->node_mutex, private_->plugin_mutex);
    return inner.status(
        private_->ops.write(driver_node_.self, inner.abi(), at, pieces.data(), pieces.count(), 0));
  };
  const uint64_t most = driver_limits_.max_transfer;
  const uint64_t length = from.length();
  if (most == 0 || length <= most) return run(offset, from);
  for (uint64_t done = 0; done < length; done += most) {
    const Slice part(from, done, std::min(most, length - done));
    INSTAR_CHECK(run(offset + done, part.pieces()));
  }
  return {};
}

/** Writes whole blocks from an aligned buffer; those that are covered in part are read before. */
Status Node::write_bounced(const Call& call, uint64_t offset, const IoVec& from, uint64_t length) {
  const uint64_t unit = driver_limits_.request_alignment;
  const uint64_t begin = round_down(offset, unit);
  const uint64_t end = round_up(offset + length, unit);
  const uint64_t step = std::min(end - begin, bounce_size(driver_limits_));
  const AlignedBuffer buffer(std::max<size_t>(driver_limits_.memory_alignment, 4096), step);
  if (!buffer) return fail(ENOMEM, errno_text(ENOMEM));
  for (uint64_t at = begin; at < end; at += step) {
    const uint64_t chunk = std::min(step, end - at);
    const uint64_t wanted = std::max(at, offset);
    const uint64_t until = std::min(at + chunk, offset + length);
    INSTAR_CHECK(fill_edges(call, at, at + chunk, wanted, until, buffer.data()));
    from.copy_out(wanted - offset, buffer.data() + (wanted - at), until - wanted);
    const instar_iovec piece{buffer.data(), static_cast<size_t>(chunk)};
    INSTAR_CHECK(write_driver(call, at, IoVec(&piece, 1)));
  }
  return {};
}

/** Reads the first and last block of [begin, end) where the wanted range leaves bytes of them. */
Status Node::fill_edges(const Call& call, uint64_t begin, uint64_t end, uint64_t wanted_begin,
                        uint64_t wanted_end, uint8_t* buffer) {
  const uint64_t unit = driver_limits_.request_alignment;
  const auto fill = [&](uint64_t block) -> Status {
    INSTAR_TRY(const uint64_t size, size_covering(block + unit));
    if (block >= size) {
      std::memset(buffer + (block - begin), 0, unit);
      return {};
    }
    const AlignedBuffer aligned(std::max<size_t>(driver_limits_.memory_alignment, 4096), unit);
    if (!aligned) return fail(ENOMEM, errno_text(ENOMEM));
    const instar_iovec piece{aligned.data(), static_cast<size_t>(unit)};
    INSTAR_CHECK(read_driver(call, block, IoVec(&piece, 1)));
    std::memcpy(buffer + (block - begin), aligned.data(), unit);
    return {};
  };
  const bool head = wanted_begin != begin;
  const bool tail = wanted_end != end;
  const uint64_t last = end - unit;
  const bool same = head && tail && last == begin;
  if (head) {
    note("pwritev_rmw.head");
    if (same) note("pwritev_rmw.tail");
    INSTAR_CHECK(fill(begin));
    note("pwritev_rmw.after_head");
    if (same) note("pwritev_rmw.after_tail");
  }
  if (!tail || same) return {};
  note("pwritev_rmw.tail");
  INSTAR_CHECK(fill(last));
  note("pwritev_rmw.after_tail");
  return {};
}

Status Node::zero_plainly(const Call& call, uint64_t offset, uint64_t length, uint32_t flags) {
  if ((flags & INSTAR_WRITE_NO_FALLBACK) != 0) return fail(ENOTSUP, errno_text(ENOTSUP));
  while (length > 0) {
    const uint64_t n = std::min<uint64_t>(length, kZeroesSize);
    const instar_iovec piece{const_cast<uint8_t*>(kZeroes), static_cast<size_t>(n)};
    INSTAR_CHECK(write_through(call, offset, IoVec(&piece, 1), n));
    if (call.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
    offset += n;
    length -= n;
  }
  return {};
}

/** The driver's own function over a range that it takes, in as many calls as its limit asks for.
 * Where it declines, plain zeroes are written. */
Status Node::zero_driver(const Call& call, uint64_t offset, uint64_t length, uint32_t flags) {
  const uint64_t unit = driver_limits_.write_zeroes_alignment;
  uint64_t most = length;
  if (driver_limits_.max_write_zeroes != 0)
    most = std::max(round_down(driver_limits_.max_write_zeroes, unit), unit);
  while (length > 0) {
    const uint64_t n = std::min(length, most);
    OutgoingCall inner(&call);
    int result = 0;
    {
      const RangeLocks::Hold hold(private_->writes, offset, offset + n, false);
      const DriverLock lock(private_->ops.thread_model, private_->node_mutex,
                            private_->plugin_mutex);
      note("pwritev_zero");
      result = private_->ops.write_zeroes(driver_node_.self, inner.abi(), offset, n, flags);
      note("pwritev_done");
    }
    if (result == -ENOTSUP) {
      INSTAR_CHECK(zero_plainly(call, offset, n, flags));
    } else if (result < 0) {
      return inner.error(result);
    }
    offset += n;
    length -= n;
  }
  return {};
}

Status Node::write_zeroes(const Call& call, uint64_t offset, uint64_t length, uint32_t flags) {
  if (length == 0) return {};
  trace_request(base::Event::kWriteZeroes, offset, length, flags);
  INSTAR_CHECK(admit_write(offset, length));
  if (offset < kProbedBlock && private_->policy.admits_first_block) {
    const instar_iovec piece{const_cast<uint8_t*>(kZeroes),
                             static_cast<size_t>(std::min(length, kProbedBlock))};
    INSTAR_CHECK(admit_first_block(call, offset, IoVec(&piece, 1)));
  }
  if ((open_flags_ & INSTAR_OPEN_UNMAP) == 0) flags &= ~uint32_t{INSTAR_WRITE_MAY_UNMAP};
  const uint32_t driver_flags = flags & ~uint32_t{INSTAR_WRITE_FUA};
  const uint64_t unit =
      std::max(driver_limits_.write_zeroes_alignment, driver_limits_.request_alignment);
  const uint64_t end = offset + length;
  // The end of the image counts as aligned.
  INSTAR_TRY(const uint64_t size, size_covering(end));
  const uint64_t inner_begin = round_up(offset, unit);
  const uint64_t inner_end =
      end == size && driver_limits_.request_alignment == 1 ? end : round_down(end, unit);
  if (driver_limits_.can_write_zeroes == INSTAR_ABILITY_NONE || inner_begin >= inner_end) {
    INSTAR_CHECK(zero_plainly(call, offset, length, driver_flags));
  } else {
    if (offset < inner_begin)
      INSTAR_CHECK(zero_plainly(call, offset, inner_begin - offset, driver_flags));
    INSTAR_CHECK(zero_driver(call, inner_begin, inner_end - inner_begin, driver_flags));
    if (inner_end < end) INSTAR_CHECK(zero_plainly(call, inner_end, end - inner_end, driver_flags));
  }
  const bool stable =
      (flags & INSTAR_WRITE_FUA) != 0 || (open_flags_ & INSTAR_OPEN_WRITETHROUGH) != 0;
  return stable ? flush(call) : Status{};
}

Status Node::discard(const Call& call, uint64_t offset, uint64_t length) {
  if (length == 0) return {};
  INSTAR_CHECK(admit_write(offset, length));
  if ((open_flags_ & INSTAR_OPEN_UNMAP) == 0 || driver_limits_.can_discard == INSTAR_ABILITY_NONE)
    return {};
  const uint64_t unit =
      std::max(driver_limits_.discard_alignment, driver_limits_.request_alignment);
  const uint64_t end = offset + length;
  INSTAR_TRY(const uint64_t size, size_covering(end));
  uint64_t at = round_up(offset, unit);
  const uint64_t until =
      end >= size && driver_limits_.request_alignment == 1 ? end : round_down(end, unit);
  const uint64_t most = driver_limits_.max_discard != 0
                            ? std::max(round_down(driver_limits_.max_discard, unit), unit)
                            : length;
  for (; at < until; at += std::min(most, until - at)) {
    OutgoingCall inner(&call);
    const DriverLock lock(private_->ops.thread_model, private_->node_mutex, private_->plugin_mutex);
    const int result =
        private_->ops.discard(driver_node_.self, inner.abi(), at, std::min(most, until - at));
    if (result == -ENOTSUP) return {};
    if (result < 0) return inner.error(result);
  }
  return {};
}

Status Node::flush(const Call& call) {
  if (kind_ == NodeKind::kProtocol && (open_flags_ & INSTAR_OPEN_NO_FLUSH) != 0) return {};
  if (const Node* below = file()) {
    below->note("flush_to_os");
    below->note("flush_to_disk");
  }
  if (private_->ops.flush != nullptr) {
    OutgoingCall inner(&call);
    const DriverLock lock(private_->ops.thread_model, private_->node_mutex, private_->plugin_mutex);
    return inner.status(private_->ops.flush(driver_node_.self, inner.abi()));
  }
  for (const auto& child : children_)
    if (child.role != INSTAR_CHILD_BACKING && child.node->writable())
      INSTAR_CHECK(child.node->flush(call));
  return {};
}

Result<size_t> Node::extents(const Call& call, uint64_t offset, uint64_t length, instar_extent* out,
                             size_t max) {
  if (length == 0 || max == 0) return fail(EINVAL, "no range asked for");
  INSTAR_CHECK(check_range(offset, length));
  const bool all_alike =
      kind_ == NodeKind::kProtocol && driver_limits_.can_extents == INSTAR_ABILITY_NONE;
  if (all_alike) return driver_extents(call, offset, length, out, max);
  INSTAR_TRY(const uint64_t size, size_covering(offset + length));
  if (offset >= size) {
    out[0] = beyond_end(offset, length);
    return size_t{1};
  }
  const uint64_t inside = std::min(length, size - offset);
  INSTAR_TRY(size_t count, driver_extents(call, offset, inside, out, max));
  if (inside == length || count == max) return count;
  uint64_t covered = 0;
  for (size_t i = 0; i < count; ++i)
    covered += out[i].length;
  if (covered == inside) out[count++] = beyond_end(offset + inside, length - inside);
  return count;
}

/** Zeroes; those behind a file count as its own, and lie in it unless a server has it, as QEMU has it. */
instar_extent Node::beyond_end(uint64_t offset, uint64_t length) const {
  uint32_t flags = INSTAR_EXTENT_ZERO;
  if (kind_ == NodeKind::kProtocol) flags |= INSTAR_EXTENT_ALLOCATED;
  if (kind_ == NodeKind::kProtocol && !remote()) flags |= INSTAR_EXTENT_OFFSET;
  return {length, offset, flags, 0};
}

Result<size_t> Node::driver_extents(const Call& call, uint64_t offset, uint64_t length,
                                    instar_extent* out, size_t max) {
  if (driver_limits_.can_extents == INSTAR_ABILITY_NONE) {
    const bool filter =
        kind_ == NodeKind::kFilter || (driver_limits_.flags & INSTAR_NODE_FILTER) != 0;
    uint32_t flags = INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED;
    if (filter && !children_.empty())
      flags = INSTAR_EXTENT_OFFSET | INSTAR_EXTENT_RECURSE;
    else if (kind_ == NodeKind::kProtocol)
      flags |= INSTAR_EXTENT_OFFSET;  // its bytes lie where they are asked for
    out[0] = {length, offset, flags, 0};
    return size_t{1};
  }
  // Drivers know bytes; those whose requests are coarser answer for the whole blocks around.
  OutgoingCall inner(&call);
  int64_t count = 0;
  {
    const DriverLock lock(private_->ops.thread_model, private_->node_mutex, private_->plugin_mutex);
    count = private_->ops.extents(driver_node_.self, inner.abi(), offset, length, out, max);
  }
  if (count < 0) return inner.error(count);
  if (count == 0 || static_cast<uint64_t>(count) > max)
    return fail(EIO, "Driver '", driver_, "' gave ", count, " extents where 1 to ", max,
                " were asked for");
  INSTAR_CHECK(check_extents(out, static_cast<size_t>(count), length));
  // Zeroes may also stand for a gap without anything below; data and files never do.
  const uint32_t decides = kind_ == NodeKind::kProtocol ? INSTAR_EXTENT_DATA | INSTAR_EXTENT_ZERO
                                                        : static_cast<uint32_t>(INSTAR_EXTENT_DATA);
  uint64_t position = offset;
  for (int64_t i = 0; i < count; position += out[i++].length) {
    if ((out[i].flags & decides) != 0) out[i].flags |= INSTAR_EXTENT_ALLOCATED;
    if (kind_ == NodeKind::kProtocol) out[i].child_offset = position;  // here, as it has no child
  }
  return static_cast<size_t>(count);
}

Status Node::check_extents(const instar_extent* out, size_t count, uint64_t length) const {
  for (size_t i = 0; i < count; ++i) {
    if (out[i].length == 0 || out[i].length > length)
      return fail(EIO, "Driver '", driver_, "' gave an extent of ", out[i].length, " bytes where ",
                  length, " were left");
    length -= out[i].length;
    const bool points = (out[i].flags & (INSTAR_EXTENT_OFFSET | INSTAR_EXTENT_RECURSE)) != 0;
    if (points && kind_ != NodeKind::kProtocol && out[i].child >= children_.size())
      return fail(EIO, "Driver '", driver_, "' gave an extent in child ", out[i].child,
                  ", which it does not have");
  }
  return {};
}

}  // namespace instar::block
