// SPDX-License-Identifier: Apache-2.0
/** @file ssh_node.hpp A file of an SFTP server as a node. */
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "plugins/protocols/ssh/sessions.hpp"
#include "sdk/cpp/driver.hpp"

namespace instar::ssh {

/** Thread-safe: each request has a connection of its own, as far as there are enough. */
class SshNode {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;

  static sdk::Result<std::unique_ptr<SshNode>> open(sdk::OpenContext& context);
  static sdk::Status create(sdk::CreateContext& context);
  /** Gives up soon: the server may be what failed. */
  static sdk::Status remove(sdk::Host host, const std::string& filename);
  static sdk::Result<std::string> parse_filename(std::string_view filename);

  explicit SshNode(Target target) : sessions_(std::move(target)) {}

  uint64_t size() const { return size_.load(); }
  void limits(instar_node_limits& limits) const;
  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::IoVec to);
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::IoVec from, uint32_t flags);
  sdk::Status flush(const sdk::Call& call);
  sdk::Status resize(const sdk::Call& call, uint64_t size, uint32_t preallocation, uint32_t flags,
                     const instar_progress* progress);
  void info(sdk::JsonWriter& json) const { json.begin_object().end_object(); }
  std::string filename() const;

 private:
  sdk::Status connect(const sdk::Call& call, int access);
  sdk::Status read_bytes(const sdk::Call& call, uint64_t offset, sdk::Bytes to);
  sdk::Status write_bytes(const sdk::Call& call, uint64_t offset, sdk::ConstBytes from);
  void reach(uint64_t end);

  Sessions sessions_;
  std::atomic<uint64_t> size_{0};
  std::atomic<bool> warned_{false};
  bool writable_ = false;
};

}  // namespace instar::ssh
