// SPDX-License-Identifier: Apache-2.0
/** @file sessions.hpp The connections of a node: one for each request in flight, as far as that
 * helps. */
#pragma once

#include <functional>
#include <vector>

#include "plugins/protocols/ssh/session.hpp"

namespace instar::ssh {

/** Thread-safe. */
class Sessions {
 public:
  explicit Sessions(Target target) : target_(std::move(target)) {}

  /** The first connection. @param access O_RDONLY, O_RDWR; for a new file also O_CREAT, O_TRUNC. */
  sdk::Status open(const sdk::Call& call, int access);
  /** Of the file when it was opened. */
  uint64_t size() const { return size_; }
  bool regular() const { return regular_; }
  const Target& target() const { return target_; }
  /**
   * With a connection that nobody else has meanwhile. One that broke is not used again: a reader
   * gets another, but who wrote can't know what became of that, so that all further requests fail.
   */
  sdk::Status run(const sdk::Call& call, const std::function<sdk::Status(Session&)>& work);

 private:
  using SessionPtr = std::unique_ptr<Session>;

  sdk::Result<SessionPtr> take(const sdk::Call& call);
  sdk::Result<SessionPtr> add(const sdk::Call& call, std::unique_lock<std::mutex>& lock);
  void give_back(SessionPtr session, bool timed_out);
  /** The server did not answer in time; with the mutex locked. */
  void silent();

  const Target target_;
  int access_ = 0;
  uint64_t size_ = 0;
  bool regular_ = false;
  Watchdog dog_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<SessionPtr> idle_;
  size_t count_ = 0;  ///< idle, at work, and being made
  size_t most_ = 0;
  bool lost_ = false;
  uint64_t silences_ = 0;
};

}  // namespace instar::ssh
