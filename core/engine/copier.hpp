// SPDX-License-Identifier: Apache-2.0
/** @file copier.hpp The inside of copy(): one object per job, one Worker per thread. */
#pragma once

#include <memory>
#include <shared_mutex>
#include <vector>

#include "core/engine/buffer.hpp"
#include "core/engine/content_feed.hpp"
#include "core/engine/copy.hpp"
#include "core/engine/pipe_source.hpp"
#include "core/engine/plan.hpp"
#include "core/engine/pool.hpp"
#include "core/engine/progress.hpp"
#include "core/engine/rate_limit.hpp"
#include "core/engine/target.hpp"
#include "core/engine/ticket_reader.hpp"
#include "core/engine/zero_detect.hpp"
#include "sdk/abi/compress.h"

namespace instar::engine {

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
  Status set_up_walk();
  Status set_up_compression();
  void choose_window();
  void choose_offload(PlanOptions& options);
  Status run_workers();
  Result<bool> next(Worker& worker);
  Result<bool> next_of_pipe(Worker& worker);
  Status make_room(uint64_t size);
  Status process(Worker& worker);
  Status process_data(Worker& worker, Turn& turn);
  bool may_step(const Ticket& ticket) const;
  Status copy_in_steps(Worker& worker, Turn& turn);

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
  const bool remote_;  ///< one node is: better few large requests than many that stay in the cache
  const Crowd crowd_;
  uint64_t total_ = 0;
  bool clone_ = false;
  const instar_compress_ops* compress_ = nullptr;
  void* compress_self_ = nullptr;
  uint64_t cluster_ = 0;  ///< of compressed writes
  std::unique_ptr<SourceWalk> walk_;
  std::unique_ptr<Planner> planner_;
  std::unique_ptr<Progress> progress_;
  std::unique_ptr<PipeSource> pipe_;
  uint64_t pipe_tickets_ = 0;
  std::shared_mutex room_mutex_;  ///< exclusive: the target's size changes
  uint64_t room_ = 0;             ///< that size
  TicketReader reader_;
  ContentFeed feed_;
  RateLimit rate_;
  Turnstile stile_;
};

}  // namespace instar::engine
