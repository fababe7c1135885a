// SPDX-License-Identifier: Apache-2.0
/** @file inflater.hpp Inflates one deflate stream into one buffer. */
#pragma once

#include <libdeflate.h>
#include <zlib.h>

#include <memory>

#include "plugins/filters/zlib/deflater.hpp"
#include "sdk/cpp/codec.hpp"

namespace instar::zlib {

/**
 * libdeflate inflates whole streams twice as fast as zlib. What it can't do, to stop when the
 * output is full, zlib does. Used by one thread at a time.
 */
class Inflater {
 public:
  /** nullptr when out of memory. */
  static std::unique_ptr<Inflater> open(Framing framing);
  ~Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  struct Output {
    size_t length;
    bool ended; /**< false: `out` was full before the stream ended */
  };
  /** Bytes behind the stream are ignored. EIO for a damaged or truncated stream. */
  sdk::Result<Output> inflate(sdk::ConstBytes in, sdk::Bytes out);

 private:
  explicit Inflater(Framing framing) : framing_(framing) {}
  sdk::Result<Output> inflate_slowly(sdk::ConstBytes in, sdk::Bytes out);

  Framing framing_;
  libdeflate_decompressor* whole_ = nullptr;
  z_stream stream_{};
  bool stream_open_ = false;
};

}  // namespace instar::zlib
