// SPDX-License-Identifier: Apache-2.0
#include "core/engine/rebase.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <vector>

#include "core/engine/chain_cursor.hpp"
#include "core/engine/pool.hpp"
#include "core/engine/progress.hpp"
#include "core/engine/target.hpp"
#include "sdk/abi/compress.h"
#include "sdk/cpp/bytes.hpp"

namespace instar::engine {

namespace {

constexpr uint64_t kWindow = 256 << 10;  // stays in the processor's cache
constexpr uint64_t kStep = 2 << 20;      // of progress: what qemu-img compares at a time
constexpr uint64_t kLittle = 4 << 20;    // not worth a thread

/** A run of one backing chain. */
struct Piece {
  uint64_t offset = 0;
  uint64_t length = 0;
  bool data = false;              ///< else it is known to be zeroes
  const RawFile* file = nullptr;  ///< where the bytes lie plainly, or nullptr
  uint64_t file_offset = 0;
};

/** A range that the image shows from its backing file, and that must be compared. */
struct Ticket {
  uint64_t number = 0;
  uint64_t offset = 0;
  uint64_t length = 0;
  uint64_t steps = 0;  ///< of progress
  std::vector<Piece> old_pieces;
  std::vector<Piece> new_pieces;
};

/** One of the two backing files; perhaps none. */
class Side {
 public:
  Status open(block::Node* node, RawFiles& files) {
    if (node == nullptr) return {};
    INSTAR_TRY(const uint64_t size, node->size());
    size_ = size;
    cursor_.emplace(*node, size, files);
    return {};
  }
  uint64_t size() const { return size_; }
  /** What lies at `offset`, up to `limit`. Offsets never go back. */
  Result<Piece> at(const Call& call, uint64_t offset, uint64_t limit) {
    Piece piece{offset, limit - offset, false, nullptr, 0};
    if (offset >= size_) return piece;
    INSTAR_TRY(const auto run, cursor_->at(call, offset));
    piece.length = std::min(piece.length, run.length);
    piece.data = (run.flags & INSTAR_EXTENT_ZERO) == 0 && (run.flags & INSTAR_EXTENT_DATA) != 0;
    piece.file = piece.data ? cursor_->plain(run) : nullptr;
    piece.file_offset = run.file_offset;
    return piece;
  }
  Status read(const Call& call, const std::vector<Piece>& pieces, uint64_t begin, uint8_t* to) {
    for (const auto& piece : pieces) {
      uint8_t* const at = to + (piece.offset - begin);
      if (!piece.data) {
        std::memset(at, 0, piece.length);
      } else if (piece.file != nullptr && !piece.file->direct()) {
        const int result = piece.file->read(piece.file_offset, at, piece.length);
        if (result < 0) return fail(-result, errno_text(-result));
      } else {
        INSTAR_CHECK(cursor_->node().read(call, piece.offset, at, piece.length));
      }
    }
    return {};
  }

 private:
  std::optional<ChainCursor> cursor_;
  uint64_t size_ = 0;
};

bool same_content(const Piece& a, const Piece& b) {
  if (!a.data && !b.data) return true;
  return a.data && b.data && a.file != nullptr && b.file != nullptr &&
         a.file->same_bytes(a.file_offset, *b.file, b.file_offset);
}

/** Joins what one request can read. */
void append(std::vector<Piece>& pieces, Piece piece, uint64_t length) {
  piece.length = length;
  if (!pieces.empty()) {
    Piece& last = pieces.back();
    if (last.data == piece.data && last.file == piece.file &&
        (piece.file == nullptr || last.file_offset + last.length == piece.file_offset)) {
      last.length += length;
      return;
    }
  }
  pieces.push_back(piece);
}

bool is_remote(const RebaseJob& job) {
  return job.image->remote() || (job.new_backing != nullptr && job.new_backing->remote());
}

class Rebaser {
 public:
  Rebaser(const Call& call, const RebaseJob& job)
      : call_(call),
        job_(job),
        target_(*job.image),
        stile_(true),
        team_(choose_workers(job.workers, is_remote(job)), [this] { work(); }) {}

  Status run();

