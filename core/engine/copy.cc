// SPDX-License-Identifier: Apache-2.0
#include "core/engine/copy.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include "core/engine/copier.hpp"
#include "sdk/cpp/bytes.hpp"

namespace instar::engine {

namespace {

constexpr uint64_t kWindow = 2 << 20;  // as qemu-img: it decides where runs of zeroes are cut
constexpr uint64_t kBufferBudget = 12 << 20;
constexpr uint64_t kPackWindow = 1 << 20;
constexpr uint64_t kCommitWindow = 256 << 10;  // stays in the processor's cache
constexpr uint64_t kSmallCluster = 256 << 10;
constexpr uint64_t kLeastClone = 128 << 10;

uint64_t request_alignment(const block::Node& target) {
  uint64_t alignment = target.driver_limits().request_alignment;
  if (const block::Node* file = target.file())
    alignment = std::max<uint64_t>(alignment, file->driver_limits().request_alignment);
  return alignment;
}

}  // namespace

Buffer::Buffer(size_t size) : size_(size), data_(nullptr) {
  if (size == 0) return;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<uint8_t*>(memory);
}

Buffer::~Buffer() {
  if (data_ != nullptr) munmap(data_, size_);
}

Status copy(const Call& call, const CopyJob& job) {
  return Copier(call, job).run();
}

Copier::Copier(const Call& call, const CopyJob& job)
    : call_(call),
      job_(job),
      target_(*job.target),
      rule_(make_sparse_rule(job.min_sparse, request_alignment(*job.target))),
      workers_(choose_workers(job.workers)),
      rate_(job.rate),
      stile_(!has(INSTAR_COPY_UNORDERED)),
      team_(workers_, [this] { work(); }) {}

Status Copier::run() {
  INSTAR_CHECK(set_up());
  team_.run();
  return error_.status();
}

Status Copier::set_up() {
  SourceOptions sources;
  sources.nodes = job_.sources;
  sources.offset = job_.source_offset;
  sources.length = job_.length;
  const block::Node* shown = job_.base != nullptr ? job_.base : job_.target_backing;
  sources.has_backing = shown != nullptr;
  sources.base = job_.base;
  if (sources.has_backing) {
    const auto size = shown->size();
    sources.backing_size = size ? sdk::round_up(*size, 512) : UINT64_MAX;
  }
  sources.salvage = has(INSTAR_COPY_SALVAGE);
  sources.quiet = has(INSTAR_COPY_QUIET);
  walk_ = std::make_unique<SourceWalk>(sources, files_);
  INSTAR_TRY(total_, walk_->open());
  INSTAR_TRY(const uint64_t room, job_.target->size());
  if (total_ > sdk::round_up(room, 512))
    return fail(EINVAL, "output file is smaller than input file");
  if (has(INSTAR_COPY_COMPRESSED)) INSTAR_CHECK(set_up_compression());
  choose_window();

  PlanOptions plan;
  plan.total = total_;
  plan.window = window_;
  plan.target_zero = has(INSTAR_COPY_TARGET_ZERO);
  plan.zeroes_are_data = job_.min_sparse == 0 && job_.base == nullptr;
  if (compress_ != nullptr)
    plan.unit = cluster_;
  else if (!sources.has_backing && target_.cluster() <= kSmallCluster)
    plan.unit = target_.cluster();
  choose_offload(plan);
  planner_ = std::make_unique<Planner>(*walk_, plan);
  uint64_t data = 0;
  if (job_.progress.report != nullptr) {
    INSTAR_TRY(data, planner_->measure(call_));
  }
  progress_ = std::make_unique<Progress>(job_.progress, data);
  return {};
}

Status Copier::set_up_compression() {
  compress_ = job_.target->interface<instar_compress_ops>(INSTAR_COMPRESS_ID, &compress_self_);
  if (compress_ == nullptr) return fail(ENOTSUP, "Compression not supported for this file format");
  cluster_ = job_.target->limits().cluster_size;
  if (cluster_ == 0 || cluster_ > kWindow) return fail(EINVAL, "invalid cluster size");
  return {};
}

/** Few workers get large buffers, many get small ones. */
void Copier::choose_window() {
  const uint64_t unit = compress_ != nullptr ? cluster_ : std::min(target_.cluster(), kWindow);
  const uint64_t share = std::bit_floor(kBufferBudget / workers_ / (compress_ != nullptr ? 2 : 1));
  const uint64_t plain = job_.base != nullptr ? kCommitWindow : kWindow;
  const uint64_t most = compress_ != nullptr ? kPackWindow : plain;
  window_ = std::max(sdk::round_down(std::min(most, share), unit), unit);
}

void Copier::choose_offload(PlanOptions& plan) {
  const RawFile* to = target_.file();
  if (compress_ != nullptr || to == nullptr || has(INSTAR_COPY_SALVAGE) || job_.rate != 0) return;
  const bool asked = has(INSTAR_COPY_OFFLOAD);
  if (job_.min_sparse == 0 && !asked) return;  // -S 0 wants space of its own
  if (target_.cluster() > kLeastClone || to->base() % to->block_size() != 0) return;
  for (block::Node* source : job_.sources) {
    block::Node* lowest = source;
    while (lowest->kind() != block::NodeKind::kProtocol && lowest->file() != nullptr)
      lowest = lowest->file();
    const RawFile* from = files_.find(*lowest);
    if (from != nullptr && to->can_clone_from(*from)) clone_ = true;
  }
  if (!clone_ && !asked) return;
  plan.offload_target = to;
  plan.offload_unit = std::max(target_.cluster(), to->block_size());
  plan.offload_least = asked ? plan.offload_unit : kLeastClone;
}

void Copier::work() {
  uint64_t at = 0;
  Status status;
  try {
    Worker worker{
        Buffer(window_), Buffer(compress_ != nullptr ? packed_room(window_) : 0), {}, {}, {}};
    status = work_through(worker);
    at = worker.ticket.offset;
  } catch (const std::bad_alloc&) {
    status = fail(ENOMEM, errno_text(ENOMEM));
  }
  if (status) return;
  // Who was only told to stop has nothing to say.
  const bool told = status.error().code == ECANCELED && !call_.cancelled();
  if (!told) error_.set(at, std::move(status).error());
  {
    const std::lock_guard lock(plan_mutex_);
    ended_ = true;
  }
  stile_.stop();
}

Status Copier::work_through(Worker& worker) {
  for (;;) {
    INSTAR_TRY(const bool more, take(worker.ticket));
    if (!more) return {};
    INSTAR_CHECK(process(worker));
  }
}

Result<bool> Copier::take(Ticket& ticket) {
  {
    const std::lock_guard lock(plan_mutex_);
    if (ended_) return false;
    if (call_.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
    INSTAR_TRY(const bool more, planner_->next(call_, ticket));
    ended_ = !more;
    if (!more) return false;
  }
  // The first ticket is the caller's alone: most small images need no other.
  if (ticket.number > 0) team_.grow();
  return true;
}

Status Copier::process(Worker& worker) {
  const Ticket& ticket = worker.ticket;
  Turn turn(stile_, ticket.number);
  if (ticket.kind == TicketKind::kZero)
    return target_.write_zeroes(call_, turn, ticket.offset, ticket.length);
  if (ticket.kind == TicketKind::kOffload) {
    INSTAR_CHECK(copy_offload(worker, turn));
  } else {
    INSTAR_CHECK(read(ticket, worker.data.data()));
    if (compress_ != nullptr)
      INSTAR_CHECK(copy_compressed(worker, turn));
    else
      INSTAR_CHECK(
          copy_window(worker, turn, ticket.offset, static_cast<size_t>(ticket.length), false));
  }
  progress_->add(ticket.length);
  return {};
}

Status Copier::read(const Ticket& ticket, uint8_t* to) {
  for (const auto& piece : ticket.pieces) {
    const auto status = read_piece(piece, to + (piece.offset - ticket.offset));
    if (!status)
      return fail(status.error().code, "error while reading at byte ", ticket.offset, ": ",
                  errno_text(status.error().code));
  }
  return {};
}

Status Copier::read_piece(const Segment& piece, uint8_t* to) {
  const auto length = static_cast<size_t>(piece.length);
  if (piece.kind == SegmentKind::kZero) {
    std::memset(to, 0, length);
    return {};
  }
  if (piece.file != nullptr && !piece.file->direct()) {
    const int result = piece.file->read(piece.file_offset, to, length);
    if (result == 0) return {};
    if (!has(INSTAR_COPY_SALVAGE)) return fail(-result, errno_text(-result));
    return salvage(piece, to);
  }
  auto status = piece.node->read(call_, piece.node_offset, to, length);
  if (status || !has(INSTAR_COPY_SALVAGE)) return status;
  return salvage(piece, to);
}

/** Sector by sector; those that can't be read become zeroes. */
Status Copier::salvage(const Segment& piece, uint8_t* to) {
  constexpr uint64_t kSector = 512;
  for (uint64_t done = 0; done < piece.length; done += kSector) {
    if (call_.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
    const auto length = static_cast<size_t>(std::min(kSector, piece.length - done));
    const auto status = piece.node->read(call_, piece.node_offset + done, to + done, length);
    if (status) continue;
    std::memset(to + done, 0, length);
    if (has(INSTAR_COPY_QUIET)) continue;
    const std::lock_guard lock(warn_mutex_);
    call_.warn(sdk::cat("error while reading offset ", piece.node_offset + done, ": ",
                        errno_text(status.error().code)));
  }
  return {};
}

}  // namespace instar::engine
