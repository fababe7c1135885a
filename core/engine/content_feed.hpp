// SPDX-License-Identifier: Apache-2.0
/** @file content_feed.hpp Hands what many workers read to one receiver, in order. */
#pragma once

#include <cstdint>

#include "core/base/result.hpp"
#include "core/engine/plan.hpp"
#include "core/engine/pool.hpp"
#include "sdk/abi/content.h"

namespace instar::engine {

/** A worker whose ticket came early waits with its buffer: that many are what is held at most. */
class ContentFeed {
 public:
  /** @param receiver data NULL: nobody receives. */
  explicit ContentFeed(const instar_content& receiver) : receiver_(receiver), stile_(true) {}

  bool wanted() const { return receiver_.data != nullptr; }
  /**
   * A ticket, each exactly once: its bytes, or nullptr for zeroes. What lies between two tickets reads
   * as zeroes. [any]
   */
  Status put(const Ticket& ticket, const uint8_t* bytes);
  /** The same where only the lengths are known. One thread. */
  Status put_status(const Ticket& ticket);
  /** Zeroes up to the end. After all tickets. */
  Status finish(uint64_t total) { return fill_up(total); }
  /** Wakes who waits for tickets that will not come. */
  void stop() { stile_.stop(); }

 private:
  Status fill_up(uint64_t offset);
  Status check(int result) const;

  const instar_content receiver_;
  Turnstile stile_;
  uint64_t position_ = 0;  ///< of whose turn it is
};

}  // namespace instar::engine
