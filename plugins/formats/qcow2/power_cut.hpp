// SPDX-License-Identifier: Apache-2.0
/** @file power_cut.hpp For unit tests: what was done to files, and what a power cut leaves of it. */
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace instar::qcow2::testing {

/** Sanitizers look for something else than lost data, and take their time. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

/** What was done to several files, in order. Not for several threads at once. */
class Journal {
 public:
  enum class Kind : uint8_t { kWrite, kResize, kFlush };
  struct Event {
    Kind kind;
    uint32_t file;
    uint64_t offset;  ///< of a write; a resize's new length
    std::vector<uint8_t> data;
  };
  void add(Event event) { events_.push_back(std::move(event)); }
  const std::vector<Event>& events() const { return events_; }

 private:
  std::vector<Event> events_;
};

/**
 * Files as a power cut leaves them. What was done to a file since its last flush survives or not:
 * every write for itself, and of a write every sector; a new length as well. Where two writes hit a
 * sector the later one wins, if it survives: a drive's cache has them in order.
 */
class PowerCut {
 public:
  using Files = std::vector<std::vector<uint8_t>>;
  /** @param start the files before the journal's first event, by number. */
  PowerCut(const Journal& journal, Files start);

  /** The files after a cut behind the first `count` events. `count` never goes back. */
  Files at(size_t count, std::mt19937_64& random);

 private:
  /** What is lost of what is not flushed. */
  enum class Loss : uint8_t { kNothing, kEverything, kEvents, kSectors, kFew, kMost };
  void apply(const Journal::Event& event, std::vector<uint8_t>& file) const;
  void apply_sectors(const Journal::Event& event, std::vector<uint8_t>& file,
                     std::mt19937_64& random) const;

  const Journal& journal_;
  size_t done_ = 0;
  Files safe_;
  std::vector<std::vector<size_t>> pending_;  ///< events since a file's last flush
};

}  // namespace instar::qcow2::testing
