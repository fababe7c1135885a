// SPDX-License-Identifier: Apache-2.0
/** @file blklogwrites_node.hpp A node that writes down all changes in the format of Linux's
 * dm-log-writes (Documentation/admin-guide/device-mapper/log-writes.rst). */
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include "sdk/cpp/bytes.hpp"
#include "sdk/cpp/driver.hpp"
#include "sdk/cpp/pass_through.hpp"

namespace instar::blklogwrites {

using sdk::Le;

constexpr uint64_t kMagic = 0x6a736677736872;
constexpr uint64_t kVersion = 1;
enum EntryFlag : uint64_t { kFlush = 1, kFua = 2, kDiscard = 4 };

/** In the first sector of the log. */
struct SuperBlock {
  Le<uint64_t> magic;
  Le<uint64_t> version;
  Le<uint64_t> entries;
  Le<uint32_t> sector_size;
};
static_assert(sizeof(SuperBlock) == 28);

/** At the start of a sector; the data of a write follow from the next one on. Numbers are in the
 * log's sectors. */
struct Entry {
  Le<uint64_t> sector;
  Le<uint64_t> sectors;
  Le<uint64_t> flags;
  Le<uint64_t> mark_length;  ///< bytes of a mark's text, in the same sector; else 0
};
static_assert(sizeof(Entry) == 32);

struct Settings {
  uint64_t sector_size = 512;       ///< bytes, a power of two
  uint64_t update_interval = 4096;  ///< entries after which the superblock is written
};

/** Where the next entry goes. */
struct Position {
  uint64_t sector = 1;
  uint64_t entries = 0;
};

/** Thread-safe: entries are in the order in which requests ended. */
class BlklogwritesNode : public sdk::PassThrough {
 public:
  static sdk::Result<std::unique_ptr<BlklogwritesNode>> open(sdk::OpenContext& context);
  BlklogwritesNode(sdk::NodeRef below, sdk::NodeRef log, const Settings& settings,
                   const Position& next)
      : PassThrough(below), log_(log), settings_(settings), next_(next) {}

  void limits(instar_node_limits& limits) const;
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::IoVec from, uint32_t flags);
  sdk::Status write_zeroes(const sdk::Call& call, uint64_t offset, uint64_t length, uint32_t flags);
  sdk::Status discard(const sdk::Call& call, uint64_t offset, uint64_t length);
  sdk::Status flush(const sdk::Call& call);
  sdk::Status close(const sdk::Call& call);
  bool offers(std::string_view id) const { return id != INSTAR_RESIZE_ID; }

 private:
  sdk::Status add(const sdk::Call& call, uint64_t offset, uint64_t length, uint64_t flags,
                  const sdk::IoVec& data, bool zeroes);
  sdk::Status write_super(const sdk::Call& call);

  const sdk::NodeRef log_;
  const Settings settings_;
  std::mutex mutex_;
  Position next_;
  bool changed_ = false;
};

}  // namespace instar::blklogwrites
