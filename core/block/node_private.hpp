// SPDX-License-Identifier: Apache-2.0
/** @file node_private.hpp What node.cc, node_io.cc and node_abi.cc share. */
#pragma once

#include <atomic>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/block/node.hpp"
#include "core/block/range_lock.hpp"
#include "sdk/abi/debug_event.h"
#include "sdk/abi/forward.h"

namespace instar::block {

/** The tables that users of a node see, and back from them. */
struct NodeTrampolines {
  static const instar_node_ops* table(bool writable);
  static const void* resize_table();
  static const void* info_table();
  static const void* chain_table();
};

struct Node::Private {
  instar_node_ops ops{};  ///< the driver's table, clamped to what this host knows
  std::mutex node_mutex;  ///< INSTAR_THREADS_PER_NODE
  std::recursive_mutex* plugin_mutex =
      nullptr;                          ///< INSTAR_THREADS_GLOBAL; nodes of one plugin nest
  RangeLocks writes;                    ///< only where request_alignment > 1
  std::atomic<uint64_t> known_size{0};  ///< a lower bound of what the driver said last
  mutable std::atomic<bool> size_is_volatile{false};
  NodePolicy policy;
  const instar_debug_event_ops* debug_ops = nullptr;  ///< of the driver, which wants to be told
  void* debug_self = nullptr;
  const instar_forward_ops* forward_ops = nullptr;  ///< its size must be found first
  void* forward_self = nullptr;
  std::vector<std::shared_ptr<void>> companions;
  bool closed = false;

  mutable std::mutex tables_mutex;
  /** Interface tables of drivers that were compiled with shorter ones, zero-filled at the end. */
  mutable std::map<std::string, std::unique_ptr<char[]>> longer_tables;
};

/** Holds what a driver's thread model asks for during one call. */
class DriverLock {
 public:
  DriverLock(uint32_t model, std::mutex& node, std::recursive_mutex* plugin) {
    if (model == INSTAR_THREADS_PARALLEL) return;
    if (model == INSTAR_THREADS_GLOBAL)
      plugin_ = std::unique_lock(*plugin);
    else
      node_ = std::unique_lock(node);
  }

 private:
  std::unique_lock<std::mutex> node_;
  std::unique_lock<std::recursive_mutex> plugin_;
};

/** Memory at an alignment that any device accepts. */
class AlignedBuffer {
 public:
  AlignedBuffer(size_t alignment, size_t size)
      : data_(
            static_cast<uint8_t*>(std::aligned_alloc(alignment, sdk::round_up(size, alignment)))) {}
  ~AlignedBuffer() { std::free(data_); }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  explicit operator bool() const { return data_ != nullptr; }
  uint8_t* data() const { return data_; }

 private:
  uint8_t* data_;
};

}  // namespace instar::block
