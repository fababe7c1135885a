// SPDX-License-Identifier: Apache-2.0
/** @file spool.hpp A temporary file without a name, for content that can only be made in order. */
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../abi/node.h"
#include "bytes.hpp"
#include "result.hpp"

namespace instar::sdk {

/** Zeroes take no space. Reading is thread-safe once all was appended. */
class Spool {
 public:
  /** In $TMPDIR, else in /var/tmp, where there is usually more room than in /tmp. */
  static Result<std::unique_ptr<Spool>> make() {
    const char* wanted = ::secure_getenv("TMPDIR");
    const std::string folder = wanted != nullptr && *wanted != '\0' ? wanted : "/var/tmp";
    int fd = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) fd = make_named(folder);
    if (fd < 0)
      return fail(errno, "Could not make a temporary file in '", folder, "': ", errno_text(errno));
    return std::unique_ptr<Spool>(new Spool(fd, folder));
  }
  ~Spool() { ::close(fd_); }
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  uint64_t size() const { return size_; }

  Status append(ConstBytes bytes) {
    while (!bytes.empty()) {
      const size_t data = run(bytes, false);
      INSTAR_CHECK(write(bytes.first(data)));
      const size_t zeroes = run(bytes.subspan(data), true);
      size_ += zeroes;
      bytes = bytes.subspan(data + zeroes);
    }
    return {};
  }
  /** The file gets its length: after the last append. */
  Status finish() {
    if (::ftruncate(fd_, static_cast<off_t>(size_)) != 0) return failed(errno);
    return {};
  }

  Status read(uint64_t offset, Bytes to) const {
    while (!to.empty()) {
      const ssize_t n = ::pread(fd_, to.data(), to.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return failed(errno);
      if (n == 0) return fail(EIO, "a read beyond the end of a temporary file");
      to = to.subspan(static_cast<size_t>(n));
      offset += static_cast<uint64_t>(n);
    }
    return {};
  }

  /** The run of data or of a hole from `offset` on, which is inside. */
  std::pair<uint64_t, bool> extent(uint64_t offset) const {
    const auto at = static_cast<off_t>(offset);
    const off_t data = ::lseek(fd_, at, SEEK_DATA);
    if (data < 0) return {size_ - offset, errno != ENXIO};
    if (data > at) return {static_cast<uint64_t>(data) - offset, false};
    const off_t hole = ::lseek(fd_, at, SEEK_HOLE);
    return {(hole > at ? static_cast<uint64_t>(hole) : size_) - offset, true};
  }

 private:
  static constexpr size_t kBlock = 4096;

  Spool(int fd, std::string folder) : fd_(fd), folder_(std::move(folder)) {}

  /** Where the file system has no files without names. */
  static int make_named(const std::string& folder) {
    std::string name = folder + "/instar-XXXXXX";
    const int fd = ::mkostemp(name.data(), O_CLOEXEC);
    if (fd >= 0) ::unlink(name.c_str());
    return fd;
  }
  /** Bytes from the beginning that are blocks of zeroes, or are not. */
  static size_t run(ConstBytes bytes, bool zeroes) {
    size_t at = 0;
    while (at < bytes.size()) {
      const size_t n = std::min(kBlock, bytes.size() - at);
      if (is_zero(bytes.data() + at, n) != zeroes) break;
      at += n;
    }
    return at;
  }
  Status write(ConstBytes bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(size_));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return failed(errno);
      size_ += static_cast<uint64_t>(n);
      bytes = bytes.subspan(static_cast<size_t>(n));
    }
    return {};
  }
  Error failed(int code) const {
    return fail(code, "a temporary file in '", folder_, "': ", errno_text(code));
  }

  const int fd_;
  const std::string folder_;
  uint64_t size_ = 0;
};

}  // namespace instar::sdk
