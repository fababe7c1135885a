// SPDX-License-Identifier: Apache-2.0
// The tables through which plugins use a node of the host.
#include <algorithm>
#include <cstring>

#include "core/block/node_private.hpp"
#include "core/block/status.hpp"
#include "sdk/abi/chain.h"
#include "sdk/abi/info.h"
#include "sdk/abi/resize.h"

namespace instar::block {

namespace {

using sdk::guard;

Node& get(void* self) {
  return *static_cast<Node*>(self);
}

int close_node(void*, instar_call* abi) noexcept {
  // The host closes its nodes itself.
  return static_cast<int>(
      guard(abi, [](const Call&) -> Status { return fail(EPERM, "the host owns this node"); }));
}

int64_t node_size(void* self, instar_call* abi) noexcept {
  return guard(abi, [&](const Call&) { return get(self).size(); });
}

int node_limits(void* self, instar_call*, instar_node_limits* out) noexcept {
  const uint32_t size = out->struct_size;
  const auto& limits = get(self).limits();
  std::memcpy(out, &limits, std::min<size_t>(size, sizeof limits));
  out->struct_size = size;
  return 0;
}

int node_read(void* self, instar_call* abi, uint64_t offset, const instar_iovec* iov,
              size_t count) noexcept {
  return static_cast<int>(guard(
      abi, [&](const Call& call) { return get(self).read(call, offset, IoVec(iov, count)); }));
}

int node_write(void* self, instar_call* abi, uint64_t offset, const instar_iovec* iov, size_t count,
               uint32_t flags) noexcept {
  return static_cast<int>(guard(abi, [&](const Call& call) {
    return get(self).write(call, offset, IoVec(iov, count), flags);
  }));
}

int node_write_zeroes(void* self, instar_call* abi, uint64_t offset, uint64_t length,
                      uint32_t flags) noexcept {
  return static_cast<int>(guard(
      abi, [&](const Call& call) { return get(self).write_zeroes(call, offset, length, flags); }));
}

int node_discard(void* self, instar_call* abi, uint64_t offset, uint64_t length) noexcept {
  return static_cast<int>(
      guard(abi, [&](const Call& call) { return get(self).discard(call, offset, length); }));
}

int node_flush(void* self, instar_call* abi) noexcept {
  return static_cast<int>(guard(abi, [&](const Call& call) { return get(self).flush(call); }));
}

int64_t node_extents(void* self, instar_call* abi, uint64_t offset, uint64_t length,
                     instar_extent* out, size_t max) noexcept {
  return guard(abi,
               [&](const Call& call) { return get(self).extents(call, offset, length, out, max); });
}

const void* node_interface(void* self, const char* id, void** interface_self) noexcept {
  return get(self).interface<void>(id, interface_self);
}

Result<size_t> extents_down_to(const Call& call, Node& top, std::string_view bottom,
                               uint64_t offset, uint64_t length, instar_extent* out, size_t max) {
  StatusOptions options;
  options.resolve_file = false;
  if (!bottom.empty()) {
    Node* last = &top;
    while (last != nullptr && last->names().node_name != bottom)
      last = last->backing();
    if (last == nullptr) return fail(ENOENT, "Bottom node '", bottom, "' not found");
    if (last->kind() == NodeKind::kFilter)
      return fail(EINVAL, "Bottom node '", bottom, "' is a filter");
    options.base = last->backing();
    options.want_zero = false;
  }
  INSTAR_TRY(const auto runs, chain_status(call, top, offset, length, options, max));
  std::transform(runs.begin(), runs.end(), out, [](const ChainExtent& run) {
    return instar_extent{run.length, 0, run.flags & ~uint32_t{INSTAR_EXTENT_OFFSET}, 0};
  });
  return runs.size();
}

constexpr instar_node_ops make_table(bool writable) {
  instar_node_ops ops{};
  ops.struct_size = sizeof ops;
  ops.thread_model = INSTAR_THREADS_PARALLEL;
  ops.close = &close_node;
  ops.size = &node_size;
  ops.limits = &node_limits;
  ops.read = &node_read;
  ops.extents = &node_extents;
  ops.get_interface = &node_interface;
  if (!writable) return ops;
  ops.write = &node_write;
  ops.write_zeroes = &node_write_zeroes;
  ops.discard = &node_discard;
  ops.flush = &node_flush;
  return ops;
}

constexpr instar_node_ops kReadOnly = make_table(false);
constexpr instar_node_ops kWritable = make_table(true);

}  // namespace

const instar_node_ops* NodeTrampolines::table(bool writable) {
  return writable ? &kWritable : &kReadOnly;
}

const void* NodeTrampolines::resize_table() {
  static constexpr instar_resize_ops kResize = {
      sizeof(instar_resize_ops), 0,
      [](void* self, instar_call* abi, uint64_t size, uint32_t preallocation, uint32_t flags,
         const instar_progress* progress) noexcept {
        return static_cast<int>(guard(abi, [&](const Call& call) {
          return get(self).resize(call, size, preallocation, flags, progress);
        }));
      }};
  return &kResize;
}

const void* NodeTrampolines::chain_table() {
  static constexpr instar_chain_ops kChain = {
      sizeof(instar_chain_ops), 0,
      [](void* self, instar_call* abi, const char* bottom, uint64_t offset, uint64_t length,
         instar_extent* out, size_t max) noexcept {
        return guard(abi, [&](const Call& call) {
          return extents_down_to(call, get(self), bottom, offset, length, out, max);
        });
      }};
  return &kChain;
}

const void* NodeTrampolines::info_table() {
  static constexpr instar_info_ops kInfo = {
      sizeof(instar_info_ops), 0,
      [](void* self, instar_call* abi, const instar_sink* json) noexcept {
        return get(self).describe(abi, json);
      },
      [](void* self, instar_call* abi) noexcept { return get(self).allocated_size(Call(abi)); },
      [](void* self, instar_call* abi, const instar_sink* text) noexcept {
        return static_cast<int>(guard(
            abi, [&](const Call&) { return sdk::send(text, get(self).names().exact_filename); }));
      }};
  return &kInfo;
}

Node* Node::from_abi(const instar_node* node) {
  if (node == nullptr || (node->ops != &kReadOnly && node->ops != &kWritable)) return nullptr;
  return static_cast<Node*>(node->self);
}

}  // namespace instar::block
