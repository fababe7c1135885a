// SPDX-License-Identifier: Apache-2.0
/** @file rules.hpp When errors are injected: rules, and the state that they change. */
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sdk/cpp/result.hpp"

namespace instar::blkdebug {

/** Kinds of requests, as bits of a mask. */
enum RequestKind : uint32_t {
  kRead = 1u << 0,
  kWrite = 1u << 1,
  kWriteZeroes = 1u << 2,
  kDiscard = 1u << 3,
  kFlush = 1u << 4,
  kBlockStatus = 1u << 5,
};

/** One rule's options as they stand in a section of the file or among the node's options. */
using Section = std::vector<std::pair<std::string, std::string>>;

/** "inject-error" and "set-state" sections, in their order. */
struct Sections {
  std::vector<Section> inject_error;
  std::vector<Section> set_state;
};

/** Whether a section may have the option, and with that value: "Invalid parameter 'X'", "Parameter
 * 'X' expects a number". Names of events and kinds are checked when the rule is added. */
sdk::Status check_inject_error(std::string_view name, const std::string& value);
sdk::Status check_set_state(std::string_view name, const std::string& value);

/** Thread-safe once the rules are added. */
class Rules {
 public:
  /** Adds what the sections say. In QEMU's words: an unknown event, a missing one, a wrong number. */
  sdk::Status add(const Sections& sections);

  /** Something is about to happen; rules for it become active, or change the state. */
  void event(std::string_view name);
  /** The errno that the request fails with, or 0. @param length 0 for a flush */
  int check(RequestKind kind, uint64_t offset, uint64_t length);

 private:
  struct Inject {
    std::string event;
    uint64_t state = 0;  ///< 0: in any
    uint32_t kinds = kRead | kWrite | kWriteZeroes | kDiscard | kFlush;
    int error = 0;
    bool once = false;
    std::optional<uint64_t> offset;  ///< bytes; none: anywhere
    uint64_t number = 0;             ///< that it is known by
  };
  struct SetState {
    std::string event;
    uint64_t state = 0;
    uint64_t next = 0;
  };

  sdk::Status add_inject(const Section& section);
  sdk::Status add_set_state(const Section& section);

  std::mutex mutex_;
  std::atomic<bool> any_active_{false};
  uint64_t state_ = 1;
  uint64_t numbered_ = 0;
  std::vector<Inject> inject_;  ///< the newest one is asked first, of these and the next
  std::vector<SetState> set_state_;
  std::vector<Inject> active_;
};

}  // namespace instar::blkdebug
