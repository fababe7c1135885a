// SPDX-License-Identifier: Apache-2.0
/** @file copier.hpp The inside of copy(): one object per job, one Worker per thread. */
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "core/engine/copy.hpp"
#include "core/engine/plan.hpp"
#include "core/engine/pool.hpp"
#include "core/engine/progress.hpp"
#include "core/engine/rate_limit.hpp"
#include "core/engine/target.hpp"
#include "core/engine/zero_detect.hpp"
#include "sdk/abi/compress.h"

namespace instar::engine {

/** Page-aligned memory that exists only where it was touched. */
class Buffer {
 public:
  explicit Buffer(size_t size);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  size_t size_;
  uint8_t* data_;
};

class Copier {
 public:
  Copier(const Call& call, const CopyJob& job);
  Status run();

 private:
  struct Worker {
    Buffer data;
    Buffer packed;
    Ticket ticket;
    std::vector<DataRun> runs;
    std::vector<WriteRun> writes;
  };

  Status set_up();
  Status set_up_compression();
  void choose_window();
  void choose_offload(PlanOptions& options);
  void work();
  Status work_through(Worker& worker);
  Result<bool> take(Ticket& ticket);
  Status process(Worker& worker);

  Status read(const Ticket& ticket, uint8_t* to);
  Status read_piece(const Segment& piece, uint8_t* to);
  Status salvage(const Segment& piece, uint8_t* to);

  Status copy_window(Worker& worker, Turn& turn, uint64_t offset, size_t length, bool more);
  void widen_to_clusters(Worker& worker, uint64_t offset, size_t length) const;
  Status zero_gaps(const Worker& worker, Turn& turn, uint64_t offset, size_t length);
  Status copy_offload(Worker& worker, Turn& turn);
  Status offload(Worker& worker, Turn& turn, uint64_t begin, uint64_t end);
  Status copy_piecewise(Worker& worker, Turn& turn, uint64_t begin, uint64_t end);
  Result<bool> looks_sparse(const Segment& piece, uint64_t at);
  Status copy_compressed(Worker& worker, Turn& turn);
  /** Room for what `length` bytes may become when they are packed. */
  static uint64_t packed_room(uint64_t length) { return length + length / 8; }
  Result<int64_t> pack(const uint8_t* block, uint8_t* out) const;

  bool has(instar_copy_flags flag) const { return (job_.flags & flag) != 0; }

  const Call& call_;
  const CopyJob& job_;
  Target target_;
  RawFiles files_;
  SparseRule rule_;
  uint64_t window_ = 0;
  unsigned workers_ = 1;
  uint64_t total_ = 0;
  bool clone_ = false;
  const instar_compress_ops* compress_ = nullptr;
  void* compress_self_ = nullptr;
  uint64_t cluster_ = 0;  ///< of compressed writes
  std::unique_ptr<SourceWalk> walk_;
  std::unique_ptr<Planner> planner_;
  std::unique_ptr<Progress> progress_;
  RateLimit rate_;
  Turnstile stile_;
  std::mutex plan_mutex_;
  bool ended_ = false;
  std::mutex warn_mutex_;
  Team team_;
  JobError error_;
};

}  // namespace instar::engine
