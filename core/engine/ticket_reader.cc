// SPDX-License-Identifier: Apache-2.0
#include "core/engine/ticket_reader.hpp"

#include <algorithm>
#include <cstring>

#include "sdk/abi/engine.h"

namespace instar::engine {

Status TicketReader::read(const Ticket& ticket, uint8_t* to) {
  for (const auto& piece : ticket.pieces)
    INSTAR_CHECK(read(piece, ticket.offset, to + (piece.offset - ticket.offset)));
  return {};
}

Status TicketReader::read(const Ticket& ticket, uint64_t offset, uint64_t length, uint8_t* to) {
  const uint64_t end = offset + length;
  for (Segment piece : ticket.pieces) {
    if (piece.offset >= end || piece.offset + piece.length <= offset) continue;
    if (piece.offset < offset) piece.skip(offset - piece.offset);
    piece.length = std::min(piece.length, end - piece.offset);
    INSTAR_CHECK(read(piece, ticket.offset, to + (piece.offset - offset)));
  }
  return {};
}

Status TicketReader::read(const Segment& piece, uint64_t at, uint8_t* to) {
  const auto status = read_piece(piece, to);
  if (status) return {};
  // In qemu-img's words; what more the driver has to say stands below.
  const Error& why = status.error();
  return Error{why.code, cat("error while reading at byte ", at, ": ", errno_text(why.code)),
               why.hint};
}

Status TicketReader::read_piece(const Segment& piece, uint8_t* to) {
  const auto length = static_cast<size_t>(piece.length);
  if (piece.kind == SegmentKind::kZero) {
    std::memset(to, 0, length);
    return {};
  }
  const bool salvages = (flags_ & INSTAR_COPY_SALVAGE) != 0;
  if (piece.file != nullptr && !piece.file->direct()) {
    const int result = piece.file->read(piece.file_offset, to, length);
    if (result == 0) return {};
    if (!salvages) return fail(-result, errno_text(-result));
    return salvage(piece, to);
  }
  auto status = piece.node->read(call_, piece.node_offset, to, length);
  if (status || !salvages) return status;
  return salvage(piece, to);
}

/** Sector by sector; those that can't be read become zeroes. */
Status TicketReader::salvage(const Segment& piece, uint8_t* to) {
  constexpr uint64_t kSector = 512;
  for (uint64_t done = 0; done < piece.length; done += kSector) {
    if (call_.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
    const auto length = static_cast<size_t>(std::min(kSector, piece.length - done));
    const auto status = piece.node->read(call_, piece.node_offset + done, to + done, length);
    if (status) continue;
    std::memset(to + done, 0, length);
    if ((flags_ & INSTAR_COPY_QUIET) != 0) continue;
    const std::lock_guard lock(warn_mutex_);
    call_.warn(sdk::cat("error while reading offset ", piece.node_offset + done, ": ",
                        errno_text(status.error().code)));
  }
  return {};
}

}  // namespace instar::engine
