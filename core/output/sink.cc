// SPDX-License-Identifier: Apache-2.0
#include "core/output/sink.hpp"

#include "core/base/file.hpp"

namespace instar::output {
namespace {

constexpr size_t kBufferSize = 64UL * 1024;

}  // namespace

FdSink::~FdSink() {
  static_cast<void>(flush());
}

void FdSink::put(std::string_view text) {
  if (!status_ || text.empty()) return;
  status_ = base::write_all(fd_, text);
  // A stream that the caller closed, or whose reader has gone: nobody wants to know.
  if (!status_ && (status_.error().code == EBADF || status_.error().code == EPIPE)) status_ = {};
}

void FdSink::write(std::string_view text) {
  if (buffer_.size() + text.size() > kBufferSize) {
    put(buffer_);
    buffer_.clear();
  }
  if (text.size() >= kBufferSize) {
    put(text);
  } else {
    buffer_ += text;
  }
}

Status FdSink::flush() {
  put(buffer_);
  buffer_.clear();
  return status_;
}

}  // namespace instar::output
