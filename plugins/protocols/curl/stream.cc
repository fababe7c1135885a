// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/curl/stream.hpp"

#include <algorithm>
#include <cstring>

#include "plugins/protocols/curl/backoff.hpp"

namespace instar::curl {

using sdk::Bytes;
using sdk::Call;
using sdk::errno_text;
using sdk::Error;
using sdk::fail;
using sdk::Status;

Stream::Stream(const Settings& settings, const Place& place)
    : settings_(settings),
      place_(place),
      transfer_(settings),
      window_(std::min(kWindow, place.size)) {}

Status Stream::read(const Call& call, uint64_t offset, Bytes to) {
  while (!mutex_.try_lock_for(std::chrono::milliseconds(100)))
    if (call.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
  const std::lock_guard lock(mutex_, std::adopt_lock);
  for (size_t done = 0; done < to.size();) {
    const uint64_t at = offset + done;
    // In parts, so that the window holds each until it is copied.
    const size_t part = std::min<size_t>(to.size() - done, kWindow / 4);
    if (at < window_begin())
      return Error{ESPIPE, errno_text(EIO),
                   sdk::cat("The server sends the file only as a whole: what stands before offset ",
                            window_begin(), " is gone")};
    INSTAR_CHECK(fill(call, at + part));
    for (size_t copied = 0; copied < part;) {
      const size_t slot = (at + copied) % window_.size();
      const size_t n = std::min(part - copied, window_.size() - slot);
      std::memcpy(to.data() + done + copied, window_.data() + slot, n);
      copied += n;
    }
    done += part;
  }
  return {};
}

/** Receives until the file is there up to `until`; begins again where a connection broke, and passes
 * over what is known. */
Status Stream::fill(const Call& call, uint64_t until) {
  Backoff backoff(settings_.timeout);
  while (end_ < until) {
    if (!running_) begin();
    const uint64_t before = end_;
    const bool over = transfer_.advance(call, [&] { return end_ >= until; });
    if (transfer_.reply().cancelled) {
      running_ = false;
      return fail(ECANCELED, errno_text(ECANCELED));
    }
    if (end_ > before) backoff.progress(transfer_.reply().silence);
    if (!over || end_ >= until) continue;
    running_ = false;
    if (wrong_) return changed_error(settings_);
    if (!is_transient(transfer_.reply()) || !backoff.again(call))
      return read_error(transfer_.reply());
  }
  return {};
}

void Stream::begin() {
  position_ = 0;
  wrong_ = false;
  running_ = true;
  Request request;
  request.url = place_.url;
  request.private_data = place_.trusted;
  request.receive = [this](const uint8_t* data, size_t length) { return receive(data, length); };
  transfer_.begin(std::move(request));
}

bool Stream::receive(const uint8_t* data, size_t length) {
  const Reply& reply = transfer_.reply();
  wrong_ = (settings_.is_http() && reply.code != 200) || reply.tag != place_.tag ||
           position_ + length > place_.size;
  if (wrong_) return false;
  const uint64_t known = std::min<uint64_t>(length, end_ > position_ ? end_ - position_ : 0);
  position_ += length;
  for (size_t done = known; done < length;) {
    const size_t slot = end_ % window_.size();
    const size_t n = std::min(length - done, window_.size() - slot);
    std::memcpy(window_.data() + slot, data + done, n);
    done += n;
    end_ += n;
  }
  return true;
}

}  // namespace instar::curl
