// SPDX-License-Identifier: Apache-2.0
/** @file watchdog.hpp libssh's calls wait as long as they want: what they wait for is cut off when
 * nobody wants the answer any more, or it takes too long. */
#pragma once

#include <chrono>
#include <condition_variable>
#include <list>
#include <mutex>
#include <thread>

#include "sdk/cpp/call.hpp"

namespace instar::ssh {

using Clock = std::chrono::steady_clock;

/** Thread-safe. Has a thread of its own from the first watch on. */
class Watchdog {
 private:
  struct Entry {
    sdk::Call call;
    int socket;
    std::chrono::seconds limit;  ///< 0: none
    Clock::time_point deadline;
    int fired = 0;
    Clock::duration grace{0};
    Clock::time_point unwanted = Clock::time_point::max();  ///< since when nobody wants the answer
  };

 public:
  /** Watches over a socket as long as it lives. */
  class Watch {
   public:
    /** @param socket is shut down, never closed. @param limit longest time without progress(); 0:
     * none. */
    Watch(Watchdog& dog, const sdk::Call& call, int socket, std::chrono::seconds limit);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    void progress();
    /** An answer that nobody wants any more may still come for so long. */
    void wait_still(Clock::duration grace);
    /** ECANCELED or ETIMEDOUT when the socket was cut off, else 0. */
    int fired() const;

   private:
    Watchdog& dog_;
    std::list<Entry>::iterator entry_;
  };

  Watchdog() = default;
  ~Watchdog();

 private:
  void run();
  void look();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Entry> entries_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace instar::ssh
