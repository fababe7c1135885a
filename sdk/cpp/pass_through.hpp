// SPDX-License-Identifier: Apache-2.0
/**
 * @file pass_through.hpp
 * A node that hands every request to the node below as it is: the base of filters, which hide what
 * they do otherwise with functions of the same names (nothing is virtual). It offers neither
 * instar.map/1 nor instar.rawfd/1, so that no byte goes around the filter.
 */
#pragma once

#include "../abi/info.h"
#include "../abi/resize.h"
#include "bytes.hpp"
#include "call.hpp"
#include "json_reader.hpp"
#include "json_writer.hpp"
#include "node_ref.hpp"
#include "result.hpp"

namespace instar::sdk {

/** Thread-safe. */
class PassThrough {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;

  explicit PassThrough(NodeRef below) : below_(below) {}

  Result<uint64_t> size() const { return below_.size(); }
  void limits(instar_node_limits& limits) const {
    const auto below = below_.limits();
    if (!below) return;
    const uint32_t struct_size = limits.struct_size;
    limits = *below;
    limits.struct_size = struct_size;
    limits.flags |= INSTAR_NODE_FILTER;
  }
  Status read(const Call& call, uint64_t offset, IoVec to) const {
    return below_.read(call, offset, to);
  }
  Status write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) const {
    return below_.write(call, offset, from, flags);
  }
  Status write_zeroes(const Call& call, uint64_t offset, uint64_t length, uint32_t flags) const {
    return below_.write_zeroes(call, offset, length, flags);
  }
  Status discard(const Call& call, uint64_t offset, uint64_t length) const {
    return below_.discard(call, offset, length);
  }
  Status flush(const Call& call) const { return below_.flush(call); }
  Result<size_t> extents(const Call& call, uint64_t offset, uint64_t length, instar_extent* out,
                         size_t max) const {
    INSTAR_TRY(const size_t count, below_.extents(call, offset, length, out, max));
    for (size_t i = 0; i < count; ++i) {
      out[i].child = below_.id();
      out[i].child_offset = offset;
      out[i].flags = passed_on(out[i].flags);
      offset += out[i].length;
    }
    return count;
  }
  Status resize(const Call& call, uint64_t size, uint32_t preallocation, uint32_t flags,
                const instar_progress* progress) const {
    void* self = nullptr;
    const auto* ops = below_.interface<instar_resize_ops>(INSTAR_RESIZE_ID, &self);
    if (ops == nullptr) return fail(ENOTSUP, "Image format driver does not support resize");
    OutgoingCall outgoing(&call);
    return outgoing.status(ops->resize(self, outgoing.abi(), size, preallocation, flags, progress));
  }
  /** What is below says of itself, but for what is specific to its format. */
  void info(JsonWriter& json) const {
    StringSink sink;
    void* self = nullptr;
    if (const auto* ops = below_.interface<instar_info_ops>(INSTAR_INFO_ID, &self)) {
      OutgoingCall call;
      ops->describe(self, call.abi(), sink.abi());
    }
    const JsonObject below(sink.text);
    json.begin_object();
    for (const char* key : {"cluster-size", "dirty-flag"})
      if (const auto value = below.find(key)) json.key(key).raw(*value);
    json.end_object();
  }

 protected:
  /** A child's answer as our own. Where it decides nothing (its backing file does), it is left to be
   * asked itself. */
  static uint32_t passed_on(uint32_t flags) {
    constexpr uint32_t kDecided = INSTAR_EXTENT_DATA | INSTAR_EXTENT_ZERO | INSTAR_EXTENT_ALLOCATED;
    flags &= ~uint32_t{INSTAR_EXTENT_RECURSE};
    if ((flags & kDecided) == 0) flags |= INSTAR_EXTENT_RECURSE;
    return flags | INSTAR_EXTENT_OFFSET;
  }

  const NodeRef below_;
};

}  // namespace instar::sdk
