// SPDX-License-Identifier: Apache-2.0
/** @file one_piece.hpp Requests of several pieces for who can handle one at a time: through a buffer. */
#pragma once

#include <vector>

#include "bytes.hpp"
#include "result.hpp"

namespace instar::sdk {

/** Reads the first `length` bytes of the pieces by `Status read(Bytes)`. */
template <class Read>
Status in_one_piece(IoVec to, uint64_t length, Read read) {
  if (to.count() == 1) return read(Bytes(static_cast<uint8_t*>(to.data()->base), length));
  std::vector<uint8_t> buffer(length);
  INSTAR_CHECK(read(Bytes(buffer)));
  to.copy_in(0, buffer.data(), buffer.size());
  return {};
}

/** Writes all the pieces by `Status write(ConstBytes)`. */
template <class Write>
Status in_one_piece(IoVec from, Write write) {
  if (from.count() == 1)
    return write(ConstBytes(static_cast<const uint8_t*>(from.data()->base), from.data()->len));
  std::vector<uint8_t> buffer(from.length());
  from.copy_out(0, buffer.data(), buffer.size());
  return write(ConstBytes(buffer));
}

}  // namespace instar::sdk
