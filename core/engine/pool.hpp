// SPDX-License-Identifier: Apache-2.0
/**
 * @file pool.hpp
 * A team of threads for one job. The caller's own thread is the first worker; others are started
 * only when the job turns out to be worth it, since callers limit our address space.
 */
#pragma once

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "core/base/result.hpp"

namespace instar::engine {

/** How many workers a job gets. */
struct Crowd {
  unsigned soon;  ///< as soon as there is work for them
  unsigned
      most;  ///< when pieces of work turn out to take long, as they do where each waits for a network
};

/** @param asked 0 = the engine's choice; @param remote some of the job's nodes are behind a network. */
Crowd choose_workers(uint32_t asked, bool remote);

class Team {
 public:
  /** @param work runs once on each thread, until there is nothing left to do. */
  Team(Crowd crowd, std::function<void()> work);
  ~Team() { join(); }
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  /** Starts one more worker if there may be one. A thread that can't be started is done without.
   * [any] */
  void grow();
  /** Works on the calling thread too, and returns when all have ended. */
  void run();

  /** A piece of work, from its beginning to its end. [any] */
  class Piece {
   public:
    explicit Piece(Team& team) : team_(team), begin_(std::chrono::steady_clock::now()) {}
    ~Piece() { team_.took(std::chrono::steady_clock::now() - begin_); }
    Piece(const Piece&) = delete;
    Piece& operator=(const Piece&) = delete;

   private:
    Team& team_;
    const std::chrono::steady_clock::time_point begin_;
  };

 private:
  void took(std::chrono::nanoseconds time);
  static void* enter(void* self);
  void join();

  const Crowd crowd_;
  const std::function<void()> work_;
  std::mutex mutex_;
  std::vector<pthread_t> threads_;
  unsigned started_ = 0;
  std::atomic<unsigned> long_pieces_ = 0;  ///< one after the other
  std::atomic<bool> slow_ = false;         ///< enough of them
};

/**
 * Lets tickets 0, 1, 2, … do something in their order while all else they do overlaps.
 * Every ticket passes once. [any]
 */
class Turnstile {
 public:
  /** @param ordered false: everyone goes at once. */
  explicit Turnstile(bool ordered) : ordered_(ordered) {}

  /** Waits until all tickets before this one have passed; false: the job was stopped. */
  bool wait(uint64_t ticket);
  void pass(uint64_t ticket);
  /** Wakes all who wait. */
  void stop();

 private:
  const bool ordered_;
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t next_ = 0;
  std::vector<uint64_t> early_;  ///< passed before their turn
  bool stopped_ = false;
};

/** One ticket's turn; passes at the latest when it goes. */
class Turn {
 public:
  Turn(Turnstile& stile, uint64_t ticket) : stile_(stile), ticket_(ticket) {}
  ~Turn() { pass(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  bool wait() { return stile_.wait(ticket_); }
  void pass() {
    if (!passed_) stile_.pass(ticket_);
    passed_ = true;
  }

 private:
  Turnstile& stile_;
  const uint64_t ticket_;
  bool passed_ = false;
};

/** The error of a job that many work on: of those that happened, the one at the lowest offset. */
class JobError {
 public:
  void set(uint64_t offset, Error error);
  bool any() const;
  /** To be called after the workers ended. */
  Status status() const;

 private:
  mutable std::mutex mutex_;
  bool set_ = false;
  uint64_t offset_ = 0;
  Error error_;
};

}  // namespace instar::engine
