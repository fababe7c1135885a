// SPDX-License-Identifier: Apache-2.0
/** @file plan.hpp Cuts the sources of a copy into tickets, the pieces of work that workers take. */
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "core/engine/source.hpp"

namespace instar::engine {

enum class TicketKind {
  kData,    ///< read, look for zeroes, write
  kZero,    ///< make the target read as zeroes
  kLook,    ///< to be read and not written: the target shows it already
  kOffload  ///< one plain piece that the file system may share or move by itself
};

/** [offset, offset + length) of the target. */
struct Ticket {
  uint64_t number = 0;  ///< 0, 1, 2, … in ascending order of offset
  TicketKind kind = TicketKind::kData;
  uint64_t offset = 0;
  uint64_t length = 0;
  std::vector<Segment> pieces;  ///< not kZero: cover it exactly
};

/** Bytes. */
struct PlanOptions {
  uint64_t total = 0;
  uint64_t unit = 1;    ///< data tickets begin and end at multiples of it, or at the end
  uint64_t window = 0;  ///< longest data ticket; a multiple of unit
  bool target_zero = false;
  bool zeroes_are_data = false;    ///< -S 0
  bool look = false;               ///< what a backing file shows makes kLook tickets
  uint64_t zero_window = 1 << 30;  ///< longest zero ticket
  /** Granularity of kOffload tickets, a power of two; 0 = none are made. */
  uint64_t offload_unit = 0;
  uint64_t offload_least = 0;
  const RawFile* offload_target = nullptr;
};

/** One thread at a time. */
class Planner {
 public:
  Planner(SourceWalk& walk, const PlanOptions& options) : walk_(walk), options_(options) {}

  /** The next ticket; false: the end. Reuses the memory of `out`. */
  Result<bool> next(const Call& call, Ticket& out);
  /** Bytes of data tickets, for progress; walks all of the sources and then begins anew. */
  Result<uint64_t> measure(const Call& call);
  /** No kOffload tickets from now on. [any] */
  void stop_offload() { offload_ = false; }

 private:
  Result<bool> fill(const Call& call);
  bool idle() const;
  uint64_t idle_units() const;
  bool offloadable(uint64_t* wait) const;
  Status window(const Call& call, Ticket& out);
  uint64_t next_piece(uint64_t position, uint64_t limit, bool* stop) const;
  static void append(std::vector<Segment>& pieces, const Segment& segment, uint64_t length);
  bool take_idle(Ticket& out);

  SourceWalk& walk_;
  const PlanOptions options_;
  Segment current_;  ///< what is left of the segment at hand; length 0: none
  uint64_t number_ = 0;
  std::atomic<bool> offload_{true};
};

}  // namespace instar::engine
