// SPDX-License-Identifier: Apache-2.0
#include "core/engine/content_feed.hpp"

namespace instar::engine {

Status ContentFeed::check(int result) const {
  if (result >= 0) return {};
  return fail(-result, errno_text(-result));
}

Status ContentFeed::fill_up(uint64_t offset) {
  if (!wanted() || offset <= position_) return {};
  INSTAR_CHECK(check(receiver_.zeroes(receiver_.opaque, offset - position_)));
  position_ = offset;
  return {};
}

Status ContentFeed::put(const Ticket& ticket, const uint8_t* bytes) {
  if (!wanted()) return {};
  Turn turn(stile_, ticket.number);
  if (!turn.wait()) return fail(ECANCELED, errno_text(ECANCELED));
  if (bytes == nullptr) return fill_up(ticket.offset + ticket.length);
  INSTAR_CHECK(fill_up(ticket.offset));
  INSTAR_CHECK(check(receiver_.data(receiver_.opaque, bytes, static_cast<size_t>(ticket.length))));
  position_ += ticket.length;
  return {};
}

Status ContentFeed::put_status(const Ticket& ticket) {
  for (const auto& piece : ticket.pieces) {
    if (piece.kind == SegmentKind::kZero) continue;
    INSTAR_CHECK(fill_up(piece.offset));
    INSTAR_CHECK(
        check(receiver_.data(receiver_.opaque, nullptr, static_cast<size_t>(piece.length))));
    position_ += piece.length;
  }
  return fill_up(ticket.offset + ticket.length);
}

}  // namespace instar::engine
