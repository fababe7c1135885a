// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/ssh/watchdog.hpp"

#include <sys/socket.h>

#include <algorithm>

namespace instar::ssh {

namespace {

/** How soon a wish to cancel is seen. */
constexpr std::chrono::milliseconds kPatience(100);

Clock::time_point after(std::chrono::seconds limit) {
  return limit.count() > 0 ? Clock::now() + limit : Clock::time_point::max();
}

}  // namespace

Watchdog::Watch::Watch(Watchdog& dog, const sdk::Call& call, int socket, std::chrono::seconds limit)
    : dog_(dog) {
  const std::lock_guard lock(dog_.mutex_);
  if (!dog_.thread_.joinable()) dog_.thread_ = std::thread(&Watchdog::run, &dog_);
  dog_.entries_.push_front({call, socket, limit, after(limit)});
  entry_ = dog_.entries_.begin();
  dog_.changed_.notify_one();
}

Watchdog::Watch::~Watch() {
  const std::lock_guard lock(dog_.mutex_);
  dog_.entries_.erase(entry_);
}

void Watchdog::Watch::progress() {
  const std::lock_guard lock(dog_.mutex_);
  entry_->deadline = after(entry_->limit);
}

void Watchdog::Watch::wait_still(Clock::duration grace) {
  const std::lock_guard lock(dog_.mutex_);
  entry_->grace = grace;
}

int Watchdog::Watch::fired() const {
  const std::lock_guard lock(dog_.mutex_);
  return entry_->fired;
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void Watchdog::run() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    if (entries_.empty())
      changed_.wait(lock);
    else
      changed_.wait_for(lock, kPatience);
    look();
  }
}

void Watchdog::look() {
  const auto now = Clock::now();
  for (auto& entry : entries_) {
    if (entry.fired != 0) continue;
    if (entry.call.cancelled()) entry.unwanted = std::min(entry.unwanted, now);
    if (entry.unwanted <= now - entry.grace)
      entry.fired = ECANCELED;
    else if (now >= entry.deadline)
      entry.fired = ETIMEDOUT;
    if (entry.fired != 0) (void)::shutdown(entry.socket, SHUT_RDWR);
  }
}

}  // namespace instar::ssh
