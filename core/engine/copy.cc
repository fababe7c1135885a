// SPDX-License-Identifier: Apache-2.0
#include "core/engine/copy.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/engine/copier.hpp"
#include "core/engine/crew.hpp"
#include "core/engine/read_content.hpp"
#include "sdk/cpp/bytes.hpp"
#include "sdk/cpp/node_ref.hpp"

namespace instar::engine {

namespace {

constexpr uint64_t kWindow = 2 << 20;  // as qemu-img: it decides where runs of zeroes are cut
constexpr uint64_t kRemoteWindow = 1 << 20;
constexpr uint64_t kBufferBudget = 12 << 20;
constexpr uint64_t kPackWindow = 1 << 20;
constexpr uint64_t kCached = 256 << 10;  // stays in the processor's cache
constexpr uint64_t kSmallCluster = 256 << 10;
constexpr uint64_t kLeastClone = 128 << 10;
constexpr uint64_t kLeastGrowth = 64 << 20;

uint64_t request_alignment(const block::Node& target) {
  uint64_t alignment = target.driver_limits().request_alignment;
  if (const block::Node* file = target.file())
    alignment = std::max<uint64_t>(alignment, file->driver_limits().request_alignment);
  return alignment;
}

/** Read by tickets, whose readers must not be far apart; a stream is read in order anyway. */
bool one_by_one(const CopyJob& job) {
  return (job.flags & INSTAR_COPY_STREAM) == 0 && any_forward(job.sources);
}

}  // namespace

Status copy(const Call& call, const CopyJob& job) {
  return Copier(call, job).run();
}

Copier::Copier(const Call& call, const CopyJob& job)
    : call_(call),
      job_(job),
      target_(*job.target, any_remote(job.sources)),
      rule_(make_sparse_rule(job.min_sparse, request_alignment(*job.target))),
      remote_(job.target->remote() || any_remote(job.sources)),
      crowd_(choose_workers(one_by_one(job) ? 1 : job.workers, remote_)),
      reader_(call, job.flags),
      feed_(job.content),
      rate_(job.rate),
      stile_(!has(INSTAR_COPY_UNORDERED)) {}

Status Copier::run() {
  INSTAR_CHECK(set_up());
  INSTAR_CHECK(run_workers());
  return feed_.finish(total_);
}

Status Copier::set_up() {
  if (has(INSTAR_COPY_COMPRESSED)) INSTAR_CHECK(set_up_compression());
  choose_window();
  if (has(INSTAR_COPY_STREAM)) {
    if (job_.sources.empty()) {
      pipe_ = std::make_unique<PipeSource>(job_.source_fd);
    } else {
      INSTAR_TRY(PipeSource source, PipeSource::of(*job_.sources[0]));
      pipe_ = std::make_unique<PipeSource>(source);
    }
    INSTAR_TRY(room_, job_.target->size());
    progress_ = std::make_unique<Progress>(instar_progress{}, 0);
    return {};
  }
  return set_up_walk();
}

Status Copier::set_up_walk() {
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

  PlanOptions plan;
  plan.total = total_;
  plan.window = window_;
  plan.target_zero = has(INSTAR_COPY_TARGET_ZERO);
  plan.zeroes_are_data = job_.min_sparse == 0 && job_.base == nullptr;
  plan.look = feed_.wanted();
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
  const uint64_t share =
      std::bit_floor(kBufferBudget / crowd_.soon / (compress_ != nullptr ? 2 : 1));
  const uint64_t far = remote_ ? kRemoteWindow : kWindow;
  const uint64_t plain = job_.base != nullptr ? kCached : far;
  const uint64_t most = compress_ != nullptr ? kPackWindow : plain;
  window_ = std::max(sdk::round_down(std::min(most, share), unit), unit);
}

void Copier::choose_offload(PlanOptions& plan) {
  const RawFile* to = target_.file();
  if (compress_ != nullptr || to == nullptr || has(INSTAR_COPY_SALVAGE) || job_.rate != 0) return;
  if (feed_.wanted()) return;  // who wants to see the data must have it read
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

Status Copier::run_workers() {
  Crew<Worker> crew(
      call_, crowd_,
      {[this] {
         const size_t packed = compress_ != nullptr ? packed_room(window_) : 0;
         return std::unique_ptr<Worker>(new Worker{Buffer(window_), Buffer(packed), {}, {}, {}});
       },
       [this](Worker& worker) { return next(worker); },
       [this](Worker& worker) { return process(worker); },
       [this] {
         stile_.stop();
         feed_.stop();
       }});
  return crew.run();
}

Result<bool> Copier::next(Worker& worker) {
  return pipe_ != nullptr ? next_of_pipe(worker) : planner_->next(call_, worker.ticket);
}

/** Reads the pipe itself, since that has to happen in order. */
Result<bool> Copier::next_of_pipe(Worker& worker) {
  Ticket& ticket = worker.ticket;
  INSTAR_TRY(const size_t length,
             pipe_->read(call_, worker.data.data(), static_cast<size_t>(window_)));
  ticket.offset = total_;
  ticket.length = sdk::round_up(length, uint64_t{512});
  std::memset(worker.data.data() + length, 0, static_cast<size_t>(ticket.length) - length);
  total_ += ticket.length;
  // Known to be the end: the target's last cluster can be treated as such.
  if (pipe_->ended()) INSTAR_CHECK(make_room(total_));
  if (total_ > room_) INSTAR_CHECK(make_room(std::max(total_ + kLeastGrowth, 2 * total_)));
  if (length == 0) return false;
  ticket.number = pipe_tickets_++;
  ticket.kind = TicketKind::kData;
  return true;
}

Status Copier::make_room(uint64_t size) {
  if (size == room_ || (size < room_ && !has(INSTAR_COPY_RESIZE))) return {};
  if (!has(INSTAR_COPY_RESIZE)) return fail(EINVAL, "output file is smaller than input file");
  const std::unique_lock alone(room_mutex_);
  INSTAR_CHECK(sdk::NodeRef(job_.target->abi()).resize(call_, size));
  room_ = size;
  target_.refresh_size();
  return {};
}

Status Copier::process(Worker& worker) {
  const Ticket& ticket = worker.ticket;
  const std::shared_lock steady(room_mutex_);
  {
    Turn turn(stile_, ticket.number);
    if (ticket.kind == TicketKind::kZero)
      INSTAR_CHECK(target_.write_zeroes(call_, turn, ticket.offset, ticket.length));
    else if (ticket.kind == TicketKind::kOffload)
      INSTAR_CHECK(copy_offload(worker, turn));
    else
      INSTAR_CHECK(process_data(worker, turn));
  }
  const bool data = ticket.kind == TicketKind::kData || ticket.kind == TicketKind::kLook;
  INSTAR_CHECK(feed_.put(ticket, data ? worker.data.data() : nullptr));
  if (ticket.kind == TicketKind::kData || ticket.kind == TicketKind::kOffload)
    progress_->add(ticket.length);
  return {};
}

Status Copier::process_data(Worker& worker, Turn& turn) {
  const Ticket& ticket = worker.ticket;
  if (may_step(ticket)) return copy_in_steps(worker, turn);
  if (pipe_ == nullptr) INSTAR_CHECK(reader_.read(ticket, worker.data.data()));
  if (ticket.kind == TicketKind::kLook) return {};
  if (compress_ != nullptr) return copy_compressed(worker, turn);
  return copy_window(worker, turn, ticket.offset, static_cast<size_t>(ticket.length), false);
}

/** Where runs of zeroes are cut by blocks, it does not matter how much is looked at at once. */
bool Copier::may_step(const Ticket& ticket) const {
  const bool by_blocks = job_.min_sparse == 0 ||
                         (rule_.min_sparse <= rule_.alignment && kCached % rule_.alignment == 0 &&
                          ticket.offset % rule_.alignment == 0);
  return by_blocks && !remote_ && ticket.kind == TicketKind::kData && ticket.length > kCached &&
         pipe_ == nullptr && compress_ == nullptr && !feed_.wanted() && !target_.takes_turns();
}

Status Copier::copy_in_steps(Worker& worker, Turn& turn) {
  const Ticket& ticket = worker.ticket;
  const uint64_t end = ticket.offset + ticket.length;
  for (uint64_t at = ticket.offset; at < end; at += kCached) {
    const uint64_t length = std::min(kCached, end - at);
    INSTAR_CHECK(reader_.read(ticket, at, length, worker.data.data()));
    INSTAR_CHECK(copy_window(worker, turn, at, static_cast<size_t>(length), true));
  }
  return {};
}

}  // namespace instar::engine
