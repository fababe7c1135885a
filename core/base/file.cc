// SPDX-License-Identifier: Apache-2.0
#include "core/base/file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/fd.hpp"

namespace instar::base {

Result<std::string> read_fd(int fd, std::string_view name, size_t limit) {
  constexpr size_t kChunk = 64UL * 1024;
  std::string content;
  for (;;) {
    const size_t filled = content.size();
    content.resize(filled + std::min(kChunk, limit + 1 - filled));
    const ssize_t got = read(fd, content.data() + filled, content.size() - filled);
    const int error = errno;
    content.resize(filled + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && error == EINTR) continue;
    if (got < 0) return fail(error, "Could not read '", name, "': ", errno_text(error));
    if (content.size() > limit) return fail(EFBIG, "'", name, "' is larger than ", limit, " bytes");
    if (got == 0) return content;
  }
}

Result<std::string> read_file(const std::string& path, size_t limit) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    const int error = errno;
    return fail(error, "Could not open '", path, "': ", errno_text(error));
  }
  return read_fd(fd.get(), path, limit);
}

Status write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      const int error = errno;
      return fail(error, "Could not write: ", errno_text(error));
    }
    bytes.remove_prefix(static_cast<size_t>(put));
  }
  return {};
}

}  // namespace instar::base
