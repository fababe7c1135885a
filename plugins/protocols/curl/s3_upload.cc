// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/curl/s3_upload.hpp"

#include <algorithm>

#include "plugins/protocols/curl/backoff.hpp"
#include "plugins/protocols/curl/s3_reply.hpp"
#include "plugins/protocols/curl/sigv4.hpp"

namespace instar::curl {

using sdk::Call;
using sdk::cat;
using sdk::ConstBytes;
using sdk::Error;
using sdk::fail;
using sdk::Result;
using sdk::Status;

namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kUsualPart = 8 * kMiB;
/** What is left of kMostParts is for a format's tables. */
constexpr uint64_t kPlannedParts = 8000;
/** Of all parts under way. */
constexpr uint64_t kMemory = 256 * kMiB;
constexpr int kMostAttempts = 8;
constexpr size_t kLongestAnswer = 1 << 20;
/** The server puts the parts together: that may take its time. */
constexpr std::chrono::seconds kCompletionPatience{300};
/** Taking back what the user does not want any more, or from who said nothing for long. */
constexpr std::chrono::milliseconds kHurry{800};

ConstBytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

Error upload_error(const Reply& reply) {
  if (reply.cancelled) return fail(ECANCELED, sdk::errno_text(ECANCELED));
  return fail(EIO, "Could not store the object: ", reason_of(reply));
}

}  // namespace

Result<uint64_t> choose_part_size(uint64_t size, uint64_t wanted) {
  constexpr uint64_t kLargest = uint64_t{5} << 30;
  const uint64_t least = sdk::round_up(size / kPlannedParts + 1, kMiB);
  if (wanted != 0 && wanted < least)
    return fail(EINVAL, "With parts of ", wanted, " bytes there would be more than ", kMostParts);
  if (least > kLargest) return fail(EFBIG, "The image is too large for an object");
  return std::max(wanted != 0 ? wanted : kUsualPart, least);
}

std::string completion_of(const std::vector<std::string>& tags) {
  std::string xml = "<CompleteMultipartUpload>";
  for (size_t i = 0; i < tags.size(); ++i) {
    xml += cat("<Part><PartNumber>", i + 1, "</PartNumber><ETag>");
    for (const char c : tags[i])
      xml += c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : std::string(1, c);
    xml += "</ETag></Part>";
  }
  return xml + "</CompleteMultipartUpload>";
}

S3Upload::S3Upload(const Call& call, const Settings& settings, uint64_t part_size)
    : call_(call),
      settings_(settings),
      part_size_(part_size),
      worker_count_(std::clamp<uint64_t>(kMemory / part_size, 2, 8)) {}

S3Upload::~S3Upload() {
  failed_ = true;
  end_workers();
  if (!id_.empty()) take_back();
}

Request S3Upload::request(std::string method, const std::string& query) const {
  Request request;
  request.method = std::move(method);
  request.url = cat(settings_.url, "?", query);
  return request;
}

Status S3Upload::begin() {
  Transfer transfer(settings_);
  Request first = request("POST", "uploads=");
  first.body = ConstBytes();
  first.limit = settings_.timeout;
  const Answer answer = send(call_, transfer, first);
  if (answer.reply.result != CURLE_OK) return upload_error(answer.reply);
  id_ = xml_text(answer.body, "UploadId").value_or("");
  if (id_.empty()) return fail(EIO, "The server does not answer as one of S3 does");
  for (size_t i = 0; i < worker_count_; ++i)
    workers_.emplace_back(&S3Upload::work, this);
  return {};
}

/** One try. False: it may well succeed a little later. */
bool S3Upload::attempt(const Call& call, Transfer& transfer, const Request& request,
                       Answer& answer) {
  Request now = request;
  answer = {};
  now.receive = [&](const uint8_t* data, size_t length) {
    if (length > kLongestAnswer - answer.body.size()) return false;
    answer.body.append(reinterpret_cast<const char*>(data), length);
    return true;
  };
  transfer.begin(std::move(now));
  const bool over = transfer.advance(call, [this] { return failed_.load(); });
  transfer.end();
  answer.reply = transfer.reply();
  if (!over) answer.reply.cancelled = true;
  Reply& reply = answer.reply;
  if (reply.cancelled) return true;  // which says nothing of the server
  deaf_ = reply.result == CURLE_OPERATION_TIMEDOUT;
  if (reply.result == CURLE_OK && xml_text(answer.body, "Code")) {
    // An answer that began well may end as an error.
    reply.result = CURLE_HTTP_RETURNED_ERROR;
    reply.code = 500;
    reply.error = describe_refusal(reply.code, answer.body);
  }
  return reply.result == CURLE_OK || !is_transient(reply);
}

S3Upload::Answer S3Upload::send(const Call& call, Transfer& transfer, const Request& request) {
  Backoff backoff(settings_.timeout);
  Answer answer;
  for (int tries = 1; !attempt(call, transfer, request, answer); ++tries) {
    if (answer.reply.code != 0) backoff.answered();
    if (tries == kMostAttempts || !backoff.again(call)) break;
  }
  if (call.cancelled()) answer.reply.cancelled = true;
  return answer;
}

