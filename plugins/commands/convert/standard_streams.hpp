// SPDX-License-Identifier: Apache-2.0
/** @file standard_streams.hpp Standard input and output in the place of images. */
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sdk/abi/content.h"
#include "sdk/cpp/result.hpp"

namespace instar::convert {

/** The name under which standard input can be opened as a file or device; nothing: it is a pipe, or was
 * read from already. */
std::optional<std::string> name_of_stdin();

/** Standard output as an image's receiver. Where it is a fresh file, zeroes become holes. */
class StdoutImage {
 public:
  /** Looks what stdout is; refuses a terminal. To be called first. */
  sdk::Status open();
  instar_content receiver() { return {this, &take_data, &take_zeroes}; }
  /** All was handed over. The error of what could not be written, if there was one. */
  sdk::Status finish();
  sdk::Status status() const { return status_; }

 private:
  static int take_data(void* opaque, const void* bytes, size_t len);
  static int take_zeroes(void* opaque, uint64_t len);
  int write(const uint8_t* bytes, size_t len);
  int write_sparse(const uint8_t* bytes, size_t len);
  int fail_with(int code);

  bool seeks_ = false;
  sdk::Status status_;
};

}  // namespace instar::convert
