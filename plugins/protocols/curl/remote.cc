// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/curl/remote.hpp"

#include <algorithm>
#include <cstring>

namespace instar::curl {

namespace {

using sdk::Bytes;
using sdk::Call;
using sdk::errno_text;
using sdk::Error;
using sdk::fail;
using sdk::Result;
using sdk::Status;

Error open_error(const std::string& why) {
  return fail(EINVAL, "CURL: Error opening file: ", why);
}

/** "SCHEME://HOST:PORT", lower case as curl has it. */
std::string origin_of(const std::string& url) {
  std::string origin;
  CURLU* parts = curl_url();
  if (parts == nullptr) return origin;
  if (curl_url_set(parts, CURLUPART_URL, url.c_str(), 0) == CURLUE_OK)
    for (const CURLUPart part : {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT}) {
      char* text = nullptr;
      if (curl_url_get(parts, part, &text, CURLU_DEFAULT_PORT) == CURLUE_OK)
        origin += sdk::cat(text, " ");
      curl_free(text);
    }
  curl_url_cleanup(parts);
  return origin;
}

/** Refused as a question about the file, which says nothing of the file itself. */
bool refuses_head(const Reply& reply) {
  return reply.code == 400 || reply.code == 403 || reply.code == 405 || reply.code == 501;
}

/** The place may have been given for a while only. */
bool is_elsewhere(const Reply& reply) {
  const long code = reply.code;
  return (code >= 300 && code < 400) || code == 401 || code == 403 || code == 404 || code == 410;
}

}  // namespace

bool is_transient(const Reply& reply) {
  switch (reply.result) {
    case CURLE_OK:  // but too short
    case CURLE_PARTIAL_FILE:
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_FTP_ACCEPT_TIMEOUT:
    case CURLE_FTP_COULDNT_RETR_FILE:
      return true;
    case CURLE_HTTP_RETURNED_ERROR:
      return reply.code == 408 || reply.code == 429 || reply.code >= 500;
    default:
      return false;
  }
}

std::string reason_of(const Reply& reply) {
  return reply.error.empty() ? curl_easy_strerror(reply.result) : reply.error;
}

Error read_error(const Reply& reply) {
  if (reply.cancelled) return fail(ECANCELED, errno_text(ECANCELED));
  return Error{EIO, errno_text(EIO), sdk::cat("curl: ", reason_of(reply))};
}

Error changed_error(const Settings& settings) {
  return Error{EIO, errno_text(EIO),
               sdk::cat("curl: the file behind '", settings.url, "' changed while it was read")};
}

Status Remote::open(const Call& call) {
  INSTAR_TRY(place_, find(call));
  if (!place_.ranges) stream_ = std::make_unique<Stream>(settings_, place_);
  return {};
}

/** Goes where the user's URL leads. Done here, not by curl, which takes cookies along to other hosts. */
Reply Remote::follow(const Call& call, Transfer& transfer, Request request, Place& place) {
  constexpr int kMostRedirects = 10;
  const std::string home = origin_of(settings_.url);
  Backoff backoff(settings_.timeout);
  place.url = settings_.url;
  place.trusted = true;
  request.limit = settings_.timeout;
  for (int hop = 0;;) {
    request.url = place.url;
    request.private_data = place.trusted;
    Reply reply = transfer.run(call, request);
    const bool busy = reply.code == 429 || (reply.code >= 502 && reply.code <= 504);
    if (busy && backoff.again(call)) continue;
    if (reply.result != CURLE_OK || reply.redirect.empty()) return reply;
    if (++hop > kMostRedirects) {
      reply.result = CURLE_TOO_MANY_REDIRECTS;
      reply.error = sdk::cat("Maximum (", kMostRedirects, ") redirects followed");
      return reply;
    }
    place.url = reply.redirect;
    place.trusted = origin_of(place.url) == home;
    request.redirected = true;
  }
}

/** Asks for the first byte: what servers say of ranges is not always so, and some answer no HEAD. */
Reply Remote::probe(const Call& call, Transfer& transfer, Place& place) {
  Request request;
  request.length = 1;
  request.receive = [](const uint8_t*, size_t) { return false; };
  Reply reply = follow(call, transfer, std::move(request), place);
  const bool answered = reply.code == 200 || reply.code == 206;
  if (answered && reply.result == CURLE_WRITE_ERROR) reply.result = CURLE_OK;  // by ourselves
  return reply;
}

/** Follows the redirects of the user's URL to where the file is. */
Result<Place> Remote::find(const Call& call) {
  auto transfer = take();
  Place place;
  Request request;
  request.head = true;
  Reply reply = follow(call, *transfer, std::move(request), place);
  const bool asks_again = settings_.is_http() && !reply.cancelled &&
                          ((reply.result == CURLE_OK && !reply.accepts_ranges) ||
                           (reply.result == CURLE_HTTP_RETURNED_ERROR &&
                            (refuses_head(reply) || settings_.dialect)));  // HEAD gives no reasons
  if (asks_again) {
    const Reply probed = probe(call, *transfer, place);
    if (probed.result == CURLE_OK || reply.result == CURLE_OK || settings_.dialect) reply = probed;
  }
  if (reply.cancelled) return fail(ECANCELED, errno_text(ECANCELED));
  if (reply.result != CURLE_OK) return open_error(reply.error);
  place.tag = reply.tag;
  if (reply.code == 206 && reply.range && reply.range->total)
    reply.length = reply.range->total;
  else if (asks_again)
    place.ranges = false;
  if (!reply.length) return open_error("Server didn't report file size.");
  if (*reply.length > INT64_MAX - 511)
    return open_error("Server reported a file size that is too large.");
  place.size = *reply.length;
  give_back(std::move(transfer));
  return place;
}

/** For a place that is valid no more: where the user's URL leads now. Once for all who find out. */
Status Remote::find_again(const Call& call, const std::string& old_url) {
  const std::lock_guard finding(finding_mutex_);
  if (place().url != old_url) return {};
  INSTAR_TRY(Place found, find(call));
  const std::lock_guard lock(mutex_);
  if (found.size != place_.size || found.tag != place_.tag || !found.ranges)
    return changed_error(settings_);
  place_ = std::move(found);
  return {};
}

Place Remote::place() const {
  const std::lock_guard lock(mutex_);
  return place_;
}

Remote::TransferPtr Remote::take() {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) return std::make_unique<Transfer>(settings_);
  auto transfer = std::move(idle_.back());
  idle_.pop_back();
  return transfer;
}

