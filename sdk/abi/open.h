/* SPDX-License-Identifier: Apache-2.0 */
/** @file open.h Opening a node and its children. A driver names its children; the host opens them.
 */
#ifndef INSTAR_ABI_OPEN_H
#define INSTAR_ABI_OPEN_H

#include "node.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum instar_open_flags {
  INSTAR_OPEN_WRITE = 1u << 0,
  INSTAR_OPEN_NO_IO =
      1u << 1, /**< only the description is wanted: metadata may be read, data is not */
  INSTAR_OPEN_NO_BACKING = 1u << 2, /**< the host will not open a backing file */
  INSTAR_OPEN_CHECK = 1u << 3,      /**< opened for check: accept what a check could repair */
  INSTAR_OPEN_NO_CACHE = 1u << 4,   /**< bypass the page cache (cache.direct) */
  INSTAR_OPEN_NO_FLUSH = 1u << 5,   /**< flush may do nothing (cache.no-flush) */
  INSTAR_OPEN_WRITETHROUGH = 1u << 6,
  INSTAR_OPEN_FORCE_SHARE = 1u << 7, /**< take no locks that keep others out (-U), read-only */
  INSTAR_OPEN_UNMAP = 1u << 8,       /**< discard requests reach the file */
  INSTAR_OPEN_NO_SHARE = 1u << 9,    /**< nobody else may write or resize meanwhile */
  INSTAR_OPEN_RESIZE = 1u << 10,     /**< whoever opens it will change its size */
  INSTAR_OPEN_DEFER_LOCKS = 1u << 11 /**< for a protocol: the host is going to say what is used and
                                        shared through "instar.permissions/1"; until then no locks
                                        are taken. Without it: what the other flags need at most */
};

/** What a child is to its parent: decides locks, permissions and how it is printed. */
enum instar_child_role {
  INSTAR_CHILD_FILE = 0,    /**< the format's own metadata, and usually its data */
  INSTAR_CHILD_BACKING = 1, /**< content below; always read only */
  INSTAR_CHILD_DATA = 2,    /**< guest data only: a qcow2 data file, a VMDK extent */
  INSTAR_CHILD_FILTERED = 3 /**< what a filter stands on */
};

/** How a driver asks for a child whose name it found inside the image, or that the user names in
 * options. */
typedef struct instar_child_request {
  uint32_t struct_size;
  uint32_t role;         /**< enum instar_child_role */
  const char* name;      /**< "file", "backing", "data-file", "extents.0" */
  const char* reference; /**< NUL-terminated name from inside the image, or NULL: only the user's
                            options say it */
  const char*
      format; /**< format that the image records for it, or NULL: probe (backing) or none (data) */
  uint32_t flags; /**< instar_child_request_flags */
  uint32_t reserved;
  uint32_t taken;    /**< enum instar_permission: used besides what the role and the use need */
  uint32_t unshared; /**< enum instar_permission: not left to others, besides what the role keeps */
} instar_child_request;

enum instar_child_request_flags {
  INSTAR_CHILD_OPTIONAL = 1u << 0, /**< without reference and options: result 0 and *out NULL */
  INSTAR_CHILD_PROTOCOL =
      1u << 1, /**< no format layer above the protocol unless the user asks for one */
  INSTAR_CHILD_READ_ONLY = 1u << 2,  /**< even when the parent is writable */
  INSTAR_CHILD_PLAIN_NAME = 1u << 3, /**< the reference is a file's name as it stands, seen from the
                                        working directory: no json:, no protocol, no other base */
  INSTAR_CHILD_USER_NAME = 1u << 4,  /**< the reference is a part of the name that the node itself
                                        was opened by: no other base, and no gate */
  INSTAR_CHILD_PROBED = 1u << 5      /**< an image with a format of its own, to be guessed unless
                                        options name it (a member of a quorum) */
};

INSTAR_PIN_SIZE(instar_child_request, 48);

/** Opens children while a driver's open runs; also valid later through the node's life, for a
 * changed backing file. */
typedef struct instar_opener instar_opener;
struct instar_opener {
  uint32_t struct_size;
  uint32_t reserved;
  void* opaque;
  /**
   * Opens (or finds, when the host did it before, as for a format's "file") a child.
   * Every reference from inside an image passes the host's reference gate.
   * *out is owned by the host and lives until the parent's close returned. *id is the child's
   * number for instar_extent::child. [main]
   */
  int (*open_child)(const instar_opener* opener, instar_call* call,
                    const instar_child_request* request, instar_node** out, uint32_t* id);
};

INSTAR_PIN_SIZE(instar_opener, 24);

/** Arguments of every driver's open. Valid during the call, `opener` until close. */
typedef struct instar_open_args {
  uint32_t struct_size;
  uint32_t flags; /**< enum instar_open_flags */
  const char*
      filename; /**< NUL-terminated, as messages name it; for a protocol: the file to open */
  instar_options options; /**< this node's own options; children's are with the host */
  const instar_opener* opener;
  const char* node_name; /**< what the host calls the node, for messages; NULL from older hosts */
} instar_open_args;

INSTAR_PIN_SIZE(instar_open_args, 48);

/** Makes the files of a new image while a driver's create runs. */
typedef struct instar_creator instar_creator;
struct instar_creator {
  uint32_t struct_size;
  uint32_t reserved;
  void* opaque;
  /**
   * Creates a file of the given size on the target's protocol and opens it for writing.
   * @param name NULL for the image's own file; else a further file (extent, data file), relative to
   * the image.
   * @param size initial size in bytes.
   * *out is owned by the host and lives until create returned. A failed create removes what it
   * made. [main]
   */
  int (*create_file)(const instar_creator* creator, instar_call* call, const char* name,
                     uint64_t size, instar_node** out);
  /** Opens a file that exists already, for writing, under the same rules. [main] */
  int (*open_file)(const instar_creator* creator, instar_call* call, const char* name,
                   instar_node** out);
};

INSTAR_PIN_SIZE(instar_creator, 32);

/** Arguments of create. */
typedef struct instar_create_args {
  uint32_t struct_size;
  uint32_t flags; /**< none yet */
  const char* filename;
  instar_options options; /**< as the manifest's create table declares them, with its defaults */
  const instar_creator* creator;
} instar_create_args;

INSTAR_PIN_SIZE(instar_create_args, 40);

#ifdef __cplusplus
}
#endif
#endif
