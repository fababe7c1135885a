// SPDX-License-Identifier: Apache-2.0
/** @file fake_driver.hpp A driver in memory for the tests of this folder: it notes what it is asked
 * and refuses what its limits forbid. */
#pragma once

#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/block/node.hpp"
#include "sdk/cpp/node.hpp"

namespace instar::block {

/** What a fake reports and what it saw. Outlives the nodes. */
struct FakeState {
  explicit FakeState(size_t size) : bytes(size) {}

  std::vector<uint8_t> bytes;
  instar_node_limits limits{};
  std::vector<instar_extent> extents;  ///< answered as they are, if there are any
  bool tells_extents = true;
  int zero_result = 0;  ///< of write_zeroes: a negative errno, or it is carried out
  bool slow = false;    ///< requests give way to other threads half way
  std::mutex mutex;
  std::atomic<int> reads{0}, writes{0}, zeroes{0}, flushes{0}, inside{0}, most_inside{0};
  std::atomic<bool> misaligned{false};
};

template <instar_thread_model kModel>
class FakeDriver {
 public:
  static constexpr instar_thread_model kThreads = kModel;
  explicit FakeDriver(FakeState& state) : state_(state) {}

  uint64_t size() const { return state_.bytes.size(); }
  void limits(instar_node_limits& limits) const {
    const auto& wanted = state_.limits;
    limits.flags |= wanted.flags;
    if (!state_.tells_extents) limits.can_extents = INSTAR_ABILITY_NONE;
    limits.request_alignment = wanted.request_alignment;
    limits.memory_alignment = wanted.memory_alignment;
    limits.write_zeroes_alignment = wanted.write_zeroes_alignment;
    limits.max_transfer = wanted.max_transfer;
    limits.max_write_zeroes = wanted.max_write_zeroes;
  }
  Status read(const Call&, uint64_t offset, IoVec to) {
    ++state_.reads;
    const Inside inside(state_);
    check(offset, to);
    const std::lock_guard lock(state_.mutex);
    for (const auto& piece : to) {
      const uint64_t there = offset < size() ? std::min<uint64_t>(piece.len, size() - offset) : 0;
      std::memset(piece.base, 0, piece.len);
      if (there > 0) std::memcpy(piece.base, &state_.bytes[offset], there);
      offset += piece.len;
    }
    return {};
  }
  Status write(const Call&, uint64_t offset, IoVec from, uint32_t) {
    ++state_.writes;
    const Inside inside(state_);
    check(offset, from);
    if (state_.slow) std::this_thread::yield();
    const std::lock_guard lock(state_.mutex);
    const uint64_t end = offset + from.length();
    if (end > state_.bytes.size()) state_.bytes.resize(end);
    from.copy_out(0, &state_.bytes[offset], end - offset);
    return {};
  }
  Status write_zeroes(const Call&, uint64_t offset, uint64_t length, uint32_t) {
    if (state_.zero_result < 0) return fail(-state_.zero_result, "no zeroes");
    ++state_.zeroes;
    const auto unit = std::max(state_.limits.write_zeroes_alignment, 1u);
    const bool to_end = offset + length == size();
    if (offset % unit != 0 || (length % unit != 0 && !to_end)) state_.misaligned = true;
    const std::lock_guard lock(state_.mutex);
    std::memset(&state_.bytes[offset], 0, length);
    return {};
  }
  Status flush(const Call&) {
    ++state_.flushes;
    return {};
  }
  Result<size_t> extents(const Call&, uint64_t offset, uint64_t length, instar_extent* out,
                         size_t max) {
    if (state_.extents.empty()) {
      out[0] = {length, offset, INSTAR_EXTENT_DATA, 0};
      return size_t{1};
    }
    const size_t count = std::min(max, state_.extents.size());
    std::copy_n(state_.extents.begin(), count, out);
    return count;
  }

 private:
  /** Counts the calls that are under way at once. */
  struct Inside {
    explicit Inside(FakeState& state) : state_(state) {
      const int now = ++state_.inside;
      int most = state_.most_inside;
      while (now > most && !state_.most_inside.compare_exchange_weak(most, now)) {
      }
      if (state_.slow) std::this_thread::yield();
    }
    ~Inside() { --state_.inside; }
    FakeState& state_;
  };
  void check(uint64_t offset, const IoVec& pieces) {
    const auto& limits = state_.limits;
    const uint64_t unit = std::max(limits.request_alignment, 1u);
    const uint64_t memory = std::max(limits.memory_alignment, 1u);
    const uint64_t length = pieces.length();
    bool good = offset % unit == 0 && length % unit == 0 &&
                (limits.max_transfer == 0 || length <= limits.max_transfer);
    for (const auto& piece : pieces)
      good = good && reinterpret_cast<uintptr_t>(piece.base) % memory == 0;
    if (!good) state_.misaligned = true;
  }

  FakeState& state_;
};

/** A node over a fake. */
template <instar_thread_model kModel = INSTAR_THREADS_PARALLEL>
NodePtr fake_node(FakeState& state, NodeKind kind = NodeKind::kProtocol,
                  std::vector<Child> children = {}, uint32_t flags = INSTAR_OPEN_WRITE) {
  instar_node driver{};
  using Driver = FakeDriver<kModel>;
  sdk::NodeTable<Driver>::publish(std::make_unique<Driver>(state), &driver);
  NodeNames names;
  names.filename = names.exact_filename = "fake";
  auto node = Node::make(kind, "fake", names, flags, driver, std::move(children));
  return node ? *node : nullptr;
}

}  // namespace instar::block
