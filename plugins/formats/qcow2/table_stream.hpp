// SPDX-License-Identifier: Apache-2.0
/** @file table_stream.hpp Reads many tables of a cluster each, in the order asked for: a batch at a
 * time, sorted and with neighbours in one request, and the next batch while this one is worked on. */
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <vector>

#include "plugins/formats/qcow2/format.hpp"

namespace instar::qcow2 {

class TableStream {
 public:
  /** Gives the place of the next table in *offset; false when there are no more. */
  using Next = std::function<bool(uint64_t* offset)>;

  /** @param table_size bytes. `next` is called by read() only, ahead of what it returns. */
  TableStream(const Call& call, const HostFile& file, uint64_t table_size, Next next);
  ~TableStream();

  /** The next table, which stays until the call after; nullptr behind the last one. An error means
   * that this one could not be read. */
  Result<uint8_t*> read();

  /** The file changed: from now on a table is read again when its turn comes. */
  void forget() { stale_ = true; }

 private:
  struct Batch {
    std::unique_ptr<uint8_t[]> bytes;
    std::vector<uint64_t> offsets;
    std::vector<Status> results;
    size_t done = 0;
  };
  bool fill(Batch& batch);
  void load(Batch& batch) const;
  void load_ahead();

  const Call& call_;
  const HostFile& file_;
  uint64_t table_size_;
  size_t per_batch_;
  Next next_;
  Batch now_;
  Batch ahead_;
  std::future<void> loading_;
  bool stale_ = false;
};

}  // namespace instar::qcow2
