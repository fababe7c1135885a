// SPDX-License-Identifier: Apache-2.0
// What happens to a ticket's data: plain writes, file system offload, compression.
#include <algorithm>
#include <cstring>

#include "core/engine/copier.hpp"
#include "sdk/cpp/bytes.hpp"

namespace instar::engine {

namespace {
constexpr uint64_t kProbeStep = 1 << 20;
constexpr size_t kSector = 512;
constexpr uint64_t kSmallCluster = 256 << 10;
}  // namespace

/** Writes what is not zero of worker.data, the target's [offset, offset + length). */
Status Copier::copy_window(Worker& worker, Turn& turn, uint64_t offset, size_t length, bool more) {
  worker.runs.clear();
  if (job_.min_sparse == 0)
    worker.runs.push_back({0, length});
  else
    find_data_runs(worker.data.data(), length, offset, rule_, worker.runs);
  widen_to_clusters(worker, offset, length);
  worker.writes.clear();
  uint64_t bytes = 0;
  for (const auto& run : worker.runs) {
    worker.writes.push_back(
        {offset + run.begin, worker.data.data() + run.begin, run.end - run.begin});
    bytes += run.end - run.begin;
  }
  rate_.take(call_, bytes);
  if (!has(INSTAR_COPY_TARGET_ZERO)) INSTAR_CHECK(zero_gaps(worker, turn, offset, length));
  return target_.write(call_, turn, worker.writes, more);
}

/**
 * Whole clusters can be placed and filled without asking the driver for the rest of a cluster.
 * Large ones only if most of it is data anyway.
 */
void Copier::widen_to_clusters(Worker& worker, uint64_t offset, size_t length) const {
  const uint64_t cluster = target_.grain();
  if (cluster <= 1 || job_.target_backing != nullptr || job_.base != nullptr) return;
  std::vector<DataRun> wide;
  for (const auto& run : worker.runs) {
    DataRun widened = run;
    if (cluster <= kSmallCluster || run.end - run.begin >= cluster / 2) {
      const uint64_t first = sdk::round_down(offset + run.begin, cluster);
      const uint64_t last = sdk::round_up(offset + run.end, cluster);
      widened.begin = static_cast<size_t>(std::max(first, offset) - offset);
      widened.end = static_cast<size_t>(std::min<uint64_t>(last - offset, length));
    }
    if (!wide.empty() && widened.begin <= wide.back().end)
      wide.back().end = std::max(wide.back().end, widened.end);
    else
      wide.push_back(widened);
  }
  worker.runs.swap(wide);
}

Status Copier::zero_gaps(const Worker& worker, Turn& turn, uint64_t offset, size_t length) {
  size_t position = 0;
  for (const auto& run : worker.runs) {
    if (run.begin > position)
      INSTAR_CHECK(target_.write_zeroes(call_, turn, offset + position, run.begin - position));
    position = run.end;
  }
  if (position == length) return {};
  return target_.write_zeroes(call_, turn, offset + position, length - position);
}

/** Shares what holds no long zeroes, copies the rest so that those become holes. */
Status Copier::copy_offload(Worker& worker, Turn& turn) {
  const Segment& piece = worker.ticket.pieces.front();
  const uint64_t end = piece.offset + piece.length;
  uint64_t begin = piece.offset;  // of what is to be shared
  for (uint64_t at = begin; at < end; at += kProbeStep) {
    if (call_.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
    const uint64_t next = std::min(at + kProbeStep, end);
    if (job_.min_sparse == 0 || has(INSTAR_COPY_OFFLOAD)) continue;
    INSTAR_TRY(const bool sparse, looks_sparse(piece, at));
    if (!sparse) continue;
    INSTAR_CHECK(offload(worker, turn, begin, at));
    INSTAR_CHECK(copy_piecewise(worker, turn, at, next));
    begin = next;
  }
  return offload(worker, turn, begin, end);
}

/** A look at the first sector: sharing costs no space, so few zeroes that go with it are no loss. */
Result<bool> Copier::looks_sparse(const Segment& piece, uint64_t at) {
  uint8_t probe[kSector];
  Segment part = piece;
  part.skip(at - piece.offset);
  part.length = std::min<uint64_t>(part.length, sizeof probe);
  INSTAR_CHECK(reader_.read(part, at, probe));
  return sdk::is_zero(probe, static_cast<size_t>(part.length));
}

Status Copier::offload(Worker& worker, Turn& turn, uint64_t begin, uint64_t end) {
  if (begin == end) return {};
  const Segment& piece = worker.ticket.pieces.front();
  const uint64_t from = piece.file_offset + (begin - piece.offset);
  INSTAR_TRY(const bool done,
             target_.offload(call_, turn, *piece.file, from, begin, end - begin, clone_));
  if (done) return {};
  if (clone_ && has(INSTAR_COPY_OFFLOAD)) {
    INSTAR_TRY(const bool moved,
               target_.offload(call_, turn, *piece.file, from, begin, end - begin, false));
    if (moved) return {};
  }
  planner_->stop_offload();
  return copy_piecewise(worker, turn, begin, end);
}

Status Copier::copy_piecewise(Worker& worker, Turn& turn, uint64_t begin, uint64_t end) {
  const Segment& piece = worker.ticket.pieces.front();
  for (uint64_t at = begin; at < end; at += window_) {
    if (call_.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
    Segment part = piece;
    part.skip(at - piece.offset);
    part.length = std::min(window_, end - at);
    INSTAR_CHECK(reader_.read(part, at, worker.data.data()));
    INSTAR_CHECK(copy_window(worker, turn, at, static_cast<size_t>(part.length), true));
  }
  return {};
}

/** Packs all clusters of the ticket, then stores them in its turn. */
Status Copier::copy_compressed(Worker& worker, Turn& turn) {
  struct Block {
    enum class Kind { kZero, kPlain, kPacked } kind;
    size_t begin, length, packed_begin, packed_length;
  };
  const size_t total = static_cast<size_t>(worker.ticket.length);
  std::vector<Block> blocks;
  size_t packed_end = 0;
  for (size_t at = 0; at < total; at += cluster_) {
    const size_t length = std::min<size_t>(cluster_, total - at);
    const uint8_t* block = worker.data.data() + at;
    if (job_.min_sparse != 0 && sdk::is_zero(block, length)) {
      blocks.push_back({Block::Kind::kZero, at, length, 0, 0});
      continue;
    }
    // An image's last cluster is packed as a whole too; the buffer has room for it.
    std::memset(worker.data.data() + at + length, 0, static_cast<size_t>(cluster_) - length);
    INSTAR_TRY(const int64_t packed, pack(block, worker.packed.data() + packed_end));
    const auto kind = packed > 0 ? Block::Kind::kPacked : Block::Kind::kPlain;
    blocks.push_back({kind, at, length, packed_end, static_cast<size_t>(packed)});
    packed_end += static_cast<size_t>(packed);
  }
  rate_.take(call_, total);
  if (!turn.wait()) return fail(ECANCELED, errno_text(ECANCELED));
  for (const auto& block : blocks) {
    const uint64_t offset = worker.ticket.offset + block.begin;
    if (block.kind == Block::Kind::kZero) {
      if (!has(INSTAR_COPY_TARGET_ZERO))
        INSTAR_CHECK(target_.write_zeroes(call_, turn, offset, block.length));
    } else if (block.kind == Block::Kind::kPlain) {
      const WriteRun run{offset, worker.data.data() + block.begin, block.length};
      INSTAR_CHECK(target_.write(call_, turn, {&run, 1}, true));
    } else {
      sdk::OutgoingCall outgoing(&call_);
      const int result =
          compress_->store(compress_self_, outgoing.abi(), offset, block.length,
                           worker.packed.data() + block.packed_begin, block.packed_length);
      if (result < 0) return write_error(offset, outgoing.error(result).code);
    }
  }
  return {};
}

/** Length of the packed cluster; 0: it is to be written plainly. */
Result<int64_t> Copier::pack(const uint8_t* block, uint8_t* out) const {
  const auto length = static_cast<size_t>(cluster_);
  sdk::OutgoingCall outgoing(&call_);
  const int64_t packed = compress_->pack(compress_self_, outgoing.abi(), block, length, out,
                                         static_cast<size_t>(packed_room(cluster_)));
  if (packed == -ENOSPC) return int64_t{0};
  if (packed <= 0) return outgoing.error(packed < 0 ? packed : -EIO);
  return packed;
}

}  // namespace instar::engine
