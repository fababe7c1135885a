// SPDX-License-Identifier: Apache-2.0
/** @file image.hpp librados' and librbd's handles: a pool of a cluster, an open image in it. */
#pragma once

#include <memory>

#include "plugins/protocols/rbd/settings.hpp"

namespace instar::rbd {

/** Error of a librbd call: "what: errno's text". @param result negative errno */
template <class... What>
sdk::Error failed(int64_t result, const What&... what) {
  return sdk::fail(static_cast<int>(-result), what..., ": ",
                   sdk::errno_text(static_cast<int>(result)));
}

/** A connection to a cluster, and in it the namespace of a pool. */
class Pool {
 public:
  /** Blocks; in vain for as long as the configuration says. */
  static sdk::Result<std::shared_ptr<Pool>> connect(const Settings& settings);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  rados_ioctx_t io() const { return io_; }

 private:
  Pool() = default;
  sdk::Status configure(const Settings& settings);
  sdk::Status set(const std::string& option, const std::string& value);
  std::string get(const char* option) const;

  rados_t cluster_ = nullptr;
  rados_ioctx_t io_ = nullptr;
};

/** Thread-safe. Functions block but for those that take a Call. */
class Image {
 public:
  static sdk::Result<std::shared_ptr<Image>> open(std::shared_ptr<Pool> pool, const Name& name,
                                                  bool writable);
  ~Image();
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  rbd_image_t handle() const { return handle_; }
  /** As it is seen: without an encryption header that was loaded. */
  sdk::Result<uint64_t> size() const;
  /** Bytes of an object. */
  sdk::Result<uint64_t> object_size() const;
  /** Object map and fast-diff are there and valid: extents by whole objects cost nothing. */
  bool has_fast_diff() const;
  sdk::Status resize(uint64_t size);
  /** What is read and written from now on is what was encrypted. */
  sdk::Status load(const Encryption& encryption);
  /** Makes an encrypted image of one that is empty; it is loaded afterwards. */
  sdk::Status format(const Encryption& encryption);
  /** "luks", "luks2", or "" for what begins like neither. */
  std::string encryption_format() const;

 private:
  explicit Image(std::shared_ptr<Pool> pool) : pool_(std::move(pool)) {}
  template <class Function>
  sdk::Status encrypt(const Encryption& encryption, Function what, std::string_view name);

  const std::shared_ptr<Pool> pool_;
  rbd_image_t handle_ = nullptr;
  uint64_t header_ = 0;  ///< bytes of the encryption that is loaded
};

using ImagePtr = std::shared_ptr<Image>;

/** Never closes it: requests are stuck in it. Thread-safe. */
void abandon(ImagePtr image);

}  // namespace instar::rbd
