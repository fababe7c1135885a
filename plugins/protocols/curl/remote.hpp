// SPDX-License-Identifier: Apache-2.0
/** @file remote.hpp A file behind a URL: its size, and ranges of it, over as many connections as there
 * are readers. */
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "plugins/protocols/curl/backoff.hpp"
#include "plugins/protocols/curl/settings.hpp"
#include "plugins/protocols/curl/stream.hpp"
#include "plugins/protocols/curl/transfer.hpp"

namespace instar::curl {

/**
 * Thread-safe. Redirects are followed when it is opened, and the place that they lead to is kept. No
 * byte is taken from an answer that is not to the range that was asked for, or of another version of
 * the file.
 */
class Remote {
 public:
  explicit Remote(Settings settings) : settings_(std::move(settings)) {}

  sdk::Status open(const sdk::Call& call);
  const Settings& settings() const { return settings_; }
  uint64_t size() const { return place_.size; }
  /** Inside the size. What was received before a connection broke is not asked for again. */
  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::Bytes to);

 private:
  /** How one request for a range ended. */
  enum class Outcome { kDone, kAgain, kMoved, kNoRanges, kChanged, kFailed };
  struct Attempt {
    Outcome outcome;
    size_t received;
    Reply reply;
  };
  using TransferPtr = std::unique_ptr<Transfer>;

  sdk::Result<Place> find(const sdk::Call& call);
  Reply follow(const sdk::Call& call, Transfer& transfer, Request request, Place& place);
  Reply probe(const sdk::Call& call, Transfer& transfer, Place& place);
  sdk::Status find_again(const sdk::Call& call, const std::string& old_url);
  Attempt try_range(const sdk::Call& call, uint64_t offset, sdk::Bytes to);
  sdk::Status read_stream(const sdk::Call& call, uint64_t offset, sdk::Bytes to);
  Place place() const;
  TransferPtr take();
  void give_back(TransferPtr transfer);

  const Settings settings_;
  std::mutex finding_mutex_;  ///< held while it is found out where the file is now
  mutable std::mutex mutex_;
  Place place_;
  std::vector<TransferPtr> idle_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace instar::curl
