// SPDX-License-Identifier: Apache-2.0
#include "core/engine/pipe_source.hpp"

#include <poll.h>
#include <unistd.h>

namespace instar::engine {

namespace {
constexpr int kPatience = 200;  // milliseconds between looks at whether the work was cancelled
}

Result<PipeSource> PipeSource::of(const block::Node& image) {
  PipeSource source(-1);
  source.image_ = image.interface<instar_forward_ops>(INSTAR_FORWARD_ID, &source.image_self_);
  if (source.image_ == nullptr) return fail(ENOTSUP, errno_text(ENOTSUP));
  return source;
}

Result<size_t> PipeSource::read(const sdk::Call& call, uint8_t* to, size_t length) {
  INSTAR_TRY(const size_t done,
             image_ != nullptr ? read_image(call, to, length) : read_pipe(call, to, length));
  position_ += done;
  ended_ = done < length;
  return done;
}

Result<size_t> PipeSource::read_image(const sdk::Call& call, uint8_t* to, size_t length) {
  sdk::OutgoingCall outgoing(&call);
  const int64_t n = image_->read(image_self_, outgoing.abi(), position_, to, length);
  if (n < 0) {
    const Error error = outgoing.error(n);
    return Error{error.code,
                 cat("error while reading at byte ", position_, ": ", errno_text(error.code)),
                 error.hint};
  }
  return static_cast<size_t>(n);
}

Result<size_t> PipeSource::read_pipe(const sdk::Call& call, uint8_t* to, size_t length) {
  size_t done = 0;
  bool ended = false;
  while (done < length && !ended) {
    if (call.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
    pollfd wait{fd_, POLLIN, 0};
    if (poll(&wait, 1, kPatience) == 0) continue;
    const ssize_t n = ::read(fd_, to + done, length - done);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) return fail(errno, "error while reading standard input: ", errno_text(errno));
    ended = n == 0;
    done += static_cast<size_t>(n);
  }
  return done;
}

}  // namespace instar::engine
