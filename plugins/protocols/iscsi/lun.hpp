// SPDX-License-Identifier: Apache-2.0
/** @file lun.hpp A logical unit: what it is, and commands to it over connections that may break. */
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>

#include "plugins/protocols/iscsi/scsi.hpp"
#include "plugins/protocols/iscsi/session.hpp"
#include "sdk/cpp/host.hpp"

namespace instar::iscsi {

/** What the target says of it. */
struct About {
  Capacity capacity;
  Mode mode;
  BlockLimits limits;
  Provisioning provisioning;
  bool cd = false;  ///< a CD-ROM, which is only read
};

/** Thread-safe. */
class Lun {
 public:
  /** Makes the command: anew each time that it is given. */
  using Make = std::function<Task()>;

  static sdk::Result<std::unique_ptr<Lun>> open(const sdk::Call& call, const sdk::Host& host,
                                                const Place& place);

  const About& about() const { return about_; }
  /** Gives a command, again where the target asks for that or the connection was lost. The answer may be a no. */
  sdk::Result<Answer> run(const sdk::Call& call, const Make& make, int patience = 1);
  /** A command that is not good is an error, and printed apart as the genuine tool does. @param what "READ10/16 failed at lba 7" */
  sdk::Result<Answer> demand(const sdk::Call& call, const Make& make, std::string_view what,
                             int patience = 1);
  /** For an answer that is not good. */
  sdk::Error failed(const Answer& answer, std::string_view what) const;

  /** After a write that the target has answered, and that its cache may have. */
  void note_write() { ++written_; }
  sdk::Status flush(const sdk::Call& call);

 private:
  using SessionPtr = std::shared_ptr<Session>;

  Lun(const sdk::Host& host, Place place) : host_(host), place_(std::move(place)) {}
  sdk::Result<SessionPtr> connect(const sdk::Call& call, About& about) const;
  sdk::Result<SessionPtr> current(const sdk::Call& call);
  bool unflushed() const { return about_.mode.write_cache && written_ != flushed_; }

  const sdk::Host host_;
  const Place place_;
  About about_;
  std::atomic<uint64_t> written_{0};
  std::atomic<uint64_t> flushed_{0};  ///< of these, those that are surely on stable storage

  std::mutex mutex_;
  SessionPtr session_;
  Clock::time_point lost_since_ = Clock::time_point::max();
};

}  // namespace instar::iscsi
