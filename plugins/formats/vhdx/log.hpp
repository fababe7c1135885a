// SPDX-License-Identifier: Apache-2.0
/**
 * @file log.hpp
 * The log (2.3): sectors of 4 KiB that are about to be written elsewhere in the file. After a power
 * cut the youngest unbroken sequence of entries is written again.
 */
#pragma once

#include <functional>
#include <vector>

#include "plugins/formats/vhdx/headers.hpp"

namespace instar::vhdx {

/** 4 KiB for the place `offset` of the file, or `length` bytes of zeroes. Multiples of 4 KiB. */
struct LogChange {
  uint64_t offset = 0;
  uint64_t length = kLogSector;
  const uint8_t* bytes = nullptr;  ///< nullptr: zeroes
};

/** What a power cut left in a log. */
struct LogSequence {
  struct Entry {
    uint64_t begin = 0;  ///< byte of the log; an entry may go on at the log's beginning
    uint64_t length = 0;
    uint64_t number = 0;
    uint64_t tail = 0;
  };
  std::vector<Entry> entries;  ///< oldest first
  uint64_t file_end = 0;       ///< that the file has at least when they are written

  bool empty() const { return entries.empty(); }
};

/** Whether a log may be there: not empty, of version 0. The error has no message of its own. */
sdk::Result<bool> has_log(const Header& header);

/** The sequence to be replayed. */
sdk::Result<LogSequence> find_log(const sdk::Call& call, const sdk::HostFile& file,
                                  const Header& header);

/** Calls each(change) in order. */
sdk::Status replay_log(const sdk::Call& call, const sdk::HostFile& file, const Header& header,
                       const LogSequence& sequence,
                       const std::function<sdk::Status(const LogChange&)>& each);

/** Writes entries. Not thread-safe. */
class LogWriter {
 public:
  /** Changes that one entry takes. */
  static constexpr size_t kMostChanges = 126;

  /** Whose log GUID is that of the entries. */
  explicit LogWriter(const Header& header)
      : guid_(header.log_guid), offset_(header.log_offset), length_(header.log_length) {}

  /**
   * Appends an entry of 1 to kMostChanges changes with bytes. All that was logged before has to be in
   * place, on stable storage: this entry may overwrite it, and is the whole sequence.
   */
  sdk::Status append(const sdk::Call& call, sdk::HostFile& file, const LogChange* changes,
                     size_t count);

 private:
  Guid guid_;
  uint64_t offset_;
  uint64_t length_;
  uint64_t head_ = 0;
  uint64_t number_ = 0;
};

}  // namespace instar::vhdx