void Remote::give_back(TransferPtr transfer) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(transfer));
}

Remote::Attempt Remote::try_range(const Call& call, uint64_t offset, Bytes to) {
  const Place place = this->place();
  auto transfer = take();
  Attempt attempt{Outcome::kFailed, 0, {}};
  bool checked = !settings_.is_http(), ignored = false, changed = false;
  Request request;
  request.url = place.url;
  request.private_data = place.trusted;
  request.offset = offset;
  request.length = to.size();
  request.receive = [&](const uint8_t* data, size_t length) {
    const Reply& reply = transfer->reply();
    if (!checked) {
      const auto& range = reply.range;
      const bool whole = reply.code == 200 && offset == 0 && to.size() == place.size;
      ignored = !whole && (reply.code != 206 || !range || range->first != offset);
      changed = !ignored &&
                (reply.tag != place.tag || (range && range->total && *range->total != place.size));
      if (ignored || changed) return false;
      checked = true;
    }
    const size_t n = std::min(length, to.size() - attempt.received);
    std::memcpy(to.data() + attempt.received, data, n);
    attempt.received += n;
    return n == length;
  };
  attempt.reply = transfer->run(call, std::move(request));
  give_back(std::move(transfer));
  const Reply& reply = attempt.reply;
  if (attempt.received == to.size())
    attempt.outcome = Outcome::kDone;
  else if (reply.cancelled)
    attempt.outcome = Outcome::kFailed;
  else if (changed)
    attempt.outcome = Outcome::kChanged;
  else if (ignored)
    attempt.outcome = Outcome::kNoRanges;
  else if (settings_.is_http() && is_elsewhere(reply) && place.url != settings_.url)
    attempt.outcome = Outcome::kMoved;
  else if (is_transient(reply) && !(settings_.is_http() && is_elsewhere(reply)))
    attempt.outcome = Outcome::kAgain;
  return attempt;
}

Status Remote::read(const Call& call, uint64_t offset, Bytes to) {
  if (!place().ranges) return read_stream(call, offset, to);
  Backoff backoff(settings_.timeout);
  bool moved = false;
  while (!to.empty()) {
    const std::string url = place().url;
    const Attempt attempt = try_range(call, offset, to);
    offset += attempt.received;
    to = to.subspan(attempt.received);
    if (attempt.received > 0) backoff.progress(attempt.reply.silence);
    switch (attempt.outcome) {
      case Outcome::kDone:
        break;
      case Outcome::kAgain:
        if (!backoff.again(call)) return read_error(attempt.reply);
        break;
      case Outcome::kMoved: {
        // The next place may be used up too, by requests beside this one: even before it is known.
        if (std::exchange(moved, true) && !backoff.again(call)) return read_error(attempt.reply);
        Status found = find_again(call, url);
        if (!found && found.error().code == EIO) return found;
        if (!found && call.cancelled()) return read_error(attempt.reply);
        break;
      }
      case Outcome::kNoRanges:
        return read_stream(call, offset, to);
      case Outcome::kChanged:
        return changed_error(settings_);
      case Outcome::kFailed:
        return read_error(attempt.reply);
    }
  }
  return {};
}

/** From now on, if it was not so before. */
Status Remote::read_stream(const Call& call, uint64_t offset, Bytes to) {
  {
    const std::lock_guard lock(mutex_);
    place_.ranges = false;
    if (stream_ == nullptr) stream_ = std::make_unique<Stream>(settings_, place_);
  }
  return stream_->read(call, offset, to);
}

}  // namespace instar::curl
