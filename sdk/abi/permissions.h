/* SPDX-License-Identifier: Apache-2.0 */
/** @file permissions.h Optional interface "instar.permissions/1" of a protocol's node: what is done
 * with the storage, and what others may do meanwhile. Becomes locks that QEMU honours too. */
#ifndef INSTAR_ABI_PERMISSIONS_H
#define INSTAR_ABI_PERMISSIONS_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_PERMISSIONS_ID "instar.permissions/1"

/** Ways to use an image. The bits are those of QEMU's locks on files. */
enum instar_permission {
  INSTAR_PERMISSION_READ = 1u << 0, /**< reads a content that is consistent */
  INSTAR_PERMISSION_WRITE = 1u << 1,
  INSTAR_PERMISSION_WRITE_UNCHANGED = 1u << 2, /**< writes what is there already */
  INSTAR_PERMISSION_RESIZE = 1u << 3,
  INSTAR_PERMISSION_ALL = 15u
};

typedef struct instar_permissions_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /**
   * From now on the node is used like `used`, and others may do what `shared` says (both enum
   * instar_permission bits). -EAGAIN when somebody else is in the way: the message names the
   * permission, and all stays as it was. May be called again. [main]
   */
  int (*set)(void* self, instar_call* call, uint32_t used, uint32_t shared);
} instar_permissions_ops;

INSTAR_PIN_SIZE(instar_permissions_ops, 16);

#ifdef __cplusplus
}
#endif
#endif
