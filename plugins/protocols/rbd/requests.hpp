// SPDX-License-Identifier: Apache-2.0
/** @file requests.hpp Requests to an open image that a caller waits for, or gives up. */
#pragma once

#include "plugins/protocols/rbd/image.hpp"
#include "plugins/protocols/rbd/waiting.hpp"
#include "sdk/cpp/buffer_pool.hpp"

namespace instar::rbd {

/** Thread-safe. Errors are librbd's. */
class Requests {
 public:
  /** Bytes that a read may have. */
  static constexpr uint32_t kMostRead = 4 << 20;

  explicit Requests(ImagePtr image) : image_(std::move(image)) {}

  const ImagePtr& image() const { return image_; }
  /** No request may follow. */
  ImagePtr take_image() { return std::move(image_); }

  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::IoVec to);
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::IoVec from);
  sdk::Status write_zeroes(const sdk::Call& call, uint64_t offset, uint64_t length);
  sdk::Status discard(const sdk::Call& call, uint64_t offset, uint64_t length);
  sdk::Status flush(const sdk::Call& call);
  /** A function of librbd that blocks. @param function int(rbd_image_t), negative errno: failed; it owns what it uses
   * @param what for the error, before the errno's text */
  template <class Function>
  sdk::Status run_blocking(const sdk::Call& call, std::string_view what, Function function) const {
    const auto done = run_patiently(call, [image = image_, function]() -> sdk::Result<int> {
      return function(image->handle());
    });
    if (!done) return done.error();
    if (*done < 0) return failed(*done, what);
    return {};
  }

 private:
  using Buffers = std::shared_ptr<sdk::BufferPool>;

  template <class Start>
  sdk::Status run(const sdk::Call& call, std::shared_ptr<void> memory, Start start);

  ImagePtr image_;
  Buffers buffers_ = std::make_shared<sdk::BufferPool>(kMostRead);
};

}  // namespace instar::rbd
