// SPDX-License-Identifier: Apache-2.0
/** @file rbd_node.hpp An image in a Ceph cluster as a node. */
#pragma once

#include <atomic>
#include <mutex>

#include "plugins/protocols/rbd/image.hpp"
#include "plugins/protocols/rbd/requests.hpp"
#include "sdk/cpp/driver.hpp"

namespace instar::rbd {

/** Thread-safe; each call is one request that librbd splits by objects. Any call ends soon after it was cancelled. */
class RbdNode {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;

  static sdk::Result<std::unique_ptr<RbdNode>> open(sdk::OpenContext& context);
  static sdk::Status create(sdk::CreateContext& context);
  static sdk::Status remove(sdk::Host host, const std::string& filename);
  static sdk::Result<std::string> parse_filename(std::string_view filename);
  sdk::Status close(const sdk::Call& call);

  uint64_t size() const { return size_; }
  void limits(instar_node_limits& limits) const;
  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::IoVec to);
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::IoVec from, uint32_t flags);
  sdk::Status write_zeroes(const sdk::Call& call, uint64_t offset, uint64_t length, uint32_t flags);
  sdk::Status discard(const sdk::Call& call, uint64_t offset, uint64_t length);
  sdk::Status flush(const sdk::Call& call);
  sdk::Result<size_t> extents(const sdk::Call& call, uint64_t offset, uint64_t length,
                              instar_extent* out, size_t max);
  sdk::Status resize(const sdk::Call& call, uint64_t size, uint32_t preallocation, uint32_t flags,
                     const instar_progress* progress);
  void info(sdk::JsonWriter& json) const;
  /** Only options say it. */
  std::string filename() const { return {}; }

  sdk::Result<std::string> snapshot_list() const;
  sdk::Status snapshot_create(const sdk::Call& call, std::string_view name, int64_t sec,
                              int32_t nsec);
  sdk::Status snapshot_apply(const sdk::Call& call, std::string_view id);
  sdk::Status snapshot_remove(const sdk::Call& call, std::string_view id, std::string_view name);
  sdk::Status snapshot_load(const sdk::Call& call, std::string_view id);

 private:
  struct Opened {
    ImagePtr image;
    uint64_t size, object_size;
    bool fast_diff;
    std::string encryption_format;
  };

  static sdk::Result<Opened> open_image(const Settings& settings, bool writable);
  RbdNode(Opened opened, bool writable)
      : requests_(std::move(opened.image)),
        size_(opened.size),
        real_size_(opened.size),
        object_size_(opened.object_size),
        fast_diff_(opened.fast_diff),
        encryption_format_(std::move(opened.encryption_format)),
        writable_(writable) {}

  sdk::Status grow(const sdk::Call& call, uint64_t end);
  sdk::Status set_real_size(const sdk::Call& call, uint64_t size);
  sdk::Status look_at_size(const sdk::Call& call);

  Requests requests_;
  std::mutex growing_;
  std::atomic<uint64_t> size_;
  uint64_t real_size_;  ///< at least size_; guarded by growing_
  const uint64_t object_size_;
  const bool fast_diff_;
  const std::string encryption_format_;
  const bool writable_;
};

}  // namespace instar::rbd
