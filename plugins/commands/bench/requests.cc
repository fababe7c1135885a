// SPDX-License-Identifier: Apache-2.0
#include "plugins/commands/bench/requests.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <vector>

namespace instar::bench {

namespace {

constexpr uint64_t kMostThreads = 64;
constexpr uint64_t kMostMemory = 256 << 20;

/** Page-aligned memory. */
class Buffer {
 public:
  Buffer(size_t size, uint8_t pattern) : size_(size) {
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<uint8_t*>(memory);
    if (pattern != 0) std::memset(data_, pattern, size);
  }
  ~Buffer() { munmap(data_, size_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  uint8_t* data() const { return data_; }

 private:
  size_t size_;
  uint8_t* data_ = nullptr;
};

class Sender {
 public:
  Sender(const Call& call, NodeRef node, const Workload& work)
      : call_(call), node_(node), work_(work), offset_(work.offset) {
    if (work.write) written_.emplace(work.buffer_size, work.pattern);
  }

  Status run() {
    std::vector<std::thread> team;
    const uint64_t buffers = std::max<uint64_t>(kMostMemory / work_.buffer_size, 1);
    const uint64_t most =
        std::min({work_.depth, work_.count, kMostThreads, work_.write ? kMostThreads : buffers});
    try {
      while (team.size() + 1 < most)
        team.emplace_back([this] { work(); });
    } catch (const std::system_error&) {
      // As many as the system lets us have.
    }
    work();
    for (auto& thread : team)
      thread.join();
    return status_;
  }

 private:
  /** One thread: takes requests until there are no more. */
  void work() {
    Status status;
    try {
      std::optional<Buffer> own;
      if (!work_.write) own.emplace(work_.buffer_size, 0);
      uint8_t* data = own ? own->data() : written_->data();
      while (const auto offset = take()) {
        status = request(*offset, data);
        give_back(status);
      }
    } catch (const std::bad_alloc&) {
      give_up(ENOMEM);
    }
  }

  Status request(uint64_t offset, uint8_t* data) const {
    if (offset + work_.buffer_size > round_up(work_.image_size, 512))
      return fail(EIO, errno_text(EIO));
    return work_.write ? node_.write(call_, offset, data, work_.buffer_size)
                       : node_.read(call_, offset, data, work_.buffer_size);
  }

  bool flush_due() const {
    return work_.flush_interval != 0 && taken_ - flushed_ >= work_.flush_interval;
  }

  /** The next request's place; nothing: the end. Flushes when it is time. */
  std::optional<uint64_t> take() {
    std::unique_lock lock(mutex_);
    while (status_) {
      if (call_.cancelled()) status_ = fail(ECANCELED, errno_text(ECANCELED));
      if (flush_due()) {
        if (work_.drain && under_way_ != 0) {
          idle_.wait(lock);
          continue;
        }
        flushed_ = taken_;
        flush(lock);
        continue;
      }
      if (taken_ == work_.count) break;
      const uint64_t offset = offset_;
      offset_ = work_.next(offset_);
      ++taken_;
      ++under_way_;
      return offset;
    }
    idle_.notify_all();
    return std::nullopt;
  }

  void flush(std::unique_lock<std::mutex>& lock) {
    if (!work_.drain) lock.unlock();
    auto done = node_.flush(call_);
    if (!work_.drain) lock.lock();
    if (!done && status_) status_ = std::move(done);
    idle_.notify_all();
  }

  void give_back(const Status& status) {
    const std::lock_guard lock(mutex_);
    if (!status && status_) status_ = status;
    if (--under_way_ == 0) idle_.notify_all();
  }

  void give_up(int code) {
    const std::lock_guard lock(mutex_);
    if (status_) status_ = fail(code, errno_text(code));
    idle_.notify_all();
  }

  const Call& call_;
  const NodeRef node_;
  const Workload work_;
  std::optional<Buffer> written_;  ///< what all threads write
  std::mutex mutex_;               ///< of what follows
  std::condition_variable idle_;
  uint64_t offset_;
  uint64_t taken_ = 0;
  uint64_t flushed_ = 0;  ///< requests before the last flush
  uint64_t under_way_ = 0;
  Status status_;
};

}  // namespace

Status send_requests(const Call& call, NodeRef node, const Workload& work) {
  return Sender(call, node, work).run();
}

}  // namespace instar::bench
