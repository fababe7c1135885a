// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/nbd/client.hpp"

#include <algorithm>
#include <thread>

namespace instar::nbd {

namespace {

using sdk::Call;
using sdk::errno_text;
using sdk::Error;
using sdk::fail;
using sdk::Result;
using sdk::Status;
using std::chrono::milliseconds;

/** Beyond this a copy gets no faster. */
constexpr size_t kMostConnections = 4;
/** Requests that keep a connection busy: the next goes to a further one. */
constexpr size_t kFew = 2;
/** A server that lets a caller in and then says nothing. */
constexpr std::chrono::seconds kHandshakeLimit(30);
/** Between two attempts. */
constexpr milliseconds kPause(100);

Error cancelled() {
  return fail(ECANCELED, errno_text(ECANCELED));
}

}  // namespace

Status Client::open(const Call& call) {
  const auto begin = Clock::now();
  while (true) {
    const auto attempt = Clock::now();
    auto connection = Connection::connect(call, target_, attempt + kHandshakeLimit);
    if (connection) {
      export_ = (*connection)->about();
      handshake_ = std::chrono::duration_cast<milliseconds>(Clock::now() - attempt);
      if (export_.multi_conn) most_ = kMostConnections;
      connections_.push_back(*std::move(connection));
      return {};
    }
    if (call.cancelled()) return cancelled();
    if (Clock::now() - begin >= patience_.open) return std::move(connection).error();
    std::this_thread::sleep_for(kPause);
  }
}

Status Client::run(const Call& call, const Connection::Send& send) {
  while (true) {
    auto connection = pick(call);
    if (connection) {
      Status status = (*connection)->run(call, send, patience_.request);
      if (status || status.error().code != kLost) return status;
    }
    if (call.cancelled()) return cancelled();
    if (give_up()) return fail(EIO, errno_text(EIO));
    if (!connection) std::this_thread::sleep_for(kPause);
  }
}

/** Whether a request whose connection is lost has waited long enough for another. */
bool Client::give_up() {
  const Lock lock(mutex_);
  const auto now = Clock::now();
  lost_since_ = std::min(lost_since_, now);
  return now - lost_since_ >= patience_.reconnect;
}

/** The connection with the fewest requests, or nullptr; those that broke are let go of. */
Client::ConnectionPtr Client::idlest() {
  std::erase_if(connections_, [](const auto& connection) { return !connection->usable(); });
  ConnectionPtr best;
  size_t least = SIZE_MAX;
  for (const auto& connection : connections_) {
    const size_t load = connection->load();
    if (load < least) best = connection;
    least = std::min(least, load);
  }
  return best;
}

Result<Client::ConnectionPtr> Client::pick(const Call& call) {
  Lock lock(mutex_);
  while (true) {
    auto best = idlest();
    const bool enough =
        best != nullptr && (connections_.size() >= most_ || connecting_ || best->load() < kFew);
    if (enough) return best;
    if (!connecting_) return add(call, lock, best != nullptr);
    if (call.cancelled()) return cancelled();
    changed_.wait_for(lock, kPause);
  }
}

/** @param further there are others: this one only makes things faster. */
Result<Client::ConnectionPtr> Client::add(const Call& call, Lock& lock, bool further) {
  connecting_ = true;
  lock.unlock();
  auto connection = connect(call, further);
  lock.lock();
  connecting_ = false;
  changed_.notify_all();
  if (connection) {
    connections_.push_back(*connection);
    lost_since_ = Clock::time_point::max();
    return connection;
  }
  if (!further) return connection;
  most_ = std::max<size_t>(connections_.size(), 1);  // the server lets no more in
  if (auto other = idlest()) return other;
  return connection;
}

Result<Client::ConnectionPtr> Client::connect(const Call& call, bool further) const {
  // qemu-nbd lets callers wait at the door when it has as many as it shares its export with.
  milliseconds limit = further ? std::max(milliseconds(250), 4 * handshake_) : kHandshakeLimit;
  if (patience_.reconnect.count() > 0) limit = std::min<milliseconds>(limit, patience_.reconnect);
  INSTAR_TRY(auto connection, Connection::connect(call, target_, Clock::now() + limit));
  const auto& now = connection->about();
  if (now.size != export_.size || now.min_block > std::max(export_.min_block, 1u) ||
      (now.read_only && !export_.read_only) || now.has_context != export_.has_context)
    return fail(EIO, "The export is not what it was before the connection was lost");
  return connection;
}

}  // namespace instar::nbd