void S3Upload::work() {
  Transfer transfer(settings_);
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return !waiting_.empty() || no_more_ || failed_; });
    if (failed_ || waiting_.empty()) return;
    Part part = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    try {
      store(transfer, part);
    } catch (const std::bad_alloc&) {
      fail_with(fail(ENOMEM, sdk::errno_text(ENOMEM)));
    }
    part.bytes.clear();
    lock.lock();
    --under_way_;
    spare_.push_back(std::move(part.bytes));
    changed_.notify_all();
  }
}

void S3Upload::store(Transfer& transfer, const Part& part) {
  Request put = request("PUT", cat("partNumber=", part.number, "&uploadId=", percent_encoded(id_)));
  put.body = part.bytes;
  const Answer answer = send(call_, transfer, put);
  const Reply& reply = answer.reply;
  if (reply.result != CURLE_OK || reply.cancelled) return fail_with(upload_error(reply));
  if (reply.tag.empty()) return fail_with(fail(EIO, "The server gave no ETag for a part"));
  const std::lock_guard lock(mutex_);
  if (tags_.size() < part.number) tags_.resize(part.number);
  tags_[part.number - 1] = reply.tag;
}

/** The first one counts. */
void S3Upload::fail_with(Error error) {
  const std::lock_guard lock(mutex_);
  if (!error_) error_ = std::move(error);
  failed_ = true;
  changed_.notify_all();
}

Status S3Upload::status() {
  const std::lock_guard lock(mutex_);
  if (error_) return *error_;
  return {};
}

/** The part is full: somebody stores it as soon as there is room. */
Status S3Upload::pass_on() {
  if (filling_.number == kMostParts - 1)
    return fail(EFBIG, "The object would have more than ", kMostParts, " parts");
  std::unique_lock lock(mutex_);
  while (under_way_ >= worker_count_ && !failed_) {
    if (call_.cancelled()) return fail(ECANCELED, sdk::errno_text(ECANCELED));
    changed_.wait_for(lock, std::chrono::milliseconds(100));
  }
  if (error_) return *error_;
  waiting_.push_back({++filling_.number, std::move(filling_.bytes)});
  ++under_way_;
  filling_.bytes.clear();
  if (!spare_.empty()) {
    filling_.bytes = std::move(spare_.back());
    spare_.pop_back();
  }
  changed_.notify_all();
  return {};
}

template <class Append>
int S3Upload::take(uint64_t len, Append append) noexcept {
  try {
    while (len > 0) {
      filling_.bytes.reserve(part_size_);
      const uint64_t n = std::min(len, part_size_ - filling_.bytes.size());
      append(static_cast<size_t>(n));
      len -= n;
      if (filling_.bytes.size() < part_size_) break;
      if (Status passed = pass_on(); !passed) {
        const int code = passed.error().code;
        fail_with(std::move(passed).error());
        return -code;
      }
    }
    return 0;
  } catch (const std::bad_alloc&) {
    fail_with(fail(ENOMEM, sdk::errno_text(ENOMEM)));
    return -ENOMEM;
  }
}

int S3Upload::take_data(void* opaque, const void* bytes, size_t len) noexcept {
  auto& self = *static_cast<S3Upload*>(opaque);
  const auto* data = static_cast<const uint8_t*>(bytes);
  return self.take(len, [&](size_t n) {
    self.filling_.bytes.insert(self.filling_.bytes.end(), data, data + n);
    data += n;
  });
}

int S3Upload::take_zeroes(void* opaque, uint64_t len) noexcept {
  auto& self = *static_cast<S3Upload*>(opaque);
  return self.take(len,
                   [&](size_t n) { self.filling_.bytes.resize(self.filling_.bytes.size() + n); });
}

Status S3Upload::finish() {
  // An object has a part, be it empty.
  if (!filling_.bytes.empty() || filling_.number == 0) INSTAR_CHECK(pass_on());
  end_workers();
  INSTAR_CHECK(status());
  const std::string body = completion_of(tags_);
  Request last = request("POST", cat("uploadId=", percent_encoded(id_)));
  last.body = bytes_of(body);
  last.patience = std::max(settings_.timeout, kCompletionPatience);
  Transfer transfer(settings_);
  const Answer answer = send(call_, transfer, last);
  if (answer.reply.result != CURLE_OK || answer.reply.cancelled) return upload_error(answer.reply);
  if (answer.body.find("CompleteMultipartUploadResult") == std::string::npos)
    return fail(EIO, "The server does not say that the object is complete");
  id_.clear();
  return {};
}

/** When all has been stored, or at once when it is of no use any more. */
void S3Upload::end_workers() {
  {
    const std::lock_guard lock(mutex_);
    no_more_ = true;
    changed_.notify_all();
  }
  for (auto& worker : workers_)
    worker.join();
  workers_.clear();
}

/** As good as it goes: what can't be reached now, the bucket's own rules clear up. */
void S3Upload::take_back() {
  failed_ = false;
  Transfer transfer(settings_);
  Request request = this->request("DELETE", cat("uploadId=", percent_encoded(id_)));
  const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(settings_.timeout);
  request.limit = call_.cancelled() || deaf_ ? kHurry : patience;
  Answer answer;
  (void)attempt(Call(nullptr), transfer, request, answer);
}

}  // namespace instar::curl
