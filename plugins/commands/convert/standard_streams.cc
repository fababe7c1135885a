// SPDX-License-Identifier: Apache-2.0
#include "plugins/commands/convert/standard_streams.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "sdk/cpp/bytes.hpp"

namespace instar::convert {

namespace {
constexpr size_t kBlock = 4096;
}

using sdk::errno_text;
using sdk::fail;
using sdk::Status;

std::optional<std::string> name_of_stdin() {
  constexpr const char* kName = "/proc/self/fd/0";
  struct stat st {};
  if (::fstat(STDIN_FILENO, &st) != 0 || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
    return std::nullopt;
  if (::lseek(STDIN_FILENO, 0, SEEK_CUR) != 0 || ::access(kName, R_OK) != 0) return std::nullopt;
  return kName;
}

Status StdoutImage::open() {
  if (::isatty(STDOUT_FILENO) != 0) return fail(EINVAL, "Refusing to write an image to a terminal");
  struct stat st {};
  if (::fstat(STDOUT_FILENO, &st) != 0)
    return fail(errno, "Could not write to standard output: ", errno_text(errno));
  const bool appends = (::fcntl(STDOUT_FILENO, F_GETFL) & O_APPEND) != 0;
  // Only behind the end of a file is what is left out zero.
  seeks_ = S_ISREG(st.st_mode) && !appends && ::lseek(STDOUT_FILENO, 0, SEEK_CUR) == st.st_size;
  return {};
}

int StdoutImage::fail_with(int code) {
  status_ = fail(code, "Could not write to standard output: ", errno_text(code));
  return -code;
}

int StdoutImage::write(const uint8_t* bytes, size_t len) {
  while (len > 0) {
    const ssize_t n = ::write(STDOUT_FILENO, bytes, len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_with(errno);
    bytes += n;
    len -= static_cast<size_t>(n);
  }
  return 0;
}

int StdoutImage::take_data(void* opaque, const void* bytes, size_t len) {
  auto& self = *static_cast<StdoutImage*>(opaque);
  const auto* data = static_cast<const uint8_t*>(bytes);
  return self.seeks_ ? self.write_sparse(data, len) : self.write(data, len);
}

/** Leaves out blocks of zeroes. */
int StdoutImage::write_sparse(const uint8_t* bytes, size_t len) {
  const auto is_hole = [&](size_t at) {
    return sdk::is_zero(bytes + at, std::min(kBlock, len - at));
  };
  for (size_t at = 0, next = 0; at < len; at = next) {
    const bool hole = is_hole(at);
    for (next = std::min(at + kBlock, len); next < len && is_hole(next) == hole;)
      next = std::min(next + kBlock, len);
    if (const int result = hole ? take_zeroes(this, next - at) : write(bytes + at, next - at))
      return result;
  }
  return 0;
}

int StdoutImage::take_zeroes(void* opaque, uint64_t len) {
  auto& self = *static_cast<StdoutImage*>(opaque);
  if (self.seeks_)
    return ::lseek(STDOUT_FILENO, static_cast<off_t>(len), SEEK_CUR) < 0 ? self.fail_with(errno)
                                                                         : 0;
  static constexpr std::array<uint8_t, 64 << 10> kZeroes{};
  for (; len > 0; len -= std::min<uint64_t>(len, kZeroes.size()))
    if (const int result = self.write(kZeroes.data(), std::min<uint64_t>(len, kZeroes.size())))
      return result;
  return 0;
}

Status StdoutImage::finish() {
  if (!seeks_ || !status_) return status_;
  // Zeroes at the end are there only when the file is that long.
  const off_t end = ::lseek(STDOUT_FILENO, 0, SEEK_CUR);
  if (end < 0 || ::ftruncate(STDOUT_FILENO, end) != 0) fail_with(errno);
  return status_;
}

}  // namespace instar::convert
