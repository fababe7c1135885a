// SPDX-License-Identifier: Apache-2.0
/** @file content_cipher.hpp Guest data on its way through an encryption scheme. */
#pragma once

#include <algorithm>
#include <utility>

#include "buffer_pool.hpp"
#include "encryption.hpp"

namespace instar::sdk {

/** Thread-safe. Offsets and lengths are bytes, multiples of the scheme's sector size. `first` is the
 * offset that the scheme numbers the first sector by. */
class ContentCipher {
 public:
  /** Encrypted and written at once: small enough to stay in the processor's cache. */
  static constexpr size_t kChunk = 256u << 10;

  explicit ContentCipher(Encryption scheme) : scheme_(std::move(scheme)), buffers_(kChunk) {}

  Encryption& scheme() { return scheme_; }
  const Encryption& scheme() const { return scheme_; }

  /** Decrypts [position, position + length) of `to` in place. */
  Status decrypt(uint64_t first, const IoVec& to, uint64_t position, uint64_t length) {
    Status result;
    bool whole_sectors = true;
    to.walk(position, length,
            [&](uint8_t*, uint64_t, size_t n) { whole_sectors &= n % scheme_.sector_size() == 0; });
    if (whole_sectors) {
      to.walk(position, length, [&](uint8_t* piece, uint64_t done, size_t n) {
        if (result) result = scheme_.decrypt(first + done, Bytes(piece, n));
      });
      return result;
    }
    const auto buffer = buffers_.take();
    for (uint64_t done = 0; done < length; done += kChunk) {
      const size_t n = std::min<uint64_t>(length - done, kChunk);
      to.copy_out(position + done, buffer.data(), n);
      INSTAR_CHECK(scheme_.decrypt(first + done, Bytes(buffer.data(), n)));
      to.copy_in(position + done, buffer.data(), n);
    }
    return {};
  }

  /** Hands [position, position + length) of `from`, which stays as it is, encrypted to
   * write(bytes done before, pointer, bytes), piece by piece. */
  template <class Write>
  Status encrypt(uint64_t first, const IoVec& from, uint64_t position, uint64_t length,
                 Write write) {
    const auto buffer = buffers_.take();
    for (uint64_t done = 0; done < length; done += kChunk) {
      const size_t n = std::min<uint64_t>(length - done, kChunk);
      from.copy_out(position + done, buffer.data(), n);
      INSTAR_CHECK(scheme_.encrypt(first + done, Bytes(buffer.data(), n)));
      INSTAR_CHECK(write(done, buffer.data(), n));
    }
    return {};
  }

 private:
  Encryption scheme_;
  BufferPool buffers_;
};

}  // namespace instar::sdk
