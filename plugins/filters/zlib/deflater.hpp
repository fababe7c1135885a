// SPDX-License-Identifier: Apache-2.0
/**
 * @file deflater.hpp
 * Compressors that write deflate streams (RFC 1951, in RFC 1950 or RFC 1952 framing). No stream
 * refers back further than the window it was made for: a reader with that window can inflate it.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "sdk/cpp/codec.hpp"

namespace instar::zlib {

enum class Framing { kRaw, kZlib, kGzip };

constexpr int kMinWindowBits = 9;
constexpr int kMaxWindowBits = 15;
constexpr int kMaxLevel = 12;

/** One compressor, used by one thread at a time and reused from block to block. */
class Deflater {
 public:
  virtual ~Deflater() = default;
  /** Bytes of the stream, or 0 when it does not fit into `out`. Both are at most 4 GiB - 1. */
  virtual size_t compress(sdk::ConstBytes in, sdk::Bytes out) = 0;
};

/** ISA-L: many times faster than zlib, and some 5 % larger than zlib's default level. */
std::unique_ptr<Deflater> make_fast_deflater(Framing framing, int window_bits);

/** libdeflate, levels 1 to 12: denser and faster than zlib. Its window is always 32 KiB. */
std::unique_ptr<Deflater> make_wide_deflater(Framing framing, int level);

/**
 * Our own, for windows that libdeflate does not have: levels 1 to 12, denser than zlib and more than
 * twice as fast.
 */
std::unique_ptr<Deflater> make_narrow_deflater(Framing framing, int level, int window_bits);

}  // namespace instar::zlib
