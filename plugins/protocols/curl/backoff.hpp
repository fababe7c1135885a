// SPDX-License-Identifier: Apache-2.0
/** @file backoff.hpp When to try again, and when no more. */
#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

#include "plugins/protocols/curl/transfer.hpp"

namespace instar::curl {

/** Attempts go on as long as bytes come, at growing intervals when none do. */
class Backoff {
 public:
  /** @param timeout without a byte; 0: what a user would wait for. */
  explicit Backoff(std::chrono::seconds timeout)
      : patience_(timeout.count() > 0 ? timeout : std::chrono::seconds(30)) {}

  /** @param silence how long ago the last byte came */
  void progress(std::chrono::milliseconds silence) {
    last_ = Clock::now() - silence;
    pause_ = kFirstPause;
  }
  /** Somebody is there, but does not want it yet. */
  void answered() { last_ = Clock::now(); }
  /** Waits; false: it has been long enough, or the user does not want any more. */
  bool again(const sdk::Call& call) {
    if (Clock::now() + pause_ - last_ >= patience_) return false;
    for (const auto until = Clock::now() + pause_; Clock::now() < until;) {
      if (call.cancelled()) return false;
      std::this_thread::sleep_for(kFirstPause / 2);
    }
    pause_ = std::min(2 * pause_, kLongestPause);
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;
  using Pause = std::chrono::milliseconds;
  static constexpr Pause kFirstPause{50}, kLongestPause{2000};
  const std::chrono::seconds patience_;
  Clock::time_point last_ = Clock::now();
  Pause pause_ = kFirstPause;
};

/** Whether the same request may well succeed a little later. */
bool is_transient(const Reply& reply);

/** Why it failed, in the words of the server or of curl. */
std::string reason_of(const Reply& reply);

/** What a request for data that failed comes to: errno's text, as the block layer has it, and why. */
sdk::Error read_error(const Reply& reply);

/** The file is not the one that was opened. */
sdk::Error changed_error(const Settings& settings);

}  // namespace instar::curl
