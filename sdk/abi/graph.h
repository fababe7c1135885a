/* SPDX-License-Identifier: Apache-2.0 */
/** @file graph.h Service "instar.graph/1" of the host: images are opened, described and created. */
#ifndef INSTAR_ABI_GRAPH_H
#define INSTAR_ABI_GRAPH_H

#include "host.h"
#include "measure.h"
#include "node.h"
#include "open.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_GRAPH_ID "instar.graph/1"

/** An open image with its whole graph. Owned by who opened it, until close. */
typedef struct instar_image instar_image;

enum instar_image_spec_flags {
  INSTAR_IMAGE_OPTS = 1u << 0 /**< filename is key=value text, as --image-opts has it */
};

/** What to open, as a user says it. */
typedef struct instar_image_spec {
  uint32_t struct_size;
  uint32_t open_flags; /**< enum instar_open_flags */
  uint32_t spec_flags; /**< enum instar_image_spec_flags */
  uint32_t reserved;
  const char* filename; /**< NUL-terminated */
  const char* format;   /**< NULL: probe */
  const char* cache;    /**< a cache mode's name that was checked before, or NULL */
  const char* snapshot; /**< -l's text, or NULL */
  const char* options;  /**< further options of the top node, key=value,…, or NULL */
} instar_image_spec;

INSTAR_PIN_SIZE(instar_image_spec, 56);

enum instar_create_spec_flags {
  INSTAR_CREATE_QUIET = 1u << 0,
  INSTAR_CREATE_BACKING_UNSAFE = 1u << 1, /**< -u: the backing file is not opened */
  INSTAR_CREATE_SIZE_WINS = 1u << 2,      /**< `size` stands above a size among the options */
  INSTAR_CREATE_DRY_RUN = 1u << 3,        /**< everything is checked, nothing is made */
  INSTAR_CREATE_KEEP_OTHERS =
      1u
      << 4, /**< -EEXIST where a further file of the image, such as an extent, is there already */
  INSTAR_CREATE_DURABLE = 1u << 5 /**< all that was made is on stable storage then */
};

/** What to create. */
typedef struct instar_create_spec {
  uint32_t struct_size;
  uint32_t flags; /**< enum instar_create_spec_flags */
  const char* filename;
  const char* format;
  const char* options;        /**< -o text, all of them joined by commas, or NULL */
  const char* backing;        /**< -b or NULL */
  const char* backing_format; /**< -F or NULL */
  uint64_t size;              /**< bytes; UINT64_MAX: not given */
  /* Appended later: an older caller has a smaller struct_size. */
  const char*
      staged; /**< the file that is made now and gets the name `filename` later, as stage gave
                         it; NULL: none */
} instar_create_spec;

INSTAR_PIN_SIZE(instar_create_spec, 64);

enum instar_settle_flags {
  INSTAR_SETTLE_NO_REPLACE = 1u << 0, /**< -EEXIST where there is a file of that name by now */
  INSTAR_SETTLE_DURABLE =
      1u << 1 /**< the name is on stable storage before anything done later is */
};

/** A run of map, chain resolved. */
typedef struct instar_map_extent {
  uint64_t start;
  uint64_t length;
  uint64_t offset; /**< where the data lies in `filename`; with INSTAR_EXTENT_OFFSET in flags */
  uint32_t flags;  /**< enum instar_extent_flags; ALLOCATED = "present" */
  int32_t depth;   /**< 0 = the top image */
  const char* filename; /**< of the file that offset means, as printed; NULL without one */
} instar_map_extent;

INSTAR_PIN_SIZE(instar_map_extent, 40);

typedef int (*instar_map_fn)(void* opaque, const instar_map_extent* extents, size_t count);

/** One image of a backing chain, as walk_chain finds it. Texts are NUL-terminated; valid during the
 * call only. */
typedef struct instar_chain_link {
  uint32_t struct_size;
  uint32_t depth;       /**< 0 = the top image */
  const char* filename; /**< as seen from the overlay that names it */
  const char* format;   /**< that the overlay records, for the top image the user's; NULL: none */
  const char* probed;   /**< what the content looks like; NULL: it could not be read */
  const char* error;    /**< why it can't be opened as it should be; NULL: it is open */
  const char* info;     /**< the image-info document (JSON) of `image`; NULL without it */
  instar_image* image;  /**< NULL: it can't be opened in any way; else, with an error, for its
                           metadata alone */
} instar_chain_link;

INSTAR_PIN_SIZE(instar_chain_link, 56);

typedef int (*instar_chain_fn)(void* opaque, const instar_chain_link* link);

/** What a format can do, as its manifest and table say. */
enum instar_format_ability {
  INSTAR_FORMAT_CREATES = 1u << 0,
  INSTAR_FORMAT_COMPRESSES = 1u << 1,
  INSTAR_FORMAT_BACKING = 1u << 2,
  INSTAR_TARGET_UPLOADS =
      1u << 3, /**< the file can only be stored whole: instar_stream_job::filename */
  INSTAR_FORMAT_GROWS =
      1u << 4 /**< images grow, so that their size need not be known when they are made */
};

/** Receives parsed creation options; valid during the call only. */
typedef void (*instar_options_fn)(void* opaque, const instar_options* options, uint32_t abilities);

