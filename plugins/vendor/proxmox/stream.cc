// SPDX-License-Identifier: Apache-2.0
#include "plugins/vendor/proxmox/stream.hpp"

#include <unistd.h>

#include <cerrno>

namespace instar::proxmox {

using sdk::fail;

sdk::Result<size_t> read_full(const sdk::Call& call, int descriptor, uint8_t* to, size_t size) {
  size_t done = 0;
  while (done < size) {
    if (call.cancelled()) return fail(ECANCELED, sdk::errno_text(ECANCELED));
    const ssize_t n = read(descriptor, to + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(errno, sdk::errno_text(errno));
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

sdk::Status write_full(const sdk::Call& call, int descriptor, const uint8_t* from, size_t size) {
  while (size > 0) {
    if (call.cancelled()) return fail(ECANCELED, sdk::errno_text(ECANCELED));
    const ssize_t n = write(descriptor, from, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(errno, sdk::errno_text(errno));
    from += n;
    size -= static_cast<size_t>(n);
  }
  return {};
}

}  // namespace instar::proxmox
