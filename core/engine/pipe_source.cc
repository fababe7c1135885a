// SPDX-License-Identifier: Apache-2.0
#include "core/engine/pipe_source.hpp"

#include <poll.h>
#include <unistd.h>

namespace instar::engine {

namespace {
constexpr int kPatience = 200;  // milliseconds between looks at whether the work was cancelled
}

Result<size_t> PipeSource::read(const sdk::Call& call, uint8_t* to, size_t length) {
  size_t done = 0;
  while (done < length && !ended_) {
    if (call.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
    pollfd wait{fd_, POLLIN, 0};
    if (poll(&wait, 1, kPatience) == 0) continue;
    const ssize_t n = ::read(fd_, to + done, length - done);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) return fail(errno, "error while reading standard input: ", errno_text(errno));
    ended_ = n == 0;
    done += static_cast<size_t>(n);
  }
  return done;
}

}  // namespace instar::engine
