// SPDX-License-Identifier: Apache-2.0
/** @file nfs_node.hpp A file of an NFS server as a node. */
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "plugins/protocols/nfs/mount.hpp"
#include "sdk/cpp/driver.hpp"

namespace instar::nfs {

/** Thread-safe: all requests are in flight at once. */
class NfsNode {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;

  static sdk::Result<std::unique_ptr<NfsNode>> open(sdk::OpenContext& context);
  static sdk::Status create(sdk::CreateContext& context);
  /** Gives up soon: the server may be what failed. */
  static sdk::Status remove(sdk::Host host, const std::string& filename);
  static sdk::Result<std::string> parse_filename(std::string_view filename);

  NfsNode(sdk::Host host, Place place, std::chrono::seconds limit)
      : host_(host), place_(std::move(place)), limit_(limit) {}

  uint64_t size() const { return size_.load(); }
  void limits(instar_node_limits& limits) const;
  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::IoVec to);
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::IoVec from, uint32_t flags);
  sdk::Status flush(const sdk::Call& call);
  sdk::Status resize(const sdk::Call& call, uint64_t size, uint32_t preallocation, uint32_t flags,
                     const instar_progress* progress);
  void info(sdk::JsonWriter& json) const { json.begin_object().end_object(); }
  sdk::Result<uint64_t> allocated_size();
  std::string filename() const { return name_of(place_); }

 private:
  sdk::Status connect(const sdk::Call& call, Access access);
  sdk::Result<nfs_stat_64> status(const sdk::Call& call, Mount& mount) const;
  sdk::Result<std::shared_ptr<Mount>> current(const sdk::Call& call);
  sdk::Result<int> request(const sdk::Call& call, const Mount::Send& send,
                           const Mount::Take& take = {}, int patience = 1);
  sdk::Status read_bytes(const sdk::Call& call, uint64_t offset, sdk::Bytes to);
  sdk::Status write_bytes(const sdk::Call& call, uint64_t offset, sdk::ConstBytes from);
  bool unflushed() const { return written_.load() != flushed_.load(); }

  const sdk::Host host_;
  const Place place_;
  const std::chrono::seconds limit_;
  Access access_ = Access::kRead;
  uint64_t file_id_ = 0;
  bool regular_ = false;
  std::atomic<uint64_t> size_{0};
  std::atomic<uint64_t> written_{0};  ///< requests that the server has answered
  std::atomic<uint64_t> flushed_{0};  ///< of these, those that are surely on its disk

  std::mutex mutex_;
  std::shared_ptr<Mount> mount_;
};

}  // namespace instar::nfs
