// SPDX-License-Identifier: Apache-2.0
#include "core/block/permissions.hpp"

namespace instar::block {

namespace {

constexpr uint32_t kWrite = INSTAR_PERMISSION_WRITE;
constexpr uint32_t kResize = INSTAR_PERMISSION_RESIZE;

/** What a format's own data must not suffer. */
Permissions for_metadata(Permissions own, uint32_t flags) {
  if ((flags & INSTAR_OPEN_WRITE) != 0) own.used |= kWrite | kResize;
  if ((flags & INSTAR_OPEN_NO_IO) == 0) own.used |= INSTAR_PERMISSION_READ;
  own.shared &= ~(kWrite | kResize);
  return own;
}

Permissions for_data(Permissions own) {
  own.shared &= ~kResize;
  if ((own.used & INSTAR_PERMISSION_WRITE_UNCHANGED) != 0) own.used |= kWrite;
  if ((own.used & kWrite) != 0) own.used |= kResize;
  return own;
}

Permissions for_backing(Permissions own) {
  const uint32_t changes = (own.shared & kWrite) != 0 ? kWrite | kResize : 0u;
  return {own.used & uint32_t{INSTAR_PERMISSION_READ},
          changes | INSTAR_PERMISSION_READ | INSTAR_PERMISSION_WRITE_UNCHANGED};
}

}  // namespace

Permissions top_permissions(uint32_t open_flags) {
  Permissions top;
  if ((open_flags & INSTAR_OPEN_NO_IO) == 0) {
    top.used |= INSTAR_PERMISSION_READ;
    if ((open_flags & INSTAR_OPEN_WRITE) != 0) top.used |= kWrite;
  }
  if ((open_flags & INSTAR_OPEN_RESIZE) != 0) top.used |= kResize;
  if ((open_flags & INSTAR_OPEN_NO_SHARE) != 0)
    top.shared = INSTAR_PERMISSION_READ | INSTAR_PERMISSION_WRITE_UNCHANGED;
  if ((open_flags & INSTAR_OPEN_FORCE_SHARE) != 0) top.shared = INSTAR_PERMISSION_ALL;
  return top;
}

Permissions child_permissions(Permissions own, uint32_t flags, instar_child_role role) {
  Permissions of_child = own;
  switch (role) {
    case INSTAR_CHILD_FILE:
      of_child = for_metadata(own, flags);
      break;
    case INSTAR_CHILD_DATA:
      of_child = for_data(own);
      break;
    case INSTAR_CHILD_BACKING:
      of_child = for_backing(own);
      break;
    case INSTAR_CHILD_FILTERED:
      break;
  }
  if ((flags & INSTAR_OPEN_FORCE_SHARE) != 0) of_child.shared = INSTAR_PERMISSION_ALL;
  return of_child;
}

Status apply_permissions(const Node& node, Permissions permissions) {
  if (node.kind() != NodeKind::kProtocol) return {};
  void* self = nullptr;
  const auto* ops = node.interface<instar_permissions_ops>(INSTAR_PERMISSIONS_ID, &self);
  if (ops == nullptr || ops->set == nullptr) return {};
  sdk::OutgoingCall call;
  return call.status(ops->set(self, call.abi(), permissions.used, permissions.shared));
}

}  // namespace instar::block
