// SPDX-License-Identifier: Apache-2.0
/** @file sink.hpp Where printers write to: a file descriptor with a buffer, or a string in tests.
 */
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace instar::output {

/** Takes text. Not thread-safe. Errors are kept, so that printers need not look after every line.
 */
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void write(std::string_view text) = 0;
  /** Hands on what is buffered. The first error since the start, if there was one. */
  virtual Status flush() { return {}; }
};

/** Collects the text. */
class StringSink : public Sink {
 public:
  void write(std::string_view text) override { text_ += text; }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/** Writes to a descriptor that it does not own, in pieces of up to 64 KiB; what is left goes out in
 * the destructor. */
class FdSink final : public Sink {
 public:
  explicit FdSink(int fd) : fd_(fd) {}
  FdSink(const FdSink&) = delete;
  FdSink& operator=(const FdSink&) = delete;
  ~FdSink() override;
  void write(std::string_view text) override;
  Status flush() override;

 private:
  void put(std::string_view text);

  int fd_;
  std::string buffer_;
  Status status_;
};

}  // namespace instar::output
