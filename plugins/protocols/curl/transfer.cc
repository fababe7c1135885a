// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/curl/transfer.hpp"

#include <algorithm>
#include <charconv>

namespace instar::curl {

namespace {

using sdk::Call;

/** How soon a wish to cancel is seen. */
constexpr int kPatienceMs = 100;
constexpr long kBuffer = 512L << 10;
/** Bytes of an error's description. */
constexpr size_t kMostRefusal = 64 << 10;

bool take_number(std::string_view& text, uint64_t& out) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), out);
  if (parsed.ec != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(parsed.ptr - text.data()));
  return true;
}

bool take(std::string_view& text, std::string_view what) {
  if (!text.starts_with(what)) return false;
  text.remove_prefix(what.size());
  return true;
}

/** The value of the header if the line is that one. */
std::optional<std::string_view> value_of(std::string_view line, std::string_view name) {
  if (line.size() <= name.size() || line[name.size()] != ':') return std::nullopt;
  if (!std::equal(name.begin(), name.end(), line.begin(), [](char a, char b) {
        return std::tolower(static_cast<unsigned char>(a)) ==
               std::tolower(static_cast<unsigned char>(b));
      }))
    return std::nullopt;
  auto value = line.substr(name.size() + 1);
  constexpr std::string_view kSpace = " \t\r\n";
  value.remove_prefix(std::min(value.find_first_not_of(kSpace), value.size()));
  const size_t end = value.find_last_not_of(kSpace);
  return value.substr(0, end == value.npos ? 0 : end + 1);
}

}  // namespace

std::optional<ContentRange> parse_content_range(std::string_view text) {
  ContentRange range;
  if (!take(text, "bytes ") || !take_number(text, range.first) || !take(text, "-") ||
      !take_number(text, range.last) || !take(text, "/") || range.last < range.first)
    return std::nullopt;
  if (text == "*") return range;
  uint64_t total = 0;
  if (!take_number(text, total) || !text.empty() || range.last >= total) return std::nullopt;
  range.total = total;
  return range;
}

Transfer::Transfer(const Settings& settings)
    : settings_(settings), multi_(curl_multi_init()), easy_(curl_easy_init()) {}

Transfer::~Transfer() {
  end();
  curl_easy_cleanup(easy_);
  curl_multi_cleanup(multi_);
}

/** From nothing each time: options of the last request must not stay. */
void Transfer::set_up() {
  const auto set = [this](CURLoption option, auto value) {
    (void)curl_easy_setopt(easy_, option, value);
  };
  const auto set_text = [&](CURLoption option, const std::string& text) {
    if (!text.empty()) set(option, text.c_str());
  };
  curl_easy_reset(easy_);
  const auto seconds = static_cast<long>(settings_.timeout.count());
  set(CURLOPT_URL, request_.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, request_.redirected ? "http,https" : "http,https,ftp,ftps");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_FAILONERROR, settings_.dialect ? 0L : 1L);
  set(CURLOPT_ERRORBUFFER, text_.data());
  set(CURLOPT_SSL_VERIFYPEER, settings_.verify ? 1L : 0L);
  set(CURLOPT_SSL_VERIFYHOST, settings_.verify ? 2L : 0L);
  set(CURLOPT_CONNECTTIMEOUT, seconds);
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(request_.limit.count()));
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(CURLOPT_LOW_SPEED_TIME,
      request_.patience.count() > 0 ? static_cast<long>(request_.patience.count()) : seconds);
  set(CURLOPT_NOBODY, request_.head ? 1L : 0L);
  set(CURLOPT_BUFFERSIZE, kBuffer);
  if (request_.length > 0)
    set_text(CURLOPT_RANGE, sdk::cat(request_.offset, "-", request_.offset + request_.length - 1));
  set_text(CURLOPT_PROXYUSERNAME, settings_.proxy_username);
  set_text(CURLOPT_PROXYPASSWORD, settings_.proxy_password);
  if (request_.private_data) {
    set_text(CURLOPT_USERNAME, settings_.username);
    set_text(CURLOPT_PASSWORD, settings_.password);
    set_text(CURLOPT_COOKIE, settings_.cookie);
  }
  if (settings_.dialect) add_headers();
  set(CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  set(CURLOPT_WRITEDATA, this);
}

/** What the service wants, and what is sent to it. */
void Transfer::add_headers() {
  const auto set = [this](CURLoption option, auto value) {
    (void)curl_easy_setopt(easy_, option, value);
  };
  set(CURLOPT_PATH_AS_IS, 1L);
  if (!request_.method.empty()) set(CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  std::vector<std::string> headers;
  if (request_.private_data) headers = settings_.dialect->headers(request_);
  if (request_.body) {
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body->size()));
    // Without a pointer curl would ask for a body.
    set(CURLOPT_POSTFIELDS,
        request_.body->empty() ? "" : reinterpret_cast<const char*>(request_.body->data()));
    set(CURLOPT_UPLOAD_BUFFERSIZE, kBuffer);
    headers.insert(headers.end(), {"Content-Type:", "Expect:"});  // curl's own are left out
  }
  for (const auto& header : headers)
    headers_ = curl_slist_append(headers_, header.c_str());
  set(CURLOPT_HTTPHEADER, headers_);
}

