// SPDX-License-Identifier: Apache-2.0
/**
 * @file node.hpp
 * Makes the table of a node from an ordinary class.
 *
 * The class needs `uint64_t size()` and one of
 *     Status read(const Call&, uint64_t offset, IoVec to)
 *     Status read(uint64_t offset, Bytes to)
 * and may have, each by this name; what it lacks is absent for the host:
 *     void limits(instar_node_limits&)            changes what was filled in from the functions
 *     Status write(const Call&, uint64_t offset, IoVec from, uint32_t flags)
 *     Status write_zeroes(const Call&, uint64_t offset, uint64_t length, uint32_t flags)
 *     Status discard(const Call&, uint64_t offset, uint64_t length)
 *     Status flush(const Call&)
 *     Result<size_t> extents(const Call&, uint64_t offset, uint64_t length, instar_extent* out,
 *                            size_t max)
 *     Status close(const Call&)                   runs before the destructor
 *     static constexpr instar_thread_model kThreads    default: INSTAR_THREADS_PER_NODE
 * and the functions of the optional interfaces, see interfaces.hpp.
 */
#pragma once

#include <memory>

#include "../abi/node.h"
#include "bytes.hpp"
#include "call.hpp"
#include "interfaces.hpp"
#include "result.hpp"

namespace instar::sdk {

template <class T>
class NodeTable {
 public:
  /** Moves the object behind the table's functions; the host's close deletes it. */
  static void publish(std::unique_ptr<T> node, instar_node* out) noexcept {
    out->ops = &kOps;
    out->self = node.release();
  }

 private:
  static T& get(void* self) { return *static_cast<T*>(self); }

  static int close(void* self, instar_call* abi) noexcept {
    int64_t result = 0;
    if constexpr (requires(T t, const Call& c) { t.close(c); })
      result = guard(abi, [&](const Call& call) { return get(self).close(call); });
    delete &get(self);
    return static_cast<int>(result);
  }
  static int64_t size(void* self, instar_call* abi) noexcept {
    return guard(abi, [&](const Call&) { return Result<uint64_t>(get(self).size()); });
  }
  static int limits(void* self, instar_call* abi, instar_node_limits* out) noexcept {
    return static_cast<int>(guard(abi, [&](const Call&) -> Status {
      constexpr auto native = static_cast<uint8_t>(INSTAR_ABILITY_NATIVE);
      out->flags = kOps.write == nullptr ? static_cast<uint32_t>(INSTAR_NODE_READ_ONLY) : 0u;
      out->can_write = kOps.write != nullptr ? native : 0;
      out->can_write_zeroes = kOps.write_zeroes != nullptr ? native : 0;
      out->can_discard = kOps.discard != nullptr ? native : 0;
      out->can_flush = kOps.flush != nullptr ? native : 0;
      out->can_extents = kOps.extents != nullptr ? native : 0;
      if constexpr (requires(T t) { t.limits(*out); }) get(self).limits(*out);
      return {};
    }));
  }
  static int read(void* self, instar_call* abi, uint64_t offset, const instar_iovec* iov,
                  size_t count) noexcept {
    return static_cast<int>(guard(abi, [&](const Call& call) -> Status {
      if constexpr (requires(T t, IoVec v) { t.read(call, offset, v); }) {
        return get(self).read(call, offset, IoVec(iov, count));
      } else {
        for (size_t i = 0; i < count; ++i) {
          INSTAR_CHECK(
              get(self).read(offset, Bytes(static_cast<uint8_t*>(iov[i].base), iov[i].len)));
          offset += iov[i].len;
        }
        return {};
      }
    }));
  }
  static int write(void* self, instar_call* abi, uint64_t offset, const instar_iovec* iov,
                   size_t count, uint32_t flags) noexcept {
    return static_cast<int>(guard(abi, [&](const Call& call) {
      return get(self).write(call, offset, IoVec(iov, count), flags);
    }));
  }
  static int write_zeroes(void* self, instar_call* abi, uint64_t offset, uint64_t length,
                          uint32_t flags) noexcept {
    return static_cast<int>(guard(abi, [&](const Call& call) {
      return get(self).write_zeroes(call, offset, length, flags);
    }));
  }
  static int discard(void* self, instar_call* abi, uint64_t offset, uint64_t length) noexcept {
    return static_cast<int>(
        guard(abi, [&](const Call& call) { return get(self).discard(call, offset, length); }));
  }
  static int flush(void* self, instar_call* abi) noexcept {
    return static_cast<int>(guard(abi, [&](const Call& call) { return get(self).flush(call); }));
  }
  static int64_t extents(void* self, instar_call* abi, uint64_t offset, uint64_t length,
                         instar_extent* out, size_t max) noexcept {
    return guard(
        abi, [&](const Call& call) { return get(self).extents(call, offset, length, out, max); });
  }
  static const void* get_interface(void* self, const char* id, void** interface_self) noexcept {
    *interface_self = self;
    return InterfaceTables<T>::find(get(self), id);
  }

  static constexpr uint32_t thread_model() {
    if constexpr (requires { T::kThreads; })
      return T::kThreads;
    else
      return INSTAR_THREADS_PER_NODE;
  }
  static constexpr instar_node_ops make() {
    instar_node_ops ops{};
    ops.struct_size = sizeof ops;
    ops.thread_model = thread_model();
    ops.close = &close;
    ops.size = &size;
    ops.limits = &limits;
    ops.read = &read;
    if constexpr (requires { &T::write; }) ops.write = &write;
    if constexpr (requires { &T::write_zeroes; }) ops.write_zeroes = &write_zeroes;
    if constexpr (requires { &T::discard; }) ops.discard = &discard;
    if constexpr (requires { &T::flush; }) ops.flush = &flush;
    if constexpr (requires { &T::extents; }) ops.extents = &extents;
    ops.get_interface = &get_interface;
    return ops;
  }
  static constexpr instar_node_ops kOps = make();
};

}  // namespace instar::sdk
