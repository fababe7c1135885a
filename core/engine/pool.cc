// SPDX-License-Identifier: Apache-2.0
#include "core/engine/pool.hpp"

#include <sched.h>
#include <signal.h>

#include <algorithm>

namespace instar::engine {

namespace {

constexpr size_t kStackSize = size_t{256} << 10;
constexpr unsigned kMostWorkers = 16;
constexpr unsigned kMostByItself = 4;
/** For a server nearby: more would take the processor from each other, and from it. */
constexpr unsigned kRemoteSoon = 3;
/** Three times a MiB in this time is 4 Gbit/s; who gets less waits for distance, and a busy server nearby
 * is left to its few requests. */
constexpr std::chrono::milliseconds kLong(6);
/** As many in a row are no accident: the first worker's first, and one of each after that. */
constexpr unsigned kLongPieces = kRemoteSoon + 1;

/** Signals are for the thread that was there before us. */
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace

Crowd choose_workers(uint32_t asked, bool remote) {
  const auto always = [](unsigned count) { return Crowd{count, count}; };
  if (asked != 0) return always(std::min(asked, kMostWorkers));
  if (remote) return {kRemoteSoon, kMostWorkers};
  cpu_set_t cpus;
  const int cores = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
  return always(std::clamp(static_cast<unsigned>(cores), 2u, kMostByItself));
}

Team::Team(Crowd crowd, std::function<void()> work) : crowd_(crowd), work_(std::move(work)) {
  threads_.reserve(crowd_.most);
}

void Team::took(std::chrono::nanoseconds time) {
  if (time <= kLong)
    long_pieces_ = 0;
  else if (++long_pieces_ >= kLongPieces)
    slow_ = true;
}

void* Team::enter(void* self) {
  static_cast<Team*>(self)->work_();
  return nullptr;
}

void Team::grow() {
  const std::lock_guard lock(mutex_);
  if (started_ + 1 >= (slow_ ? crowd_.most : crowd_.soon)) return;
  ++started_;
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return;
  pthread_attr_setstacksize(&attributes, kStackSize);
  const SignalsBlocked blocked;
  pthread_t thread;
  if (pthread_create(&thread, &attributes, &Team::enter, this) == 0) threads_.push_back(thread);
  pthread_attr_destroy(&attributes);
}

void Team::run() {
  work_();
  join();
}

void Team::join() {
  for (;;) {
    std::vector<pthread_t> threads;
    {
      const std::lock_guard lock(mutex_);
      threads.swap(threads_);
    }
    if (threads.empty()) return;
    for (const pthread_t thread : threads)
      pthread_join(thread, nullptr);
  }
}

bool Turnstile::wait(uint64_t ticket) {
  if (!ordered_) return true;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stopped_ || next_ == ticket; });
  return !stopped_;
}

void Turnstile::pass(uint64_t ticket) {
  if (!ordered_) return;
  const std::lock_guard lock(mutex_);
  early_.push_back(ticket);
  const auto find_next = [&] { return std::find(early_.begin(), early_.end(), next_); };
  for (auto found = find_next(); found != early_.end(); found = find_next()) {
    early_.erase(found);
    ++next_;
  }
  changed_.notify_all();
}

void Turnstile::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

void JobError::set(uint64_t offset, Error error) {
  const std::lock_guard lock(mutex_);
  if (set_ && offset_ <= offset) return;
  set_ = true;
  offset_ = offset;
  error_ = std::move(error);
}

bool JobError::any() const {
  const std::lock_guard lock(mutex_);
  return set_;
}

Status JobError::status() const {
  const std::lock_guard lock(mutex_);
  if (set_) return error_;
  return {};
}

}  // namespace instar::engine
