/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file types.h
 * The vocabulary of the instar plugin ABI: versions, results, calls, strings, buffers, options.
 *
 * Rules for the whole ABI (major version 1):
 *  - A table of functions begins with `struct_size`, the size its maker was compiled with. Tables
 * only ever grow at the end. A reader copies min(struct_size, own size) bytes into a zero-filled
 * copy: an absent slot is NULL.
 *  - Abilities beyond a kind's own table are separate interfaces, asked for by a versioned id
 * ("instar.snapshot/1"). An id's meaning never changes; a changed meaning gets a new number. Ids
 * that begin "instar.draft." are experimental and are refused by a host that was not told to allow
 * them.
 *  - No C++ type, exception, RTTI, FILE * or memory ownership crosses. Who allocates, frees. Text
 * is UTF-8 with an explicit length; text that the callee returns goes into a sink that the caller
 * passes.
 *  - Functions return 0 (or a count) on success and a negative errno on failure, after describing
 * the failure through instar_call::fail.
 *  - Every call carries a thread tag: [any] from any thread at any time, also concurrently; [node]
 * as the node's thread model says; [main] only from the thread that loaded the plugin.
 */
#ifndef INSTAR_ABI_TYPES_H
#define INSTAR_ABI_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define INSTAR_STATIC_ASSERT(condition, text) static_assert(condition, text)
#else
#define INSTAR_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#endif

/** Major version: stands in the entry symbol's name. A change breaks every plugin, so it does not
 * happen in 1.x. */
#define INSTAR_ABI_MAJOR 1
/** Minor version: grows with each appended slot or new interface. */
#define INSTAR_ABI_MINOR 0

#if defined(__GNUC__)
#define INSTAR_EXPORT __attribute__((visibility("default")))
#else
#define INSTAR_EXPORT
#endif

/** Pins the size of a struct on 64-bit targets, the only ones that the ABI is recorded for. */
#if UINTPTR_MAX == UINT64_MAX
#define INSTAR_PIN_SIZE(type, bytes) \
  INSTAR_STATIC_ASSERT(sizeof(type) == (bytes), #type " changed its size")
#define INSTAR_PIN_OFFSET(type, member, bytes) \
  INSTAR_STATIC_ASSERT(offsetof(type, member) == (bytes), #type "." #member " moved")
#else
#define INSTAR_PIN_SIZE(type, bytes) INSTAR_STATIC_ASSERT(sizeof(type) > 0, #type)
#define INSTAR_PIN_OFFSET(type, member, bytes) INSTAR_STATIC_ASSERT(sizeof(type) > 0, #type)
#endif

/** How a driver implements an operation. */
enum instar_ability {
  INSTAR_ABILITY_NONE = 0,     /**< not there; the host emulates it or refuses */
  INSTAR_ABILITY_EMULATED = 1, /**< works, no cheaper than reading and writing */
  INSTAR_ABILITY_NATIVE = 2    /**< works and is cheap */
};

/** Which calls into one node may overlap. The host locks as needed. */
enum instar_thread_model {
  INSTAR_THREADS_PER_NODE = 0, /**< one call at a time into one node (default) */
  INSTAR_THREADS_PARALLEL = 1, /**< any calls at once, from any threads */
  INSTAR_THREADS_GLOBAL = 2    /**< one call at a time into the whole plugin */
};

/** A piece of memory for scatter-gather I/O. Layout equals POSIX struct iovec. */
typedef struct instar_iovec {
  void* base;
  size_t len; /**< bytes */
} instar_iovec;

INSTAR_PIN_SIZE(instar_iovec, 16);

/** Receives text or bytes from a callee. The callee may call write several times; a negative result
 * means: stop. */
typedef struct instar_sink {
  void* opaque;
  int (*write)(void* opaque, const char* data, size_t len);
} instar_sink;

INSTAR_PIN_SIZE(instar_sink, 16);

/**
 * One call from the host into a plugin, or the reverse: carries the error back and the wish to
 * cancel forward. Owned by the caller and valid during the call only. A callee passes it on to the
 * calls that it makes itself.
 */
typedef struct instar_call instar_call;
struct instar_call {
  uint32_t struct_size;
  uint32_t reserved;
  void* opaque; /**< the caller's own */
  /**
   * Describes the failure that the callee is about to return; the last description wins.
   * @param err a positive errno; @param message one line in QEMU's wording without a trailing
   * newline;
   * @param hint further lines or NULL. Copied before the function returns. [any]
   */
  void (*fail)(instar_call* call, int err, const char* message, size_t message_len,
               const char* hint, size_t hint_len);
  /** A message to the user that is not a failure, one line; what follows a newline in it is printed as
   * it is. May be NULL. [any] */
  void (*warn)(instar_call* call, const char* message, size_t len);
  /** Becomes non-zero when the caller wants the callee to end with -ECANCELED. May be NULL. Read
   * atomically. */
  const int32_t* cancelled;
};

INSTAR_PIN_SIZE(instar_call, 40);
INSTAR_PIN_OFFSET(instar_call, fail, 16);
INSTAR_PIN_OFFSET(instar_call, cancelled, 32);

/** Type of an option's value, as the manifest declares it. */
enum instar_option_type {
  INSTAR_OPTION_STRING = 0,
  INSTAR_OPTION_BOOL = 1,   /**< number is 0 or 1 */
  INSTAR_OPTION_NUMBER = 2, /**< number holds it, two's complement where negative */
  INSTAR_OPTION_SIZE = 3    /**< number holds bytes */
};

/** One option, checked by the host against the manifest's table before the plugin sees it. */
typedef struct instar_option {
  const char* name; /**< NUL-terminated; nested options are dotted ("encrypt.key-secret") */
  const char* text; /**< NUL-terminated; the value as text for every type */
  uint64_t number;  /**< the value of a bool, number or size */
  uint32_t type;    /**< enum instar_option_type */
  uint32_t reserved;
} instar_option;

INSTAR_PIN_SIZE(instar_option, 32);
INSTAR_PIN_OFFSET(instar_option, number, 16);

/** Options of one call. Absent ones were not given and have no default in the manifest. */
typedef struct instar_options {
  const instar_option* items;
  size_t count;
} instar_options;

INSTAR_PIN_SIZE(instar_options, 16);

/** Progress of a long operation: done of total, in bytes or in units of the callee. [any] */
typedef struct instar_progress {
  void* opaque;
  void (*report)(void* opaque, uint64_t done, uint64_t total);
} instar_progress;

INSTAR_PIN_SIZE(instar_progress, 16);

#ifdef __cplusplus
}
#endif
#endif
