// SPDX-License-Identifier: Apache-2.0
/** @file result.hpp A value or an error; errors are an errno, a message in QEMU's wording and an
 * optional hint. */
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace instar::sdk {

/** What went wrong. `code` is a positive errno; `message` one line; `hint` further lines, or empty.
 */
struct Error {
  int code = EIO;
  std::string message;
  std::string hint = {};
};

/** Builds text of strings and numbers: cat("L1 size ", n, " too big"). */
namespace detail {
inline void append(std::string& out, std::string_view text) {
  out.append(text);
}
inline void append(std::string& out, const char* text) {
  out.append(text);
}
inline void append(std::string& out, char c) {
  out.push_back(c);
}
template <class T>
requires std::is_arithmetic_v<T>
void append(std::string& out, T number) {
  out += std::to_string(number);
}
}  // namespace detail

template <class... Parts>
std::string cat(const Parts&... parts) {
  std::string out;
  (detail::append(out, parts), ...);
  return out;
}

/** "0x1f": lower case, without leading zeroes. */
inline std::string hex(uint64_t value) {
  char digits[19];
  char* p = digits + sizeof digits;
  do {
    *--p = "0123456789abcdef"[value & 15];
    value >>= 4;
  } while (value != 0);
  return "0x" + std::string(p, digits + sizeof digits);
}

/** At least `width` hexadecimal digits, lower case. */
inline std::string hex_digits(uint64_t value, size_t width) {
  const std::string digits = hex(value).substr(2);
  return std::string(width > digits.size() ? width - digits.size() : 0, '0') + digits;
}

/** Text of an errno: "No such file or directory". */
inline std::string errno_text(int code) {
  return std::strerror(code < 0 ? -code : code);
}

template <class... Parts>
Error fail(int code, const Parts&... parts) {
  return Error{code, cat(parts...)};
}

/** A T or an Error. Dereferencing one that holds an Error is a programming error. */
template <class T = void>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return state_.index() == 0; }
  T& operator*() & { return *std::get_if<0>(&state_); }
  const T& operator*() const& { return *std::get_if<0>(&state_); }
  T&& operator*() && { return std::move(*std::get_if<0>(&state_)); }
  T* operator->() { return std::get_if<0>(&state_); }
  const T* operator->() const { return std::get_if<0>(&state_); }
  Error& error() & { return *std::get_if<1>(&state_); }
  const Error& error() const& { return *std::get_if<1>(&state_); }
  Error&& error() && { return std::move(*std::get_if<1>(&state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  explicit operator bool() const { return !error_.has_value(); }
  Error& error() & { return *error_; }
  const Error& error() const& { return *error_; }
  Error&& error() && { return std::move(*error_); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

/** The error's message says what could not be done: "Could not create image: No space left on
 * device". */
inline Status explained(std::string_view what, Status status) {
  if (!status) status.error().message = cat(what, ": ", status.error().message);
  return status;
}

#define INSTAR_CONCAT_(a, b) a##b
#define INSTAR_CONCAT(a, b) INSTAR_CONCAT_(a, b)

/** Returns the error of a Status or Result from the calling function, if there is one. */
#define INSTAR_CHECK(expression)                                   \
  do {                                                             \
    auto instar_checked = (expression);                            \
    if (!instar_checked) return std::move(instar_checked).error(); \
  } while (false)

/** INSTAR_TRY(auto x, f()): x is f's value, or the calling function returns f's error. */
#define INSTAR_TRY(target, expression) \
  INSTAR_TRY_(target, expression, INSTAR_CONCAT(instar_tried_, __LINE__))
#define INSTAR_TRY_(target, expression, name) \
  auto name = (expression);                   \
  if (!name) return std::move(name).error();  \
  target = *std::move(name)

}  // namespace instar::sdk
