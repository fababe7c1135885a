// SPDX-License-Identifier: Apache-2.0
/** @file waiting.hpp Waiting for a cluster that may never answer, until the caller has had enough. */
#pragma once

#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "sdk/cpp/call.hpp"

namespace instar::rbd {

/** How often somebody who waits looks whether he still should. */
inline constexpr std::chrono::milliseconds kLook{50};
/** What is under way may still end after the caller gave up, so that it is left in order. */
inline constexpr std::chrono::milliseconds kGrace{300};

/** Whether the result came. False: the call was cancelled, and no result came soon after. */
template <class T>
bool wait_for(const sdk::Call& call, const std::future<T>& result) {
  while (result.wait_for(kLook) != std::future_status::ready)
    if (call.cancelled()) return result.wait_for(kGrace) == std::future_status::ready;
  return true;
}

inline sdk::Error cancelled() {
  return sdk::fail(ECANCELED, sdk::errno_text(ECANCELED));
}

/**
 * The result of `work`, which runs on a thread of its own: librbd's calls can't be interrupted. When the caller gives up
 * it goes on alone; so it owns all that it uses.
 */
template <class Work>
auto run_patiently(const sdk::Call& call, Work work) -> decltype(work()) {
  std::promise<decltype(work())> promise;
  auto result = promise.get_future();
  std::thread([owned = std::optional<Work>(std::move(work)),
               promise = std::move(promise)]() mutable {
    try {
      auto value = (*owned)();
      owned.reset();  // an image that it holds is the caller's to close, from here on
      promise.set_value(std::move(value));
    } catch (...) {
      owned.reset();
      promise.set_exception(std::current_exception());
    }
  }).detach();
  if (!wait_for(call, result)) return cancelled();
  return result.get();
}

}  // namespace instar::rbd
