// SPDX-License-Identifier: Apache-2.0
/** @file client.hpp The connections to one export: as many as help, and new ones for those lost. */
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "plugins/protocols/nbd/connection.hpp"

namespace instar::nbd {

/** All in seconds. */
struct Patience {
  std::chrono::seconds open{0};       ///< how long the first connection is tried again
  std::chrono::seconds reconnect{0};  ///< how long requests wait for a lost connection
  std::chrono::seconds request{0};    ///< how long a reply may take; 0: as long as it wants
};

/** Thread-safe. */
class Client {
 public:
  Client(Target target, Patience patience) : target_(std::move(target)), patience_(patience) {}

  /** The first connection. */
  sdk::Status open(const sdk::Call& call);
  /** What the first connection was told. */
  const Export& about() const { return export_; }
  const Target& target() const { return target_; }
  /** One request, made again on another connection where one broke: every NBD request may be. */
  sdk::Status run(const sdk::Call& call, const Connection::Send& send);

 private:
  using Lock = std::unique_lock<std::mutex>;
  using ConnectionPtr = std::shared_ptr<Connection>;

  sdk::Result<ConnectionPtr> pick(const sdk::Call& call);
  sdk::Result<ConnectionPtr> add(const sdk::Call& call, Lock& lock, bool further);
  sdk::Result<ConnectionPtr> connect(const sdk::Call& call, bool further) const;
  ConnectionPtr idlest();
  bool give_up();

  const Target target_;
  const Patience patience_;
  Export export_;
  std::chrono::milliseconds handshake_{0};  ///< that the first connection took

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<ConnectionPtr> connections_;
  size_t most_ = 1;
  bool connecting_ = false;
  Clock::time_point lost_since_ = Clock::time_point::max();
};

}  // namespace instar::nbd
