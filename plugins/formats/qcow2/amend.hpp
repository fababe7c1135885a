// SPDX-License-Identifier: Apache-2.0
/** @file amend.hpp Changing properties of an image that were chosen when it was created. */
#pragma once

#include <optional>
#include <string>

#include "plugins/formats/qcow2/image.hpp"

namespace instar::qcow2 {

/** What the image is to be like afterwards. */
struct Image::Amendment {
  uint32_t version = 3;
  uint32_t refcount_order = 4;
  bool lazy_refcounts = false;
  bool data_file_raw = false;
  std::optional<std::string> data_file;
  std::optional<std::string> backing_file;
  std::optional<std::string> backing_format;
  uint64_t size = 0;       ///< bytes; 0: as it is
  bool key_slots = false;  ///< change those of the encryption
};

/** Several operations as one. As QEMU does, those to come are taken to be as long as the present
 * one. */
class Image::AmendProgress {
 public:
  AmendProgress(const instar_progress* sink, uint32_t operations)
      : sink_(sink), left_(operations) {}

  void report(uint64_t done, uint64_t total) {
    if (sink_ != nullptr && sink_->report != nullptr)
      sink_->report(sink_->opaque, finished_ + done, finished_ + left_ * total);
    if (done != total) return;
    finished_ += total;
    --left_;
  }

 private:
  const instar_progress* sink_;
  uint64_t left_;          ///< operations, with the present one
  uint64_t finished_ = 0;  ///< work of those before
};

}  // namespace instar::qcow2