 private:
  struct Worker {
    std::unique_ptr<uint8_t[]> old_data;
    std::unique_ptr<uint8_t[]> new_data;
    std::unique_ptr<uint8_t[]> packed;
    Ticket ticket;
  };
  /** Units of a ticket that are written the same way. */
  struct Difference {
    uint64_t begin;  ///< in the image
    uint64_t end;
    bool zero;  ///< behind the old backing file's end; zeroes within it stay data, as QEMU has it
  };

  Status set_up();
  void work();
  Status work_through(Worker& worker);
  Result<bool> take(Ticket& ticket);
  Result<bool> plan(Ticket& ticket);
  Result<uint64_t> unchanged_length(uint64_t run_end);
  Status gather(Ticket& ticket, uint64_t run_end);
  bool skip(uint64_t length, uint64_t run_end);
  void count_steps(Ticket& ticket, uint64_t begin);
  Status process(Worker& worker);
  std::vector<Difference> differences(const Worker& worker) const;
  Status write(Worker& worker, Turn& turn, const Difference& difference, bool more);
  Status write_packed(Worker& worker, Turn& turn, const Difference& difference);
  Result<size_t> pack(const std::vector<uint8_t>& block, uint8_t* out) const;

  const Call& call_;
  const RebaseJob& job_;
  Target target_;
  RawFiles files_;
  Side old_;
  Side new_;
  std::optional<ChainCursor> image_;
  std::optional<ChainCursor> changed_;  ///< the old chain above job.common
  std::unique_ptr<Progress> progress_;
  const instar_compress_ops* compress_ = nullptr;
  void* compress_self_ = nullptr;
  uint64_t unit_ = 512;  ///< differences are written in multiples of it
  uint64_t window_ = kWindow;
  uint64_t size_ = 0;
  std::mutex plan_mutex_;
  uint64_t position_ = 0;
  uint64_t step_begin_ = 0;  ///< of the range that is compared step by step
  uint64_t step_end_ = 0;    ///< how far that got
  uint64_t number_ = 0;
  uint64_t handed_out_ = 0;
  bool ended_ = false;
  Turnstile stile_;
  Team team_;
  JobError error_;
};

Status Rebaser::run() {
  INSTAR_CHECK(set_up());
  team_.run();
  return error_.status();
}

Status Rebaser::set_up() {
  INSTAR_TRY(size_, job_.image->size());
  block::Node* const old = job_.image->backing();
  INSTAR_CHECK(old_.open(old, files_));
  INSTAR_CHECK(new_.open(job_.new_backing, files_));
  image_.emplace(*job_.image, size_, files_, block::StatusOptions{.base = old, .want_zero = false});
  if (job_.common != nullptr && old != job_.common)
    changed_.emplace(*old, old_.size(), files_,
                     block::StatusOptions{.base = job_.common, .want_zero = false});
  const uint64_t cluster = std::max<uint64_t>(job_.image->limits().cluster_size, 512);
  unit_ = job_.compressed ? cluster : std::max<uint64_t>(target_.grain(), 512);
  window_ = std::max(sdk::round_down(kWindow, cluster), cluster);
  const uint64_t steps = size_ == 0 ? 1 : size_ / std::min(size_, kStep);
  progress_ = std::make_unique<Progress>(job_.progress, steps);
  if (!job_.compressed) return {};
  compress_ = job_.image->interface<instar_compress_ops>(INSTAR_COMPRESS_ID, &compress_self_);
  if (compress_ == nullptr) return fail(ENOTSUP, "Compression not supported for this file format");
  return {};
}

void Rebaser::work() {
  Status status;
  uint64_t at = 0;
  try {
    Worker worker;
    worker.old_data = std::make_unique_for_overwrite<uint8_t[]>(window_);
    worker.new_data = std::make_unique_for_overwrite<uint8_t[]>(window_);
    if (compress_ != nullptr) worker.packed = std::make_unique_for_overwrite<uint8_t[]>(window_);
    status = work_through(worker);
    at = worker.ticket.offset;
  } catch (const std::bad_alloc&) {
    status = fail(ENOMEM, errno_text(ENOMEM));
  }
  if (status) return;
  // Who was only told to stop has nothing to say.
  if (status.error().code != ECANCELED || call_.cancelled())
    error_.set(at, std::move(status).error());
  {
    const std::lock_guard lock(plan_mutex_);
    ended_ = true;
  }
  stile_.stop();
}

Status Rebaser::work_through(Worker& worker) {
  for (;;) {
    INSTAR_TRY(const bool more, take(worker.ticket));
    if (!more) return {};
    const Team::Piece piece(team_);
    INSTAR_CHECK(process(worker));
  }
}

Result<bool> Rebaser::take(Ticket& ticket) {
  bool more = false;
  bool worth_threads = false;
  {
    const std::lock_guard lock(plan_mutex_);
    if (ended_) return false;
    auto planned = plan(ticket);
    if (!planned && planned.error().code == ECANCELED) return planned;
    if (!planned)
      return fail(planned.error().code,
                  "error while reading image metadata: ", errno_text(planned.error().code));
    more = *planned;
    ended_ = !more;
    handed_out_ += ticket.length;
    worth_threads = more && handed_out_ > kLittle;
  }
  for (uint64_t i = 0; i < ticket.steps; ++i)
    progress_->add(1);
  if (worth_threads) team_.grow();
  return more;
}

/** Leaves `length` bytes out, as far as they are whole units. False: there are none. */
bool Rebaser::skip(uint64_t length, uint64_t run_end) {
  uint64_t end = position_ + length;
  if (end != run_end) end = sdk::round_down(end, unit_);
  if (end <= position_) return false;
  position_ = end;
  return true;
}

/** [begin, position_) was compared: how many steps begin there. */
void Rebaser::count_steps(Ticket& ticket, uint64_t begin) {
  if (begin != step_end_) step_begin_ = begin;
  const auto steps_to = [&](uint64_t at) { return sdk::div_up(at - step_begin_, kStep); };
  ticket.steps += steps_to(position_) - steps_to(begin);
  step_end_ = position_;
}

/** The next range that must be compared; false: there is none. */
Result<bool> Rebaser::plan(Ticket& ticket) {
  ticket = Ticket{};
  while (position_ < size_) {
    if (call_.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
    INSTAR_TRY(const auto run, image_->at(call_, position_));
    const uint64_t run_end = position_ + run.length;
    if ((run.flags & INSTAR_EXTENT_ALLOCATED) != 0) {
      position_ = run_end;
      continue;
    }
    INSTAR_TRY(const uint64_t unchanged, unchanged_length(run_end));
    if (unchanged > 0 && skip(unchanged, run_end)) continue;
    const uint64_t begin = position_;
    INSTAR_TRY(const Piece before, old_.at(call_, position_, run_end));
    INSTAR_TRY(const Piece after, new_.at(call_, position_, run_end));
    const bool same =
        same_content(before, after) && skip(std::min(before.length, after.length), run_end);
    if (!same) INSTAR_CHECK(gather(ticket, run_end));
    count_steps(ticket, begin);
    if (same) continue;
    ticket.number = number_++;
    return true;
  }
  return false;
}

/** Bytes that no layer above the common one holds. */
Result<uint64_t> Rebaser::unchanged_length(uint64_t run_end) {
  if (job_.common == nullptr || position_ >= old_.size()) return uint64_t{0};
  const uint64_t most = std::min(run_end, old_.size()) - position_;
  if (!changed_) return most;
  INSTAR_TRY(const auto layer, changed_->at(call_, position_));
  constexpr uint32_t kDecided = INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_DATA | INSTAR_EXTENT_ZERO;
  return (layer.flags & kDecided) == 0 ? std::min(most, layer.length) : 0;
}

Status Rebaser::gather(Ticket& ticket, uint64_t run_end) {
  ticket.offset = position_;
  const uint64_t limit = std::min(run_end, sdk::round_down(position_ + window_, unit_));
  while (position_ < limit) {
    INSTAR_TRY(const Piece before, old_.at(call_, position_, limit));
    INSTAR_TRY(const Piece after, new_.at(call_, position_, limit));
    const uint64_t length = std::min(before.length, after.length);
    const bool first = position_ == ticket.offset;
    if (!first && position_ % unit_ == 0 && length >= unit_ && same_content(before, after)) break;
    append(ticket.old_pieces, before, length);
    append(ticket.new_pieces, after, length);
    position_ += length;
  }
  ticket.length = position_ - ticket.offset;
  return {};
}

std::vector<Rebaser::Difference> Rebaser::differences(const Worker& worker) const {
  const Ticket& ticket = worker.ticket;
  std::vector<Difference> out;
  const uint64_t end = ticket.offset + ticket.length;
  for (uint64_t at = ticket.offset; at < end;) {
    const uint64_t next = std::min(sdk::round_down(at, unit_) + unit_, end);
    const uint64_t within = at - ticket.offset;
    if (std::memcmp(worker.old_data.get() + within, worker.new_data.get() + within, next - at) !=
        0) {
      const bool zero = at >= old_.size();
      if (!out.empty() && out.back().end == at && out.back().zero == zero)
        out.back().end = next;
      else
        out.push_back({at, next, zero});
    }
    at = next;
  }
  return out;
}

Status Rebaser::process(Worker& worker) {
  const Ticket& ticket = worker.ticket;
  Turn turn(stile_, ticket.number);
  if (!old_.read(call_, ticket.old_pieces, ticket.offset, worker.old_data.get()))
    return fail(EIO, "error while reading from old backing file");
  if (!new_.read(call_, ticket.new_pieces, ticket.offset, worker.new_data.get()))
    return fail(EIO, "error while reading from new backing file");
  const auto found = differences(worker);
  for (size_t i = 0; i < found.size(); ++i) {
    Status written = write(worker, turn, found[i], i + 1 < found.size());
    if (written) continue;
    const int code = written.error().code;
    if (code == ECANCELED) return written;
    return fail(code, "Error while writing to COW image: ", errno_text(code));
  }
  return {};
}

Status Rebaser::write(Worker& worker, Turn& turn, const Difference& difference, bool more) {
  const uint64_t length = difference.end - difference.begin;
  if (difference.zero) return target_.write_zeroes(call_, turn, difference.begin, length);
  if (compress_ != nullptr) return write_packed(worker, turn, difference);
  const WriteRun run{difference.begin,
                     worker.old_data.get() + (difference.begin - worker.ticket.offset),
                     static_cast<size_t>(length)};
  return target_.write(call_, turn, {&run, 1}, more);
}

/** Packs all clusters, then stores them in the ticket's turn. */
Status Rebaser::write_packed(Worker& worker, Turn& turn, const Difference& difference) {
  struct Part {
    WriteRun run;
    const uint8_t* packed;
    size_t packed_length;  ///< 0: written plainly
  };
  std::vector<Part> parts;
  std::vector<uint8_t> block(unit_);
  uint8_t* packed = worker.packed.get();
  uint64_t next = 0;
  for (uint64_t at = difference.begin; at < difference.end; at = next) {
    next = std::min(sdk::round_down(at, unit_) + unit_, difference.end);
    const auto length = static_cast<size_t>(next - at);
    const uint8_t* data = worker.old_data.get() + (at - worker.ticket.offset);
    parts.push_back({{at, data, length}, packed, 0});
    // Of a cluster that has subclusters already, the rest can't be packed.
    if (at % unit_ != 0 || (length < unit_ && next != size_)) continue;
    std::memcpy(block.data(), data, length);
    std::memset(block.data() + length, 0, unit_ - length);
    INSTAR_TRY(parts.back().packed_length, pack(block, packed));
    packed += parts.back().packed_length;
  }
  if (!turn.wait()) return fail(ECANCELED, errno_text(ECANCELED));
  for (const auto& part : parts) {
    if (part.packed_length == 0) {
      INSTAR_CHECK(target_.write(call_, turn, {&part.run, 1}, true));
      continue;
    }
    sdk::OutgoingCall storing(&call_);
    INSTAR_CHECK(
        storing.status(compress_->store(compress_self_, storing.abi(), part.run.offset,
                                        part.run.length, part.packed, part.packed_length)));
  }
  return {};
}

/** Length of the packed cluster; 0: packing does not make it smaller. */
Result<size_t> Rebaser::pack(const std::vector<uint8_t>& block, uint8_t* out) const {
  sdk::OutgoingCall call(&call_);
  const int64_t packed =
      compress_->pack(compress_self_, call.abi(), block.data(), block.size(), out, block.size());
  if (packed == -ENOSPC || packed >= static_cast<int64_t>(unit_)) return size_t{0};
  if (packed <= 0) return call.error(packed < 0 ? packed : -EIO);
  return static_cast<size_t>(packed);
}

}  // namespace

Status rebase(const Call& call, const RebaseJob& job) {
  return Rebaser(call, job).run();
}

}  // namespace instar::engine
