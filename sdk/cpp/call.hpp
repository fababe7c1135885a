// SPDX-License-Identifier: Apache-2.0
/** @file call.hpp Both ends of instar_call: making a call and catching its error; answering one
 * without throwing. */
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <new>
#include <string>
#include <string_view>

#include "../abi/types.h"
#include "result.hpp"

namespace instar::sdk {

/** A sink into a string. */
class StringSink {
 public:
  StringSink() : sink_{this, &StringSink::write} {}
  StringSink(const StringSink&) = delete;
  StringSink& operator=(const StringSink&) = delete;
  const instar_sink* abi() const { return &sink_; }
  std::string text;

 private:
  static int write(void* self, const char* data, size_t len) {
    try {
      static_cast<StringSink*>(self)->text.append(data, len);
      return 0;
    } catch (...) {
      return -ENOMEM;
    }
  }
  instar_sink sink_;
};

/** Answers with text: hands it to the caller's sink, or passes on why there is none. */
inline Status send(const instar_sink* sink, Result<std::string> text) {
  if (!text) return std::move(text).error();
  if (sink->write(sink->opaque, text->data(), text->size()) < 0)
    return fail(EIO, "the caller refused the text");
  return {};
}

/** The callee's view of a call. Cheap to copy. */
class Call {
 public:
  explicit Call(instar_call* abi) : abi_(abi) {}

  bool cancelled() const {
    return abi_ != nullptr && abi_->cancelled != nullptr &&
           __atomic_load_n(abi_->cancelled, __ATOMIC_RELAXED) != 0;
  }
  void warn(std::string_view text) const {
    if (abi_ != nullptr && abi_->warn != nullptr) abi_->warn(abi_, text.data(), text.size());
  }
  /** Reports the error and gives the number to return. */
  int report(const Error& error) const {
    if (abi_ != nullptr && abi_->fail != nullptr)
      abi_->fail(abi_, error.code, error.message.data(), error.message.size(),
                 error.hint.empty() ? nullptr : error.hint.data(), error.hint.size());
    return -error.code;
  }
  instar_call* abi() const { return abi_; }

 private:
  instar_call* abi_;
};

/** A call that the holder makes: catches the error. One call at a time; passes on the parent's wish
 * to cancel. */
class OutgoingCall {
 public:
  explicit OutgoingCall(const Call* parent = nullptr) {
    abi_.struct_size = sizeof abi_;
    abi_.opaque = this;
    abi_.fail = &OutgoingCall::catch_error;
    if (parent != nullptr && parent->abi() != nullptr) {
      parent_ = parent->abi();
      abi_.warn = &OutgoingCall::forward_warning;
      abi_.cancelled = parent_->cancelled;
    }
  }
  OutgoingCall(const OutgoingCall&) = delete;
  OutgoingCall& operator=(const OutgoingCall&) = delete;

  instar_call* abi() { return &abi_; }

  /** The error behind a negative result: the callee's description, or the errno's text. */
  Error error(int64_t result) {
    if (!error_.message.empty()) {
      if (error_.code <= 0) error_.code = static_cast<int>(-result);
      return std::move(error_);
    }
    const int code = result < 0 ? static_cast<int>(-result) : EIO;
    return Error{code, errno_text(code)};
  }
  Status status(int64_t result) {
    if (result < 0) return error(result);
    return {};
  }

 private:
  static void catch_error(instar_call* call, int err, const char* message, size_t len,
                          const char* hint, size_t hint_len) {
    auto* self = static_cast<OutgoingCall*>(call->opaque);
    try {
      self->error_.code = err;
      self->error_.message.assign(message, len);
      self->error_.hint.assign(hint != nullptr ? hint : "", hint != nullptr ? hint_len : 0);
    } catch (...) {
      self->error_.message.clear();
    }
  }
  static void forward_warning(instar_call* call, const char* text, size_t len) {
    const auto* self = static_cast<OutgoingCall*>(call->opaque);
    if (self->parent_->warn != nullptr) self->parent_->warn(self->parent_, text, len);
  }

  instar_call abi_{};
  instar_call* parent_ = nullptr;
  Error error_{0, {}, {}};
};

namespace detail {
template <class T>
int64_t answer(const Call& call, Result<T>&& result) {
  if (!result) return call.report(result.error());
  if constexpr (std::is_void_v<T>)
    return 0;
  else
    return static_cast<int64_t>(*result);
}
}  // namespace detail

/** Runs a plugin's function at the boundary: reports its error, turns exceptions into errors. */
template <class Function>
int64_t guard(instar_call* abi, Function&& function) noexcept {
  const Call call(abi);
  try {
    return detail::answer(call, std::forward<Function>(function)(call));
  } catch (const std::bad_alloc&) {
    try {
      return call.report(Error{ENOMEM, "Cannot allocate memory"});
    } catch (...) {
      return -ENOMEM;
    }
  } catch (const std::exception& e) {
    try {
      return call.report(Error{EIO, cat("internal error: ", e.what())});
    } catch (...) {
      return -EIO;
    }
  } catch (...) {
    return -EIO;
  }
}

}  // namespace instar::sdk
