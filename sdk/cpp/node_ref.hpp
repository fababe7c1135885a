// SPDX-License-Identifier: Apache-2.0
/** @file node_ref.hpp Using a node that the host made: a driver's child, or an image that a command
 * opened. */
#pragma once

#include <array>
#include <vector>

#include "../abi/debug_event.h"
#include "../abi/identity.h"
#include "../abi/node.h"
#include "../abi/rawfd.h"
#include "../abi/resize.h"
#include "bytes.hpp"
#include "call.hpp"
#include "result.hpp"

namespace instar::sdk {

/** Does not own the node. All functions may be called from any thread. Cheap to copy. */
class NodeRef {
 public:
  NodeRef() = default;
  explicit NodeRef(const instar_node* node, uint32_t id = 0) : node_(node), id_(id) {}

  explicit operator bool() const { return node_ != nullptr; }
  const instar_node* abi() const { return node_; }
  /** Number for instar_extent::child. */
  uint32_t id() const { return id_; }

  Result<uint64_t> size() const {
    OutgoingCall call;
    const int64_t n = node_->ops->size(node_->self, call.abi());
    if (n < 0) return call.error(n);
    return static_cast<uint64_t>(n);
  }
  Result<instar_node_limits> limits() const {
    instar_node_limits limits{};
    limits.struct_size = sizeof limits;
    OutgoingCall call;
    const int result = node_->ops->limits(node_->self, call.abi(), &limits);
    if (result < 0) return call.error(result);
    return limits;
  }
  Status read(const Call& parent, uint64_t offset, IoVec to) const {
    OutgoingCall call(&parent);
    return call.status(node_->ops->read(node_->self, call.abi(), offset, to.data(), to.count()));
  }
  Status read(const Call& parent, uint64_t offset, void* to, size_t len) const {
    const instar_iovec piece{to, len};
    return read(parent, offset, IoVec(&piece, 1));
  }
  Status write(const Call& parent, uint64_t offset, IoVec from, uint32_t flags = 0) const {
    if (node_->ops->write == nullptr) return fail(EACCES, "read-only node");
    OutgoingCall call(&parent);
    return call.status(
        node_->ops->write(node_->self, call.abi(), offset, from.data(), from.count(), flags));
  }
  Status write(const Call& parent, uint64_t offset, const void* from, size_t len,
               uint32_t flags = 0) const {
    const instar_iovec piece{const_cast<void*>(from), len};
    return write(parent, offset, IoVec(&piece, 1), flags);
  }
  Status write_zeroes(const Call& parent, uint64_t offset, uint64_t length,
                      uint32_t flags = 0) const {
    if (node_->ops->write_zeroes == nullptr) return fail(ENOTSUP, errno_text(ENOTSUP));
    OutgoingCall call(&parent);
    return call.status(node_->ops->write_zeroes(node_->self, call.abi(), offset, length, flags));
  }
  /** Nothing where the node cannot. */
  Status discard(const Call& parent, uint64_t offset, uint64_t length) const {
    if (node_->ops->discard == nullptr) return {};
    OutgoingCall call(&parent);
    return call.status(node_->ops->discard(node_->self, call.abi(), offset, length));
  }
  Status flush(const Call& parent) const {
    if (node_->ops->flush == nullptr) return {};
    OutgoingCall call(&parent);
    return call.status(node_->ops->flush(node_->self, call.abi()));
  }
  /** Number of extents filled in, at least 1. */
  Result<size_t> extents(const Call& parent, uint64_t offset, uint64_t length, instar_extent* out,
                         size_t max) const {
    OutgoingCall call(&parent);
    const int64_t n = node_->ops->extents(node_->self, call.abi(), offset, length, out, max);
    if (n <= 0) return call.error(n < 0 ? n : -EIO);
    return static_cast<size_t>(n);
  }
  Status resize(const Call& parent, uint64_t size,
                uint32_t preallocation = INSTAR_PREALLOCATION_OFF, uint32_t flags = 0) const {
    void* self = nullptr;
    const auto* ops = interface<instar_resize_ops>(INSTAR_RESIZE_ID, &self);
    if (ops == nullptr) return fail(ENOTSUP, "Image format driver does not support resize");
    OutgoingCall call(&parent);
    return call.status(ops->resize(self, call.abi(), size, preallocation, flags, nullptr));
  }
  /** See instar.identity/1; "" where it has none. */
  Result<std::string> identity() const {
    void* self = nullptr;
    const auto* ops = interface<instar_identity_ops>(INSTAR_IDENTITY_ID, &self);
    StringSink sink;
    OutgoingCall call;
    if (ops != nullptr) INSTAR_CHECK(call.status(ops->identity(self, call.abi(), sink.abi())));
    return sink.text;
  }
  /** That of after a write; "" where a write does not change it. */
  Result<std::string> next_identity() const {
    void* self = nullptr;
    const auto* ops = interface<instar_identity_ops>(INSTAR_IDENTITY_ID, &self);
    StringSink sink;
    OutgoingCall call;
    if (ops != nullptr && ops->next_identity != nullptr)
      INSTAR_CHECK(call.status(ops->next_identity(self, call.abi(), sink.abi())));
    return sink.text;
  }
  /** An optional interface, or nullptr. */
  template <class Ops>
  const Ops* interface(const char* id, void** self) const {
    if (node_->ops->get_interface == nullptr) return nullptr;
    return static_cast<const Ops*>(node_->ops->get_interface(node_->self, id, self));
  }

 private:
  const instar_node* node_ = nullptr;
  uint32_t id_ = 0;
};

/** What a driver tells a child of, if that wants to know; costs a look at a pointer if it does not.
 * Cheap to copy; lives no longer than the child. */
class DebugEvents {
 public:
  DebugEvents() = default;
  explicit DebugEvents(const NodeRef& child)
      : ops_(child.interface<instar_debug_event_ops>(INSTAR_DEBUG_EVENT_ID, &self_)) {}

  /** Somebody listens: nobody may read past the driver. */
  explicit operator bool() const { return ops_ != nullptr; }
  void say(const char* name) const {
    if (ops_ != nullptr) ops_->event(self_, name);
  }

 private:
  void* self_ = nullptr;
  const instar_debug_event_ops* ops_ = nullptr;
};

}  // namespace instar::sdk
