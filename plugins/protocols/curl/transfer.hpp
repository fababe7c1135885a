// SPDX-License-Identifier: Apache-2.0
/** @file transfer.hpp One request at a time over one connection, which stays open for the next. */
#pragma once

#include <curl/curl.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "plugins/protocols/curl/settings.hpp"
#include "sdk/cpp/bytes.hpp"
#include "sdk/cpp/call.hpp"

namespace instar::curl {

/** "Content-Range: bytes FIRST-LAST/TOTAL". */
struct ContentRange {
  uint64_t first = 0, last = 0;
  std::optional<uint64_t> total = {};  ///< none: the server doesn't know
};

struct Request {
  std::string url;
  bool head = false;         ///< no body
  bool redirected = false;   ///< a server has named the URL: only http and https will do
  bool private_data = true;  ///< credentials and cookies go with it
  uint64_t offset = 0;
  uint64_t length = 0;                       ///< 0: no range is asked for
  std::chrono::milliseconds limit{0};        ///< for all of it; 0: none
  std::chrono::seconds patience{0};          ///< without a byte; 0: what the settings say
  std::string method = {};                   ///< "": as `head` says
  std::optional<sdk::ConstBytes> body = {};  ///< what is sent; stays until it is over
  /** Takes a part of the body; false: no more is wanted. */
  std::function<bool(const uint8_t* data, size_t length)> receive = {};
};

/** What came back. */
struct Reply {
  CURLcode result = CURLE_OK;
  std::string error;  ///< in curl's words, as a message shows it
  long code = 0;      ///< of HTTP or FTP
  bool cancelled = false;
  bool accepts_ranges = false;
  std::optional<ContentRange> range;
  std::optional<uint64_t> length;        ///< of the body
  std::string tag;                       ///< ETag, if it is a strong one
  std::string redirect;                  ///< where the file is said to be instead
  std::string region;                    ///< where a bucket of S3 is instead
  std::chrono::milliseconds silence{0};  ///< before it was over
};

/** "bytes 0-99/1000"; none for anything else. */
std::optional<ContentRange> parse_content_range(std::string_view text);

/** What a service says beyond plain HTTP. Thread-safe. */
class Dialect {
 public:
  virtual ~Dialect() = default;
  /** Headers of one attempt, each "Name: value". */
  virtual std::vector<std::string> headers(const Request& request) const = 0;
  /** An answer that is an error, and its body: how messages show it. */
  virtual std::string explain(const Reply& reply, std::string_view body) const = 0;
};

class Transfer {
 public:
  explicit Transfer(const Settings& settings);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  /** Begins, carries on until `enough` says so or it is over, ends. */
  void begin(Request request);
  /** True: over, and reply() is complete. */
  bool advance(const sdk::Call& call, const std::function<bool()>& enough);
  void end();
  /** All of the above. */
  const Reply& run(const sdk::Call& call, Request request);
  const Reply& reply() const { return reply_; }

 private:
  void set_up();
  void add_headers();
  void finish(CURLcode result);
  bool is_silent();
  static size_t on_header(char* data, size_t size, size_t count, void* self);
  static size_t on_body(char* data, size_t size, size_t count, void* self);
  void take_header(std::string_view line);

  const Settings& settings_;
  CURLM* multi_;
  CURL* easy_;
  bool running_ = false;
  std::chrono::steady_clock::time_point heard_;  ///< when the last byte came
  Request request_;
  Reply reply_;
  std::string refusal_;  ///< the body of an answer that is an error
  curl_slist* headers_ = nullptr;
  std::array<char, CURL_ERROR_SIZE> text_{};
};

}  // namespace instar::curl
