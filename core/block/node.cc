// SPDX-License-Identifier: Apache-2.0
#include "core/block/node.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/base/trace.hpp"
#include "core/block/node_private.hpp"
#include "sdk/abi/amend.h"
#include "sdk/abi/bitmap.h"
#include "sdk/abi/cancel.h"
#include "sdk/abi/chain.h"
#include "sdk/abi/change_backing.h"
#include "sdk/abi/check.h"
#include "sdk/abi/compress.h"
#include "sdk/abi/debug_event.h"
#include "sdk/abi/identity.h"
#include "sdk/abi/make_empty.h"
#include "sdk/abi/map.h"
#include "sdk/abi/permissions.h"
#include "sdk/abi/rawfd.h"
#include "sdk/abi/resize.h"
#include "sdk/abi/snapshot.h"

namespace instar::block {

namespace {

using sdk::OutgoingCall;

constexpr uint64_t kSector = 512;

/** One lock per shared object that holds drivers' tables. */
std::recursive_mutex* plugin_mutex_of(const instar_node_ops* ops) {
  static std::mutex mutex;
  static std::map<const void*, std::unique_ptr<std::recursive_mutex>> locks;
  Dl_info info{};
  const void* key = dladdr(reinterpret_cast<const void*>(ops), &info) != 0 ? info.dli_fbase : ops;
  const std::lock_guard lock(mutex);
  auto& slot = locks[key];
  if (slot == nullptr) slot = std::make_unique<std::recursive_mutex>();
  return slot.get();
}

/** Length of an interface's table as this host knows it; 0: not one of ours. */
size_t table_size(std::string_view id) {
  static const std::map<std::string_view, size_t> kSizes = {
      {INSTAR_INFO_ID, sizeof(instar_info_ops)},
      {INSTAR_MAP_ID, sizeof(instar_map_ops)},
      {INSTAR_PERMISSIONS_ID, sizeof(instar_permissions_ops)},
      {INSTAR_RAWFD_ID, sizeof(instar_rawfd_ops)},
      {INSTAR_COMPRESS_ID, sizeof(instar_compress_ops)},
      {INSTAR_SNAPSHOT_ID, sizeof(instar_snapshot_ops)},
      {INSTAR_BITMAP_ID, sizeof(instar_bitmap_ops)},
      {INSTAR_CHECK_ID, sizeof(instar_check_ops)},
      {INSTAR_AMEND_ID, sizeof(instar_amend_ops)},
      {INSTAR_RESIZE_ID, sizeof(instar_resize_ops)},
      {INSTAR_CHANGE_BACKING_ID, sizeof(instar_change_backing_ops)},
      {INSTAR_MAKE_EMPTY_ID, sizeof(instar_make_empty_ops)},
      {INSTAR_IDENTITY_ID, sizeof(instar_identity_ops)},
      {INSTAR_CANCEL_ID, sizeof(instar_cancel_ops)},
      {INSTAR_DEBUG_EVENT_ID, sizeof(instar_debug_event_ops)},
      {INSTAR_FORWARD_ID, sizeof(instar_forward_ops)},
  };
  const auto found = kSizes.find(id);
  return found != kSizes.end() ? found->second : 0;
}

bool changes_size(std::string_view id) {
  return id == INSTAR_SNAPSHOT_ID || id == INSTAR_AMEND_ID;
}

/** What concerns the image as it is stored is done to the one below a filter, as in QEMU. */
bool reaches_through(std::string_view id) {
  return id == INSTAR_SNAPSHOT_ID || id == INSTAR_CHANGE_BACKING_ID;
}

Status check_power(const std::string& driver, const char* what, uint32_t value) {
  if (std::has_single_bit(value) && value <= 1u << 30) return {};
  return fail(EINVAL, "Driver '", driver, "' reports ", what, " ", value,
              ", which is not a power of two");
}

}  // namespace

Node::Node() : private_(std::make_unique<Private>()) {}

Node::~Node() {
  OutgoingCall call;
  if (const auto closed = close(Call(call.abi())); !closed)
    base::trace(base::Event::kNote, "closing ", names_.filename, ": ", closed.error().message);
}

Result<NodePtr> Node::make(NodeKind kind, std::string driver, NodeNames names, uint32_t open_flags,
                           instar_node driver_node, std::vector<Child> children) {
  NodePtr node(new Node());
  node->kind_ = kind;
  node->driver_ = std::move(driver);
  node->names_ = std::move(names);
  node->open_flags_ = open_flags;
  node->driver_node_ = driver_node;
  node->children_ = std::move(children);
  auto& ops = node->private_->ops;
  std::memcpy(&ops, driver_node.ops, std::min<size_t>(driver_node.ops->struct_size, sizeof ops));
  if (ops.close == nullptr || ops.size == nullptr || ops.limits == nullptr || ops.read == nullptr)
    return fail(EINVAL, "Driver '", node->driver_, "' lacks a function that every node has");
  if (ops.thread_model == INSTAR_THREADS_GLOBAL)
    node->private_->plugin_mutex = plugin_mutex_of(driver_node.ops);
  INSTAR_CHECK(node->read_limits());
  node->private_->debug_ops =
      node->interface<instar_debug_event_ops>(INSTAR_DEBUG_EVENT_ID, &node->private_->debug_self);
  node->private_->forward_ops =
      node->interface<instar_forward_ops>(INSTAR_FORWARD_ID, &node->private_->forward_self);
  node->abi_ = {NodeTrampolines::table(node->writable() && ops.write != nullptr), node.get()};
  return node;
}

Status Node::read_limits() {
  auto& mine = driver_limits_;
  mine.struct_size = sizeof mine;
  OutgoingCall call;
  INSTAR_CHECK(call.status(private_->ops.limits(driver_node_.self, call.abi(), &mine)));
  for (auto* value : {&mine.request_alignment, &mine.memory_alignment, &mine.write_zeroes_alignment,
                      &mine.discard_alignment})
    *value = std::max(*value, 1u);
  INSTAR_CHECK(check_power(driver_, "request alignment", mine.request_alignment));
  INSTAR_CHECK(check_power(driver_, "memory alignment", mine.memory_alignment));
  if (mine.max_transfer != 0)
    mine.max_transfer = std::max(mine.max_transfer - mine.max_transfer % mine.request_alignment,
                                 mine.request_alignment);
  if (private_->ops.write == nullptr) mine.can_write = INSTAR_ABILITY_NONE;
  if (private_->ops.write_zeroes == nullptr) mine.can_write_zeroes = INSTAR_ABILITY_NONE;
  if (private_->ops.discard == nullptr) mine.can_discard = INSTAR_ABILITY_NONE;
  if (private_->ops.extents == nullptr) mine.can_extents = INSTAR_ABILITY_NONE;
  if (!writable() || private_->ops.write == nullptr) mine.flags |= INSTAR_NODE_READ_ONLY;

  limits_ = mine;
  limits_.request_alignment = 1;
  limits_.memory_alignment = 1;
  limits_.max_transfer = 0;
  limits_.max_discard = 0;
  limits_.max_write_zeroes = 0;
  const bool can_write = (mine.flags & INSTAR_NODE_READ_ONLY) == 0;
  if (!can_write) limits_.can_write = limits_.can_write_zeroes = limits_.can_discard = 0;
  if (can_write && mine.can_write_zeroes == INSTAR_ABILITY_NONE)
    limits_.can_write_zeroes = INSTAR_ABILITY_EMULATED;
  return {};
}

Node* Node::child(std::string_view name) const {
  for (const auto& child : children_)
    if (child.name == name) return child.node.get();
  return nullptr;
}

Node* Node::backing() const {
  for (const Node* node = this; node != nullptr;) {
    if (Node* below = node->child("backing")) return below;
    if (node->kind_ != NodeKind::kFilter) return nullptr;
    node = node->file();
  }
  return nullptr;
}

bool Node::remote() const {
  return (driver_limits_.flags & INSTAR_NODE_REMOTE) != 0 ||
         std::any_of(children_.begin(), children_.end(),
                     [](const Child& child) { return child.node->remote(); });
}

Node* Node::file() const {
  if (Node* named = child("file")) return named;
  return children_.empty() || children_[0].role == INSTAR_CHILD_BACKING ? nullptr
                                                                        : children_[0].node.get();
}

uint32_t Node::add_child(Child child) {
  for (uint32_t i = 0; i < children_.size(); ++i) {
    if (children_[i].name != child.name) continue;
    private_->companions.push_back(children_[i].node);  // the driver may still hold its table
    children_[i] = std::move(child);
    return i;
  }
  children_.push_back(std::move(child));
  return static_cast<uint32_t>(children_.size() - 1);
}

void Node::set_policy(NodePolicy policy) {
  private_->policy = std::move(policy);
}

void Node::keep(std::shared_ptr<void> companion) {
  private_->companions.push_back(std::move(companion));
}

Result<uint64_t> Node::size() const {
  INSTAR_TRY(const uint64_t exact, driver_size());
  return exact > INT64_MAX - kSector ? exact : sdk::round_up(exact, kSector);
}

/** What is not of the driver's own making is only passed on by it (raw), and need not be kept. */
Status Node::find_size() const {
  OutgoingCall call;
  call.abi()->cancelled = private_->policy.cancelled;
  const int keep = kind_ == NodeKind::kFormat ? 0 : 1;
  return call.status(private_->forward_ops->find_size(private_->forward_self, call.abi(), keep));
}

Result<uint64_t> Node::driver_size() const {
  if (private_->forward_ops != nullptr) INSTAR_CHECK(find_size());
  OutgoingCall call;
  const int64_t size = private_->ops.size(driver_node_.self, call.abi());
  if (size < 0) return call.error(size);
  private_->known_size.store(static_cast<uint64_t>(size), std::memory_order_relaxed);
  return static_cast<uint64_t>(size);
}

const Node* Node::filtered() const {
  const bool one = children_.size() == 1 && children_[0].role == INSTAR_CHILD_FILTERED;
  return one ? children_[0].node.get() : nullptr;
}

const void* Node::find_interface(const char* id, void** self) const {
  if (private_->closed) return nullptr;
  if (std::string_view(id) == INSTAR_CHAIN_ID) {
    *self = const_cast<Node*>(this);
    return NodeTrampolines::chain_table();
  }
  const void* table = private_->ops.get_interface != nullptr
                          ? private_->ops.get_interface(driver_node_.self, id, self)
                          : nullptr;
  if (table == nullptr) {
    // A format that is the file itself (raw) changes nothing; filters may.
    const bool same = kind_ == NodeKind::kFormat && std::string_view(id) == INSTAR_FORWARD_ID;
    const Node* below = same || reaches_through(id) ? filtered() : nullptr;
    return below != nullptr ? below->find_interface(id, self) : nullptr;
  }
  if (changes_size(id)) private_->size_is_volatile = true;
  if (std::string_view(id) == INSTAR_RESIZE_ID) {
    *self = const_cast<Node*>(this);
    return NodeTrampolines::resize_table();
  }
  if (std::string_view(id) == INSTAR_INFO_ID) {
    *self = const_cast<Node*>(this);
    return NodeTrampolines::info_table();
  }
  uint32_t known_by_driver = 0;
  std::memcpy(&known_by_driver, table, sizeof known_by_driver);
  const size_t known_here = table_size(id);
  if (known_by_driver >= known_here) return table;
  const std::lock_guard lock(private_->tables_mutex);
  auto& copy = private_->longer_tables[id];
  if (copy == nullptr) {
    copy = std::make_unique<char[]>(known_here);
    std::memcpy(copy.get(), table, known_by_driver);
  }
  return copy.get();
}

/** What the driver has of the table, the rest is NULL. */
instar_info_ops Node::driver_info(void** self) const {
  instar_info_ops ops{};
  const void* table = private_->ops.get_interface != nullptr
                          ? private_->ops.get_interface(driver_node_.self, INSTAR_INFO_ID, self)
                          : nullptr;
  if (table != nullptr)
    std::memcpy(
        &ops, table,
        std::min<size_t>(static_cast<const instar_info_ops*>(table)->struct_size, sizeof ops));
  return ops;
}

std::optional<std::string> Node::told_filename() const {
  void* self = nullptr;
  const auto ops = driver_info(&self);
  if (ops.filename == nullptr) return std::nullopt;
  OutgoingCall call;
  sdk::StringSink text;
  return ops.filename(self, call.abi(), text.abi()) < 0 ? std::string() : text.text;
}

int64_t Node::allocated_size(const Call& call) const {
  void* self = nullptr;
  if (const auto ops = driver_info(&self); ops.allocated_size != nullptr) {
    OutgoingCall inner(&call);
    return ops.allocated_size(self, inner.abi());
  }
  if (kind_ == NodeKind::kProtocol) return -ENOTSUP;
  int64_t sum = 0;
  for (const auto& child : children_) {
    if (child.role == INSTAR_CHILD_BACKING) continue;
    const int64_t size = child.node->allocated_size(call);
    if (size < 0) return size;
    sum += size;
  }
  return sum;
}

int Node::describe(instar_call* call, const instar_sink* json) const {
  void* self = nullptr;
  const auto* ops = static_cast<const instar_info_ops*>(
      private_->ops.get_interface(driver_node_.self, INSTAR_INFO_ID, &self));
  const DriverLock lock(private_->ops.thread_model, private_->node_mutex, private_->plugin_mutex);
  return ops->describe(self, call, json);
}

Status Node::resize(const Call& call, uint64_t size, uint32_t preallocation, uint32_t flags,
                    const instar_progress* progress) {
  constexpr uint64_t kMaxLength = uint64_t{INT64_MAX} & ~((uint64_t{1} << 30) - 1);
  if (size > kMaxLength) return fail(EIO, "offset(", size, ") exceeds maximum(", kMaxLength, ")");
  void* self = nullptr;
  const auto* ops = static_cast<const instar_resize_ops*>(
      private_->ops.get_interface(driver_node_.self, INSTAR_RESIZE_ID, &self));
  OutgoingCall inner(&call);
  int result = 0;
  {
    const DriverLock lock(private_->ops.thread_model, private_->node_mutex, private_->plugin_mutex);
    result = ops->resize(self, inner.abi(), size, preallocation, flags, progress);
  }
  private_->known_size.store(0, std::memory_order_relaxed);
  if (result < 0) return inner.error(result);
  return {};
}

Status Node::close(const Call& call) {
  if (private_->closed) return {};
  private_->closed = true;
  Status result;
  if (private_->ops.close != nullptr) {
    OutgoingCall inner(&call);
    const DriverLock lock(private_->ops.thread_model, private_->node_mutex, private_->plugin_mutex);
    result = inner.status(private_->ops.close(driver_node_.self, inner.abi()));
  }
  // A child may be shared with another parent; it is closed when the last one lets go of it.
  std::vector<Child> children;
  children.swap(children_);
  private_->companions.clear();
  for (auto& child : children) {
    if (child.node.use_count() > 1) continue;
    if (auto closed = child.node->close(call); !closed && result) result = std::move(closed);
  }
  return result;
}

}  // namespace instar::block
