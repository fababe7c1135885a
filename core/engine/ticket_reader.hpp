// SPDX-License-Identifier: Apache-2.0
/** @file ticket_reader.hpp Reads what tickets are made of, past the node where that may be. */
#pragma once

#include <mutex>

#include "core/engine/plan.hpp"

namespace instar::engine {

/** Messages as qemu-img words them. [any] */
class TicketReader {
 public:
  /** @param flags INSTAR_COPY_SALVAGE: what can't be read becomes zeroes, with a warning each unless
   * INSTAR_COPY_QUIET. */
  TicketReader(const Call& call, uint32_t flags) : call_(call), flags_(flags) {}

  /** All pieces of a ticket: ticket.length bytes. */
  Status read(const Ticket& ticket, uint8_t* to);
  /** What a ticket has of the target's [offset, offset + length). */
  Status read(const Ticket& ticket, uint64_t offset, uint64_t length, uint8_t* to);
  /** One piece, or a part of one. @param at the offset for the message. */
  Status read(const Segment& piece, uint64_t at, uint8_t* to);

 private:
  Status read_piece(const Segment& piece, uint8_t* to);
  Status salvage(const Segment& piece, uint8_t* to);

  const Call& call_;
  const uint32_t flags_;
  std::mutex warn_mutex_;
};

}  // namespace instar::engine
