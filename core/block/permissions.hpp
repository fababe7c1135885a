// SPDX-License-Identifier: Apache-2.0
/** @file permissions.hpp What a node is used for and what others may do meanwhile, passed down the
 * graph as QEMU does it; protocols make locks of it. */
#pragma once

#include <cstdint>

#include "core/block/node.hpp"
#include "sdk/abi/permissions.h"

namespace instar::block {

struct Permissions {
  uint32_t used = 0;                        ///< enum instar_permission bits
  uint32_t shared = INSTAR_PERMISSION_ALL;  ///< likewise
};

/** Those of whoever opens the top node. */
Permissions top_permissions(uint32_t open_flags);

/** Those that a node with `own` has of a child. @param flags the node's open flags. */
Permissions child_permissions(Permissions own, uint32_t flags, instar_child_role role);

/** Tells a protocol node; nothing for other nodes and for protocols without locks. */
Status apply_permissions(const Node& node, Permissions permissions);

}  // namespace instar::block
