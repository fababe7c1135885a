// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/ssh/sessions.hpp"

#include <fcntl.h>

namespace instar::ssh {

namespace {

using sdk::Call;
using sdk::errno_text;
using sdk::fail;
using sdk::Result;
using sdk::Status;

/** A server lets ten callers in who have not logged in yet, and each is a process there. */
constexpr size_t kMostSessions = 4;
constexpr std::chrono::milliseconds kPatience(100);

}  // namespace

Status Sessions::open(const Call& call, int access) {
  access_ = access & O_ACCMODE;
  INSTAR_TRY(auto session, Session::open(call, dog_, target_, access));
  size_ = session->size();
  regular_ = session->regular();
  count_ = 1;
  most_ = kMostSessions;
  idle_.push_back(std::move(session));
  return {};
}

Status Sessions::run(const Call& call, const std::function<Status(Session&)>& work) {
  INSTAR_TRY(auto session, take(call));
  Status status = work(*session);
  give_back(std::move(session), !status && status.error().code == ETIMEDOUT);
  return status;
}

Result<Sessions::SessionPtr> Sessions::take(const Call& call) {
  std::unique_lock lock(mutex_);
  const uint64_t silences = silences_;
  for (;;) {
    if (call.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
    if (lost_) return fail(EIO, errno_text(EIO));
    // Who waited meanwhile would only find the same, one after another.
    if (silences_ != silences) return fail(ETIMEDOUT, errno_text(ETIMEDOUT));
    if (!idle_.empty()) {
      auto session = std::move(idle_.back());
      idle_.pop_back();
      return session;
    }
    if (count_ < most_) {
      auto session = add(call, lock);
      if (session || count_ == 0) return session;
      most_ = count_;  // the server lets no more in
      continue;
    }
    changed_.wait_for(lock, kPatience);
  }
}

/** Unlocked while it connects. */
Result<Sessions::SessionPtr> Sessions::add(const Call& call, std::unique_lock<std::mutex>& lock) {
  ++count_;
  lock.unlock();
  auto session = Session::open(call, dog_, target_, access_);
  lock.lock();
  if (session) return session;
  --count_;
  if (session.error().code == ETIMEDOUT) silent();
  return session;
}

void Sessions::silent() {
  ++silences_;
  changed_.notify_all();
}

void Sessions::give_back(SessionPtr session, bool timed_out) {
  SessionPtr broken;  // goes when the mutex is free
  const std::lock_guard lock(mutex_);
  if (timed_out) silent();
  if (session->broken()) {
    broken = std::move(session);
    --count_;
    lost_ = lost_ || access_ != O_RDONLY;
  } else {
    idle_.push_back(std::move(session));
  }
  changed_.notify_one();
}

}  // namespace instar::ssh