typedef struct instar_graph_ops {
  uint32_t struct_size;
  uint32_t reserved;
  /** Opens. The message begins with "Could not open 'NAME': " as QEMU's does. [main] */
  int (*open)(const instar_host* host, instar_call* call, const instar_image_spec* spec,
              instar_image** out);
  /** Closes; errors of the last write-back are reported. [main] */
  int (*close)(instar_image* image, instar_call* call);
  /** The top node, host-made, valid until close. [any] */
  const instar_node* (*node)(instar_image* image);
  /** Name of the top node's driver ("qcow2"); the name by which messages call the image. Valid
   * until close. [any] */
  const char* (*driver)(instar_image* image);
  const char* (*filename)(instar_image* image);
  /** The image-info document (JSON) of one image, or with `chain` an array of all; reopens nothing
   * itself. [main] */
  int (*describe)(const instar_host* host, instar_call* call, const instar_image_spec* spec,
                  int chain, const instar_sink* json);
  /** Creates an image; the "Formatting" line goes to stdout unless quiet. [main] */
  int (*create)(const instar_host* host, instar_call* call, const instar_create_spec* spec);
  /** Writes the list of a format's creation (or with amend, amendment) options to stdout,
   * protocol's included. [main] */
  int (*print_options)(const instar_host* host, instar_call* call, const char* format,
                       const char* filename, int amend);
  /** Walks the block status of [start, start + length) through the chain, joined as map prints it.
   * [main] */
  int (*map)(instar_image* image, instar_call* call, uint64_t start, uint64_t length, void* opaque,
             instar_map_fn each);
  /** Space that a new image of `format` would need; source NULL: of `size` bytes. [main] */
  int (*measure)(const instar_host* host, instar_call* call, const char* format,
                 const char* options, instar_image* source, uint64_t size,
                 instar_measure_result* result);
  /** The image's backing file as its own handle, owned by `image`; NULL: none. [any] */
  instar_image* (*backing)(instar_image* image);
  /**
   * Checks creation options before anything is touched: the format and the target's protocol exist
   * and create, and every option in `options` (-o text or NULL) is theirs. `receive` gets those
   * given, with values of their types, and the format's abilities (enum instar_format_ability).
   * [main]
   */
  int (*check_create)(const instar_host* host, instar_call* call, const char* format,
                      const char* filename, const char* options, void* opaque,
                      instar_options_fn receive);
  /** Removes a file that the caller had created, with those that create made beside it (extents, a
   * data file); no error where the protocol can't. [main] */
  int (*remove)(const instar_host* host, instar_call* call, const char* filename);
  /**
   * The image of the chain below `image` that its overlay calls `name`, or whose file that is; owned
   * by `image`. NULL: there is none. [main]
   */
  instar_image* (*find_backing)(instar_image* image, const char* name);
  /**
   * Opens what would be the backing file of `image` if the image recorded it as `filename`, for
   * reading. @param format NULL: probe. @param cache as in instar_image_spec. @param open_flags
   * INSTAR_OPEN_FORCE_SHARE or 0. The message has no prefix. [main]
   */
  int (*open_backing)(const instar_host* host, instar_call* call, instar_image* image,
                      const char* filename, const char* format, const char* cache,
                      uint32_t open_flags, instar_image** out);
  /** Opens an image of somebody's chain (from backing or find_backing) once more, for writing too.
   * From then on only what lies above it may be read through the chain. [main] */
  int (*open_writable)(const instar_host* host, instar_call* call, instar_image* backing,
                       instar_image** out);
  /**
   * Changes options of an image that its creation has set. @param options -o text, checked against
   * the format's table. @param force 1: also what can't be undone. [main]
   */
  int (*amend)(const instar_host* host, instar_call* call, instar_image* image, const char* options,
               int force, const instar_progress* progress);
  /**
   * Hands over the images of a chain from the top down, each opened by itself for a check
   * (INSTAR_OPEN_CHECK) without its backing file, and closed afterwards. Goes on below an image that
   * is wrong, as far as its names tell; cycles end there. A negative errno from `each` ends the walk.
   * [main]
   */
  int (*walk_chain)(const instar_host* host, instar_call* call, const instar_image_spec* spec,
                    void* opaque, instar_chain_fn each);
  /** The top node's name, made up by the host if not the user's. Valid until close. [any] */
  const char* (*node_name)(instar_image* image);
  /**
   * Makes an empty file of a name of its own beside `filename`, in which an image can be made that is
   * not to be seen before it is whole; its name goes into the sink. -ENOTSUP where that is made in its
   * place: a device, a symbolic link, a folder where nothing can be made. @param flags
   * INSTAR_SETTLE_NO_REPLACE: -EEXIST when something has that name already. [main]
   */
  int (*stage)(const instar_host* host, instar_call* call, const char* filename, uint32_t flags,
               const instar_sink* name);
  /** Gives a staged file its name, and the permissions of the file that it replaces. @param flags enum
   * instar_settle_flags. [main] */
  int (*settle)(const instar_host* host, instar_call* call, const char* staged,
                const char* filename, uint32_t flags);
  /** Checks the options that amend would take, and changes nothing. [main] */
  int (*check_amend)(const instar_host* host, instar_call* call, instar_image* image,
                     const char* options);
} instar_graph_ops;

INSTAR_PIN_SIZE(instar_graph_ops, 184);

#ifdef __cplusplus
}
#endif
#endif
