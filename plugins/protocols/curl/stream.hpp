// SPDX-License-Identifier: Apache-2.0
/** @file stream.hpp A file whose server knows no ranges: read once from its beginning to its end. */
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "plugins/protocols/curl/settings.hpp"
#include "plugins/protocols/curl/transfer.hpp"

namespace instar::curl {

/** Where a file was found, and which version of it. */
struct Place {
  std::string url;
  std::string tag;  ///< "": the server has none
  uint64_t size = 0;
  bool ranges = true;
  bool trusted = true;  ///< of the same origin as the user's URL: credentials may go there
};

/**
 * Thread-safe. A window of what came last is kept, so that readers need not come in order; what lies
 * before the window is gone.
 */
class Stream {
 public:
  static constexpr uint64_t kWindow = 64 << 20;

  Stream(const Settings& settings, const Place& place);
  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::Bytes to);

 private:
  sdk::Status fill(const sdk::Call& call, uint64_t until);
  void begin();
  bool receive(const uint8_t* data, size_t length);
  uint64_t window_begin() const { return end_ > window_.size() ? end_ - window_.size() : 0; }

  const Settings& settings_;
  const Place place_;
  std::timed_mutex mutex_;
  Transfer transfer_;
  bool running_ = false;
  bool wrong_ = false;           ///< the answer is not this file
  uint64_t position_ = 0;        ///< of the answer that is being received
  uint64_t end_ = 0;             ///< of what was ever received
  std::vector<uint8_t> window_;  ///< byte N of the file stands at N modulo its size
};

}  // namespace instar::curl
