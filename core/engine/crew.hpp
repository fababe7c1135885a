// SPDX-License-Identifier: Apache-2.0
/** @file crew.hpp Threads that work through tickets. */
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <new>

#include "core/engine/plan.hpp"
#include "core/engine/pool.hpp"

namespace instar::engine {

/** @tparam Worker what one thread works with; has a member `ticket`. */
template <class Worker>
class Crew {
 public:
  struct Tasks {
    std::function<std::unique_ptr<Worker>()> hire;  ///< runs on the worker's own thread
    std::function<Result<bool>(Worker&)> next;      ///< one thread at a time; false: the end
    std::function<Status(Worker&)> process;
    std::function<void()> stop;  ///< wakes workers that wait for others
  };

  Crew(const Call& call, Crowd crowd, Tasks tasks)
      : call_(call), tasks_(std::move(tasks)), team_(crowd, [this] { work(); }) {}

  /** Returns when there are no more tickets, or one failed: then the error at the lowest offset. */
  Status run() {
    team_.run();
    return error_.status();
  }

 private:
  void work() {
    std::unique_ptr<Worker> worker;
    Status status;
    try {
      worker = tasks_.hire();
      status = work_through(*worker);
    } catch (const std::bad_alloc&) {
      status = fail(ENOMEM, errno_text(ENOMEM));
    }
    if (status) return;
    // Who was only told to stop has nothing to say.
    const bool told = status.error().code == ECANCELED && !call_.cancelled();
    if (!told) error_.set(worker ? worker->ticket.offset : 0, std::move(status).error());
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    tasks_.stop();
  }
  Status work_through(Worker& worker) {
    for (;;) {
      INSTAR_TRY(const bool more, take(worker));
      if (!more) return {};
      const Team::Piece piece(team_);
      INSTAR_CHECK(tasks_.process(worker));
    }
  }
  Result<bool> take(Worker& worker) {
    {
      const std::lock_guard lock(mutex_);
      if (ended_) return false;
      if (call_.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
      INSTAR_TRY(const bool more, tasks_.next(worker));
      ended_ = !more;
      if (!more) return false;
    }
    // The first ticket is the caller's alone: most small images need no other.
    if (worker.ticket.number > 0) team_.grow();
    return true;
  }

  const Call& call_;
  const Tasks tasks_;
  std::mutex mutex_;
  bool ended_ = false;
  JobError error_;
  Team team_;
};

}  // namespace instar::engine
