// SPDX-License-Identifier: Apache-2.0
/** @file source.hpp The sources of a copy as one sequence of segments: what to read, and what not.
 */
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/result.hpp"
#include "core/block/status.hpp"
#include "core/engine/raw_file.hpp"

namespace instar::engine {

using sdk::Call;

enum class SegmentKind {
  kData,
  kZero,
  kBacking  ///< the target shows its own backing file here
};

/** A run of the concatenated sources. Bytes. */
struct Segment {
  SegmentKind kind = SegmentKind::kZero;
  uint64_t offset = 0;  ///< in the target
  uint64_t length = 0;
  block::Node* node = nullptr;  ///< the source that has it
  uint64_t node_offset = 0;
  const RawFile* file = nullptr;  ///< where the bytes lie plainly, or nullptr
  uint64_t file_offset = 0;

  /** Drops the first `bytes`. */
  void skip(uint64_t bytes);
};

struct SourceOptions {
  std::vector<block::Node*> nodes;
  bool has_backing = false;     ///< ranges that the sources' top layers leave open are left out
  block::Node* base = nullptr;  ///< layers from here on are left out too; nullptr: all but the top
  uint64_t backing_size = 0;    ///< with has_backing: zeroes from here on are there already
  uint64_t offset = 0;          ///< where the only source begins
  uint64_t length = 0;          ///< of the only source; 0: to the end
  bool salvage = false;         ///< a range whose status can't be told is data
  bool quiet = false;
};

/** Walks the sources from their beginning to their end. One thread at a time. */
class SourceWalk {
 public:
  SourceWalk(const SourceOptions& options, RawFiles& files) : options_(options), files_(files) {}

  /** Length of all sources, each rounded up to sectors. To be called first. */
  Result<uint64_t> open();
  /** The next segment; false: the end. */
  Result<bool> next(const Call& call, Segment& out);
  /** Back to the beginning. */
  void rewind();

 private:
  struct Source {
    block::Node* node;
    uint64_t begin;  ///< of it in the whole
    uint64_t length;
    uint64_t offset;  ///< in the node, where it begins
  };
  Result<uint64_t> open_window();
  Status refill(const Call& call, const Source& source);
  Result<std::vector<block::ChainExtent>> ask(const Call& call, const Source& source);
  Segment segment(const Source& source, const block::ChainExtent& extent);

  const SourceOptions options_;
  RawFiles& files_;
  std::vector<Source> sources_;
  size_t current_ = 0;     ///< source
  uint64_t position_ = 0;  ///< in it, after what is kept
  std::vector<Segment> kept_;
  bool from_start_ = true;  ///< all that was asked for is kept: who begins again need not ask again
  size_t taken_ = 0;        ///< of what is kept
};

}  // namespace instar::engine
