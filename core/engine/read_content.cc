// SPDX-License-Identifier: Apache-2.0
#include "core/engine/read_content.hpp"

#include <algorithm>
#include <memory>

#include "core/engine/buffer.hpp"
#include "core/engine/content_feed.hpp"
#include "core/engine/crew.hpp"
#include "core/engine/progress.hpp"
#include "core/engine/rate_limit.hpp"
#include "core/engine/ticket_reader.hpp"
#include "sdk/abi/forward.h"

namespace instar::engine {

namespace {

constexpr uint64_t kWindow = 1 << 20;
constexpr uint64_t kZeroWindow = 64 << 20;  // so that progress goes on

struct Worker {
  Buffer data;
  Ticket ticket;
};

SourceOptions source_options(const ReadJob& job) {
  SourceOptions options;
  options.nodes = job.sources;
  options.length = job.length;
  options.salvage = (job.flags & INSTAR_COPY_SALVAGE) != 0;
  options.quiet = (job.flags & INSTAR_COPY_QUIET) != 0;
  return options;
}

class ContentReader {
 public:
  ContentReader(const Call& call, const ReadJob& job)
      : call_(call),
        job_(job),
        walk_(source_options(job), files_),
        feed_(job.content),
        reader_(call, job.flags),
        rate_(job.rate) {}

  Status run() {
    INSTAR_TRY(const uint64_t total, walk_.open());
    PlanOptions plan;
    plan.total = total;
    plan.window = kWindow;
    plan.zero_window = kZeroWindow;
    Planner planner(walk_, plan);
    Progress progress(job_.progress, total);
    progress_ = &progress;
    Crew<Worker> crew(
        call_, choose_workers(job_.status_only ? 1 : job_.workers, any_remote(job_.sources)),
        {[this] {
           return std::unique_ptr<Worker>(new Worker{Buffer(kWindow), {}});
         },
         [&](Worker& worker) { return planner.next(call_, worker.ticket); },
         [this](Worker& worker) { return process(worker); }, [this] { feed_.stop(); }});
    INSTAR_CHECK(crew.run());
    return feed_.finish(total);
  }

 private:
  Status process(Worker& worker) {
    const Ticket& ticket = worker.ticket;
    if (job_.status_only) return feed_.put_status(ticket);
    const bool zeroes = ticket.kind == TicketKind::kZero;
    if (!zeroes) {
      rate_.take(call_, ticket.length);
      INSTAR_CHECK(reader_.read(ticket, worker.data.data()));
    }
    INSTAR_CHECK(feed_.put(ticket, zeroes ? nullptr : worker.data.data()));
    progress_->add(ticket.length);
    return {};
  }

  const Call& call_;
  const ReadJob& job_;
  RawFiles files_;
  SourceWalk walk_;
  ContentFeed feed_;
  TicketReader reader_;
  RateLimit rate_;
  Progress* progress_ = nullptr;
};

}  // namespace

Status read_content(const Call& call, const ReadJob& job) {
  return ContentReader(call, job).run();
}

bool any_forward(const std::vector<block::Node*>& sources) {
  void* self = nullptr;
  return std::any_of(sources.begin(), sources.end(), [&](const block::Node* node) {
    return node->interface<instar_forward_ops>(INSTAR_FORWARD_ID, &self) != nullptr;
  });
}

bool any_remote(const std::vector<block::Node*>& sources) {
  return std::any_of(sources.begin(), sources.end(),
                     [](const block::Node* node) { return node->remote(); });
}

Result<uint64_t> content_size(const std::vector<block::Node*>& sources) {
  SourceOptions options;
  options.nodes = sources;
  RawFiles files;
  return SourceWalk(options, files).open();
}

}  // namespace instar::engine
