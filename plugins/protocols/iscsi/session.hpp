// SPDX-License-Identifier: Apache-2.0
/** @file session.hpp A login at a target, with many commands to one of its logical units in flight. */
#pragma once

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "plugins/protocols/iscsi/place.hpp"
#include "sdk/cpp/bytes.hpp"
#include "sdk/cpp/call.hpp"

namespace instar::iscsi {

using Clock = std::chrono::steady_clock;

struct FreeTask {
  void operator()(scsi_task* task) const { scsi_free_scsi_task(task); }
};
/** A command, and later the answer to it. */
using Task = std::unique_ptr<scsi_task, FreeTask>;

/** An answered command. */
struct Answer {
  Task task;
  std::vector<uint8_t> buffer = {};  ///< for data that the task had no place for
  std::string text = {};             ///< libiscsi's words, unless it is good

  bool good() const { return task->status == SCSI_STATUS_GOOD; }
  bool refused() const { return task->status == SCSI_STATUS_CHECK_CONDITION; }
  /** What the target sent into the buffer. */
  sdk::ConstBytes data() const;
  /** The errno for one that is not good. */
  int code() const;
};

/** The code of an error after which the connection is gone: the command may be given again. */
inline constexpr int kLost = ENOTCONN;

/**
 * Thread-safe. A thread of its own does all that libiscsi does at the socket, so that the target's pings are answered
 * while nobody wants anything.
 */
class Session {
 public:
  static sdk::Result<std::shared_ptr<Session>> open(const sdk::Call& call, const Place& place);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /**
   * Gives a command and waits for the answer, whatever it says. Buffers of the task are not touched any more once this
   * returned. After ECANCELED, ETIMEDOUT or kLost no command works any more.
   * @param limit longest time to wait; 0: none
   */
  sdk::Result<Answer> run(const sdk::Call& call, Task task, std::chrono::seconds limit);
  bool lost();

 private:
  struct Request {
    std::condition_variable changed;
    int status = 0;
    std::string text;
    bool done = false;
  };
  using Lock = std::unique_lock<std::mutex>;

  explicit Session(int lun) : lun_(lun) {}
  sdk::Status set_up(const Place& place);
  sdk::Status connect(const sdk::Call& call, const Place& place);
  sdk::Status wait(Lock& lock, const sdk::Call& call, Request& request, std::chrono::seconds limit);
  void serve();
  void end(int why);
  void wake() const;
  static void complete(iscsi_context* context, int status, void* data, void* opaque);

  const int lun_;
  int wake_fd_ = -1;
  std::mutex mutex_;
  iscsi_context* context_ = nullptr;
  int ended_ = 0;  ///< why, an errno; 0: it has not
  std::thread server_;
};

}  // namespace instar::iscsi
