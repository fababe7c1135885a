// SPDX-License-Identifier: Apache-2.0
/** @file power_cut.hpp For unit tests of whatever must not lose data: what was done to files, and what a
 * power cut leaves of it. */
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace instar::sdk::testing {

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
  PowerCut(const Journal& journal, Files start)
      : journal_(journal), safe_(std::move(start)), pending_(safe_.size()) {}

  /** The files after a cut behind the first `count` events. `count` never goes back. */
  Files at(size_t count, std::mt19937_64& random);

 private:
  /** What is lost of what is not flushed. */
  enum class Loss : uint8_t { kNothing, kEverything, kEvents, kSectors, kFew, kMost, kAllButLast };
  static constexpr size_t kSector = 512;
  static bool one_in(uint64_t n, std::mt19937_64& random) { return random() % n == 0; }
  static void put(std::vector<uint8_t>& file, uint64_t offset, const uint8_t* data, size_t length);
  static void apply(const Journal::Event& event, std::vector<uint8_t>& file);
  static void apply_sectors(const Journal::Event& event, std::vector<uint8_t>& file,
                            std::mt19937_64& random);

  const Journal& journal_;
  size_t done_ = 0;
  Files safe_;
  std::vector<std::vector<size_t>> pending_;  ///< events since a file's last flush
};

inline void PowerCut::put(std::vector<uint8_t>& file, uint64_t offset, const uint8_t* data,
                          size_t length) {
  file.resize(std::max<size_t>(file.size(), offset + length));
  std::copy_n(data, length, file.begin() + static_cast<int64_t>(offset));
}

inline void PowerCut::apply(const Journal::Event& event, std::vector<uint8_t>& file) {
  if (event.kind == Journal::Kind::kResize)
    file.resize(event.offset);
  else
    put(file, event.offset, event.data.data(), event.data.size());
}

inline void PowerCut::apply_sectors(const Journal::Event& event, std::vector<uint8_t>& file,
                                    std::mt19937_64& random) {
  const uint64_t end = event.offset + event.data.size();
  for (uint64_t at = event.offset; at < end;) {
    const uint64_t next = std::min((at / kSector + 1) * kSector, end);
    if (one_in(2, random)) put(file, at, event.data.data() + (at - event.offset), next - at);
    at = next;
  }
}

inline PowerCut::Files PowerCut::at(size_t count, std::mt19937_64& random) {
  for (; done_ < count; ++done_) {
    const auto& event = journal_.events()[done_];
    auto& pending = pending_[event.file];
    pending.push_back(done_);
    if (event.kind != Journal::Kind::kFlush) continue;
    pending.pop_back();
    for (const size_t index : pending)
      apply(journal_.events()[index], safe_[event.file]);
    pending.clear();
  }
  Files files = safe_;
  size_t events = 0;
  for (const auto& pending : pending_)
    events += pending.size();
  // One alone can be torn, and little else.
  const auto loss =
      events == 1 && !one_in(4, random) ? Loss::kSectors : static_cast<Loss>(random() % 7);
  for (const auto& pending : pending_)
    for (const size_t index : pending) {
      const auto& event = journal_.events()[index];
      auto& file = files[event.file];
      const bool in_sectors = loss == Loss::kSectors && event.kind == Journal::Kind::kWrite;
      if (in_sectors)
        apply_sectors(event, file, random);
      else if (loss == Loss::kNothing || (loss == Loss::kFew && !one_in(8, random)) ||
               (loss == Loss::kMost && one_in(8, random)) ||
               (loss == Loss::kAllButLast && index + 1 == done_) ||
               ((loss == Loss::kEvents || loss == Loss::kSectors) && one_in(2, random)))
        apply(event, file);
    }
  return files;
}

}  // namespace instar::sdk::testing