void Transfer::begin(Request request) {
  end();
  request_ = std::move(request);
  reply_ = {};
  refusal_.clear();
  text_[0] = '\0';
  set_up();
  curl_multi_add_handle(multi_, easy_);
  running_ = true;
}

/** Whether an answer is awaited, and no byte came for too long. curl's own limit of speed is one of its
 * average, which goes on for seconds after the last byte. */
bool Transfer::is_silent() {
  const auto patience = request_.patience.count() > 0 ? request_.patience : settings_.timeout;
  if (patience.count() == 0 || request_.limit.count() > 0 || request_.body) return false;
  const auto now = std::chrono::steady_clock::now();
  curl_off_t asked = 0;
  (void)curl_easy_getinfo(easy_, CURLINFO_PRETRANSFER_TIME_T, &asked);
  if (asked == 0) heard_ = now;  // connecting has a limit of its own
  if (now - heard_ < patience) return false;
  const auto text = sdk::cat("Operation timed out: no byte in ", patience.count(), " seconds");
  text_[text.copy(text_.data(), text_.size() - 1)] = '\0';
  return true;
}

bool Transfer::advance(const Call& call, const std::function<bool()>& enough) {
  heard_ = std::chrono::steady_clock::now();
  while (running_) {
    int active = 0;
    curl_multi_perform(multi_, &active);
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left))
      if (message->msg == CURLMSG_DONE) finish(message->data.result);
    if (!running_ || enough()) break;
    if (call.cancelled()) {
      reply_.cancelled = true;
      finish(CURLE_ABORTED_BY_CALLBACK);
      break;
    }
    if (is_silent()) {
      finish(CURLE_OPERATION_TIMEDOUT);
      break;
    }
    curl_multi_poll(multi_, nullptr, 0, kPatienceMs, nullptr);
  }
  return !running_;
}

void Transfer::finish(CURLcode result) {
  reply_.result = result;
  reply_.error = text_.data();
  reply_.silence = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - heard_);
  (void)curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &reply_.code);
  curl_off_t length = -1;
  if (curl_easy_getinfo(easy_, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length) == CURLE_OK &&
      length >= 0)
    reply_.length = static_cast<uint64_t>(length);
  const char* url = nullptr;
  if (curl_easy_getinfo(easy_, CURLINFO_REDIRECT_URL, &url) == CURLE_OK && url != nullptr)
    reply_.redirect = url;
  if (settings_.dialect && result == CURLE_OK && reply_.code >= 300 && reply_.redirect.empty()) {
    reply_.result = CURLE_HTTP_RETURNED_ERROR;
    reply_.error = settings_.dialect->explain(reply_, refusal_);
  }
  end();
}

/** What is left of the answer is not wanted. */
void Transfer::end() {
  if (running_) curl_multi_remove_handle(multi_, easy_);
  running_ = false;
  curl_slist_free_all(std::exchange(headers_, nullptr));
}

const Reply& Transfer::run(const Call& call, Request request) {
  begin(std::move(request));
  (void)advance(call, [] { return false; });
  return reply_;
}

size_t Transfer::on_header(char* data, size_t size, size_t count, void* self) {
  auto* transfer = static_cast<Transfer*>(self);
  transfer->heard_ = std::chrono::steady_clock::now();
  transfer->take_header({data, size * count});
  return size * count;
}

void Transfer::take_header(std::string_view line) {
  if (line.starts_with("HTTP/")) {  // what an answer before this one said does not count
    reply_ = {};
    return;
  }
  if (const auto value = value_of(line, "Accept-Ranges")) reply_.accepts_ranges = *value == "bytes";
  if (const auto value = value_of(line, "Content-Range"))
    reply_.range = parse_content_range(*value);
  if (const auto value = value_of(line, "ETag"))
    if (!value->starts_with("W/")) reply_.tag = *value;
  if (const auto value = value_of(line, "x-amz-bucket-region")) reply_.region = *value;
}

size_t Transfer::on_body(char* data, size_t size, size_t count, void* opaque) {
  auto* self = static_cast<Transfer*>(opaque);
  self->heard_ = std::chrono::steady_clock::now();
  (void)curl_easy_getinfo(self->easy_, CURLINFO_RESPONSE_CODE, &self->reply_.code);
  if (self->settings_.dialect && self->reply_.code >= 300) {
    const size_t room = kMostRefusal - self->refusal_.size();
    self->refusal_.append(data, std::min(size * count, room));
    return size * count;
  }
  const bool wanted = !self->request_.receive ||
                      self->request_.receive(reinterpret_cast<const uint8_t*>(data), size * count);
  return wanted ? size * count : 0;
}

}  // namespace instar::curl
