// SPDX-License-Identifier: Apache-2.0
/** @file connection.hpp One connection to an export, with many requests in flight. */
#pragma once

#include <libnbd.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "plugins/protocols/nbd/address.hpp"
#include "plugins/protocols/nbd/tls.hpp"
#include "sdk/cpp/call.hpp"

namespace instar::nbd {

using Clock = std::chrono::steady_clock;

/** What is connected to. */
struct Target {
  Address address;
  std::string export_name;
  Tls tls;
  std::string context;  ///< whose block status is asked for: "base:allocation", or a bitmap's
};

/** What the server says of the export. Sizes are bytes, 0: it does not say. */
struct Export {
  uint64_t size = 0;
  uint32_t min_block = 0, preferred_block = 0, max_block = 0;
  bool read_only = false, can_flush = false, can_fua = false, can_trim = false, can_zero = false,
       can_fast_zero = false, multi_conn = false, has_context = false;
};

/** The code of an error after which the connection is gone: the request may be made again. */
inline constexpr int kLost = ENOTCONN;

/**
 * Thread-safe. There is no thread behind it: of the threads that wait for replies one waits for the
 * socket and hands that on when its own reply has come.
 */
class Connection {
 public:
  /** Sends a request by libnbd's asynchronous function, with the completion given; negative: it
   * could not be sent. */
  using Send = std::function<int64_t(nbd_handle*, nbd_completion_callback)>;

  /** Ends with an error at the deadline. */
  static sdk::Result<std::shared_ptr<Connection>> connect(const sdk::Call& call,
                                                          const Target& target,
                                                          Clock::time_point deadline);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  const Export& about() const { return export_; }
  /**
   * Carries out one request. Error kLost: the connection broke; others are the server's, or
   * ECANCELED. What `send` refers to is not touched any more once this returned.
   * @param limit longest time without a reply; zero: none.
   */
  sdk::Status run(const sdk::Call& call, const Send& send, std::chrono::seconds limit);
  bool usable() const;
  /** Requests that wait for their replies. */
  size_t load() const;

 private:
  struct Request {
    std::condition_variable changed;
    int error = 0;
    bool done = false;
  };
  using Lock = std::unique_lock<std::mutex>;

  Connection();
  sdk::Status open(const sdk::Call& call, const Target& target, Clock::time_point deadline);
  sdk::Status start(const Target& target);
  sdk::Status describe(const Target& target);
  int step(Lock& lock);
  void wait(Lock& lock, Request& request);
  void wake_poller() const;
  void hand_over();
  void end();
  static int complete(void* opaque, int* error);
  static int remember_message(void* opaque, const char* context, const char* message);

  nbd_handle* handle_ = nullptr;
  int wake_fd_ = -1;
  Export export_;
  std::string server_message_;

  mutable std::mutex mutex_;
  std::vector<Request*> waiting_;
  bool polling_ = false;
  bool ended_ = false;
};

}  // namespace instar::nbd
