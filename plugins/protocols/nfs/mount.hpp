// SPDX-License-Identifier: Apache-2.0
/** @file mount.hpp A connection to an NFS server, with the file open on it and many requests in
 * flight. */
#pragma once

#include <nfsc/libnfs.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "plugins/protocols/nfs/place.hpp"
#include "sdk/cpp/call.hpp"

namespace instar::nfs {

using Clock = std::chrono::steady_clock;

/** How the file is opened. */
enum class Access { kRead, kWrite, kCreate };

/**
 * Thread-safe. There is no thread behind it: of the threads that wait for answers one waits for the
 * socket and hands that on when its own answer has come.
 */
class Mount {
 public:
  /** Sends a request by libnfs' asynchronous function, with the callback and its argument; negative:
   * it could not be sent. */
  using Send = std::function<int(nfs_context*, nfsfh*, nfs_cb, void*)>;
  /** Takes an answer that is no error: its number and its data, which go afterwards. */
  using Take = std::function<void(int, const void*)>;

  /** @param limit longest time without an answer; 0: none. */
  static sdk::Result<std::unique_ptr<Mount>> open(const sdk::Call& call, const Place& place,
                                                  Access access, std::chrono::seconds limit);
  ~Mount();
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;

  /**
   * Carries out one request; gives its number. What `send` and `take` refer to is not touched any
   * more once this returned. After ECANCELED, ETIMEDOUT or a connection that broke for good no
   * request works any more.
   */
  sdk::Result<int> run(const sdk::Call& call, const Send& send, const Take& take = {},
                       int patience = 1);
  /** The connection was cut, by the server or since an answer took too long or was not wanted. */
  bool lost();

 private:
  struct Request {
    std::condition_variable changed;
    const Take* take = nullptr;
    int number = 0;
    std::string text;  ///< of an error
    bool done = false;
  };
  using Lock = std::unique_lock<std::mutex>;

  explicit Mount(std::chrono::seconds limit) : limit_(limit) {}
  void set_up(const Place& place);
  sdk::Status connect(const sdk::Call& call, const Place& place, Access access);
  sdk::Error library_error(const sdk::Error& error, std::string_view what, std::string_view text);
  void step(Lock& lock);
  void wait(Lock& lock, Request& request);
  void wake_poller() const;
  void hand_over();
  void end(int why);
  static void complete(int number, nfs_context*, void* data, void* opaque);

  const std::chrono::seconds limit_;
  nfs_context* nfs_ = nullptr;
  nfsfh* file_ = nullptr;
  int wake_fd_ = -1;

  std::mutex mutex_;
  std::vector<Request*> waiting_;
  bool polling_ = false;
  int ended_ = 0;  ///< why, an errno; 0: it has not
};

}  // namespace instar::nfs
