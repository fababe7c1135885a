/* SPDX-License-Identifier: Apache-2.0 */
/** @file engine.h Service "instar.engine/1" of the host: bulk work on images, in parallel. */
#ifndef INSTAR_ABI_ENGINE_H
#define INSTAR_ABI_ENGINE_H

#include "content.h"
#include "graph.h"
#include "host.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INSTAR_ENGINE_ID "instar.engine/1"

enum instar_copy_flags {
  INSTAR_COPY_COMPRESSED = 1u << 0,
  INSTAR_COPY_UNORDERED = 1u << 1,   /**< -W */
  INSTAR_COPY_OFFLOAD = 1u << 2,     /**< -C */
  INSTAR_COPY_SALVAGE = 1u << 3,     /**< read errors become zeroes, with a warning each */
  INSTAR_COPY_TARGET_ZERO = 1u << 4, /**< the target reads as zeroes already */
  INSTAR_COPY_QUIET = 1u << 5,
  INSTAR_COPY_STREAM = 1u << 6, /**< what is copied comes from source_fd, to its end */
  INSTAR_COPY_RESIZE = 1u << 7  /**< with STREAM: the target gets the size that comes out */
};

/** Copies the guest content of the sources, one behind another, into the target. */
typedef struct instar_copy_job {
  uint32_t struct_size;
  uint32_t flags; /**< enum instar_copy_flags */
  instar_image* const* sources;
  size_t source_count;
  instar_image* target;
  instar_image* target_backing; /**< not NULL: ranges that equal it are left out (-B) */
  uint64_t min_sparse;          /**< bytes of zeroes that are worth a hole; 0: none (-S 0) */
  uint64_t rate;                /**< bytes a second; 0 = no limit */
  uint32_t workers;             /**< 0 = the engine's choice */
  uint32_t reserved;
  instar_progress progress;
  /* Appended later: an older caller has a smaller struct_size. */
  uint64_t source_offset; /**< bytes of the only source that are left out */
  uint64_t length;        /**< bytes of the only source; 0: to its end */
  /** Gets what was read from the sources, while it is copied; data NULL: nobody does. */
  instar_content content;
  /** With INSTAR_COPY_STREAM: read from where it stands; there are no other sources then. Its last
   * sector is filled up with zeroes. */
  int32_t source_fd;
  uint32_t reserved2;
} instar_copy_job;

INSTAR_PIN_SIZE(instar_copy_job, 128);

/** Hands over what images read as, one behind another, in whole sectors. */
typedef struct instar_read_job {
  uint32_t struct_size;
  uint32_t flags; /**< INSTAR_COPY_SALVAGE, INSTAR_COPY_QUIET */
  instar_image* const* sources;
  size_t source_count;
  uint64_t length;  /**< bytes of the only source; 0: to its end */
  uint32_t workers; /**< 0 = the engine's choice */
  uint32_t reserved;
  instar_progress progress; /**< in bytes, zeroes too */
  instar_content content;
} instar_read_job;

INSTAR_PIN_SIZE(instar_read_job, 80);

/** Makes an image of a format as a sequence of bytes. */
typedef struct instar_stream_job {
  uint32_t struct_size;
  uint32_t flags; /**< INSTAR_COPY_SALVAGE, INSTAR_COPY_QUIET, INSTAR_COPY_COMPRESSED */
  instar_image* const* sources;
  size_t source_count;
  const char* format;
  const char* options; /**< -o text, or NULL */
  instar_content out;
  instar_content content; /**< gets what is read from the sources; data NULL: nobody does */
  instar_progress progress;
  /* Appended later: an older caller has a smaller struct_size. */
  /** Not NULL: stored under this name by a protocol that uploads; `out` gets nothing. */
  const char* filename;
  uint64_t rate; /**< bytes of data a second that are read from the sources; 0 = no limit */
} instar_stream_job;

INSTAR_PIN_SIZE(instar_stream_job, 120);

enum instar_compare_verdict {
  INSTAR_COMPARE_EQUAL = 0,
  INSTAR_COMPARE_CONTENT = 1, /**< differs at offset */
  INSTAR_COMPARE_STATUS = 2,  /**< strict: block status differs at offset */
  INSTAR_COMPARE_SIZE = 3     /**< strict: sizes differ */
};

typedef struct instar_compare_result {
  uint32_t struct_size;
  uint32_t verdict; /**< enum instar_compare_verdict */
  uint64_t offset;
  uint32_t size_differs; /**< 1: sizes differ, the rest being zeroes */
  uint32_t failed_image; /**< after a read or status error: 0 = neither, 1 = a, 2 = b */
} instar_compare_result;

INSTAR_PIN_SIZE(instar_compare_result, 24);

/** Brings what the layers above `base` hold down into it. */
typedef struct instar_commit_job {
  uint32_t struct_size;
  uint32_t flags;       /**< none yet */
  instar_image* source; /**< the top of the chain */
  instar_image* base;   /**< a backing file of its chain */
  instar_image* target; /**< the same file, open for writing and at least as large as source */
  uint64_t rate;        /**< bytes a second; 0 = no limit */
  uint32_t workers;     /**< 0 = the engine's choice */
  uint32_t reserved;
  instar_progress progress; /**< in bytes of data */
} instar_commit_job;

INSTAR_PIN_SIZE(instar_commit_job, 64);

/** Gives an image what it would lose with its backing file: where it shows the old one and the new
 * one has something else, the old content is written into it. */
typedef struct instar_rebase_job {
  uint32_t struct_size;
  uint32_t flags;            /**< INSTAR_COPY_COMPRESSED or 0 */
  instar_image* image;       /**< open for writing with its old backing file */
  instar_image* new_backing; /**< NULL: none */
  instar_image* common;      /**< a backing file of the old chain that is new_backing, or NULL */
  uint32_t workers;          /**< 0 = the engine's choice */
  uint32_t reserved;
  instar_progress progress; /**< in steps of the engine's */
} instar_rebase_job;

INSTAR_PIN_SIZE(instar_rebase_job, 56);

typedef struct instar_engine_ops {
  uint32_t struct_size;
  uint32_t reserved;
  int (*copy)(const instar_host* host, instar_call* call, const instar_copy_job* job);
  /**
   * Compares guest content. -EIO and a message with offset and name after a read error; -ENODATA
   * after an error in block status.
   */
  int (*compare)(const instar_host* host, instar_call* call, instar_image* a, instar_image* b,
                 int strict, const instar_progress* progress, instar_compare_result* result);
  /** Neither flushes the target nor empties the source. */
  int (*commit)(const instar_host* host, instar_call* call, const instar_commit_job* job);
  /** The image's record of its backing file stays as it is. */
  int (*rebase)(const instar_host* host, instar_call* call, const instar_rebase_job* job);
  /** What the images themselves say to be zero is not read. */
  int (*read)(const instar_host* host, instar_call* call, const instar_read_job* job);
  /** -ENOTSUP where the format, or an option, can't be written without going back. */
  int (*stream)(const instar_host* host, instar_call* call, const instar_stream_job* job);
} instar_engine_ops;

INSTAR_PIN_SIZE(instar_engine_ops, 56);

#ifdef __cplusplus
}
#endif
#endif
