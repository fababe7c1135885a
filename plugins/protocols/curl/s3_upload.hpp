// SPDX-License-Identifier: Apache-2.0
/** @file s3_upload.hpp An object that is stored in parts ("Multipart upload" of the S3 API): nobody sees it
 * before all of them are there. */
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "plugins/protocols/curl/s3_store.hpp"
#include "plugins/protocols/curl/transfer.hpp"
#include "sdk/abi/content.h"

namespace instar::curl {

constexpr uint32_t kMostParts = 10'000;

/** Bytes of a part, so that an object of about `size` bytes has few enough. @param wanted 0: as it comes
 * out */
sdk::Result<uint64_t> choose_part_size(uint64_t size, uint64_t wanted);

/** What completes an upload. @param tags of the parts, in order. */
std::string completion_of(const std::vector<std::string>& tags);

/**
 * begin, then all of the content into receiver(), then finish. What is not finished is taken back at the
 * end of its life. Several parts are under way at a time, each on a connection of its own; memory is that
 * of the parts under way and of one that is being filled.
 */
class S3Upload {
 public:
  /** All outlive this. @param part_size as choose_part_size gives it. */
  S3Upload(const sdk::Call& call, const Settings& settings, uint64_t part_size);
  ~S3Upload();
  S3Upload(const S3Upload&) = delete;
  S3Upload& operator=(const S3Upload&) = delete;

  sdk::Status begin();
  instar_content receiver() { return {this, &take_data, &take_zeroes}; }
  sdk::Status finish();
  /** Why a part could not be stored, if that is so. */
  sdk::Status status();

 private:
  struct Part {
    uint32_t number = 0;  ///< from 1 on
    std::vector<uint8_t> bytes;
  };
  /** What came back, and its body. */
  struct Answer {
    Reply reply;
    std::string body;
  };

  static int take_data(void* opaque, const void* bytes, size_t len) noexcept;
  static int take_zeroes(void* opaque, uint64_t len) noexcept;
  template <class Append>
  int take(uint64_t len, Append append) noexcept;
  sdk::Status pass_on();
  void work();
  void store(Transfer& transfer, const Part& part);
  Answer send(const sdk::Call& call, Transfer& transfer, const Request& request);
  bool attempt(const sdk::Call& call, Transfer& transfer, const Request& request, Answer& answer);
  Request request(std::string method, const std::string& query) const;
  void fail_with(sdk::Error error);
  void end_workers();
  void take_back();

  const sdk::Call& call_;
  const Settings& settings_;
  const uint64_t part_size_;
  const size_t worker_count_;
  std::string id_;  ///< "": nothing was begun, or all is finished
  Part filling_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Part> waiting_;
  std::vector<std::vector<uint8_t>> spare_;
  std::vector<std::string> tags_;
  size_t under_way_ = 0;  ///< parts, those that wait too
  bool no_more_ = false;
  std::optional<sdk::Error> error_;
  std::atomic<bool> failed_{false};
  std::atomic<bool> deaf_{false};  ///< the server let the last request wait in vain
  std::vector<std::thread> workers_;
};

}  // namespace instar::curl
