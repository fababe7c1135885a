// SPDX-License-Identifier: Apache-2.0
/** @file session.hpp One connection to the server, with the file open on it. */
#pragma once

#include <libssh/libssh.h>
#include <libssh/sftp.h>

#include <memory>

#include "plugins/protocols/ssh/place.hpp"
#include "plugins/protocols/ssh/watchdog.hpp"
#include "sdk/cpp/bytes.hpp"

namespace instar::ssh {

/** What all connections of a node share. */
struct Target {
  Place place;
  std::string user;               ///< who logs in
  std::chrono::seconds limit{0};  ///< longest time without an answer; 0: none
};

/** One thread at a time. */
class Session {
 public:
  /** @param access O_RDONLY, O_RDWR, and for a new file O_CREAT and O_TRUNC. */
  static sdk::Result<std::unique_ptr<Session>> open(const sdk::Call& call, Watchdog& dog,
                                                    const Target& target, int access);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /** Bytes of the file when it was opened. */
  uint64_t size() const { return size_; }
  /** Neither a device nor such: what is new in it reads as zeroes. */
  bool regular() const { return regular_; }
  /** Exactly all bytes; many requests are in flight. */
  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::Bytes to);
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::ConstBytes from);
  /** By a byte at the new end: servers differ in what they make of a size alone. */
  sdk::Status grow(const sdk::Call& call, uint64_t size);
  /** False: the server can't. */
  sdk::Result<bool> flush(const sdk::Call& call);
  /** Removes the file, if its name is no link. */
  sdk::Status remove(const sdk::Call& call);
  /** The connection is gone, or nobody knows what stands in it. */
  bool broken() const { return broken_; }

 private:
  class Work;

  Session(Watchdog& dog, const Target& target) : dog_(dog), target_(target) {}
  sdk::Status connect(const sdk::Call& call, int access);
  sdk::Status handshake();
  sdk::Status check_key();
  sdk::Status check_known_hosts(ssh_key key);
  sdk::Status check_hash(ssh_key key);
  sdk::Status log_in();
  sdk::Status open_file(int access);
  sdk::Status read_pieces(const Work& work, uint64_t offset, sdk::Bytes to);
  sdk::Status read_rest(const Work& work, uint64_t offset, sdk::Bytes to);
  sdk::Error session_error(std::string_view what);
  sdk::Error sftp_error(std::string_view what);
  sdk::Error request_error(const Work& work);

  Watchdog& dog_;
  const Target& target_;
  int socket_ = -1;  ///< ours, of the same connection as libssh's
  ssh_session ssh_ = nullptr;
  sftp_session sftp_ = nullptr;
  sftp_file file_ = nullptr;
  uint64_t size_ = 0;
  bool regular_ = false;
  bool broken_ = false;
};

}  // namespace instar::ssh
