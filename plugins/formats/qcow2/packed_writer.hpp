// SPDX-License-Identifier: Apache-2.0
/** @file packed_writer.hpp Gathers packed clusters, which lie one behind another in the file, into
 * large writes. Guarded by the image's mutex, which it lets go of while it writes. */
#pragma once

#include <condition_variable>
#include <mutex>
#include <vector>

#include "plugins/formats/qcow2/format.hpp"

namespace instar::qcow2 {

class PackedWriter {
 public:
  using Lock = std::unique_lock<std::mutex>;

  explicit PackedWriter(HostFile& file) : file_(file) {}

  /** Takes bytes that belong at host `offset`; may write what it has. */
  Status append(const Call& call, Lock& lock, uint64_t offset, ConstBytes bytes);
  /** Writes all, and waits for what others are writing. */
  Status drain(const Call& call, Lock& lock);
  bool empty() const { return filling_.bytes.empty() && writing_.empty(); }
  /** Whether bytes of [offset, offset + length) are not in the file yet. */
  bool holds(uint64_t offset, uint64_t length) const;

 private:
  struct Chunk {
    uint64_t offset = 0;
    std::vector<uint8_t> bytes;
  };
  Chunk take_filling();
  Status write_out(const Call& call, Lock& lock, Chunk chunk);

  HostFile& file_;
  Chunk filling_;
  std::vector<Chunk*> writing_;
  std::vector<std::vector<uint8_t>> spare_;
  std::condition_variable written_;
  Status failure_;  ///< of a write, which the next drain reports again
};

}  // namespace instar::qcow2
