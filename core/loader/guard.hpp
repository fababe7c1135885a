// SPDX-License-Identifier: Apache-2.0
/** @file guard.hpp Calls into a plugin. No exception may cross the ABI; one that does all the same
 * (a plugin that is written without the SDK) becomes an error here. */
#pragma once

#include <cerrno>
#include <exception>
#include <string>

#include "core/base/result.hpp"
#include "sdk/cpp/call.hpp"

namespace instar::loader {

/** Calls function(), which returns a count or a negative errno; -EIO and a described failure if it
 * throws. */
template <class Function>
auto call_plugin(const sdk::Call& call, const std::string& plugin, Function&& function)
    -> decltype(function()) {
  try {
    return function();
  } catch (const std::exception& e) {
    call.report(fail(EIO, "plugin '", plugin, "' threw an exception: ", e.what()));
  } catch (...) {
    call.report(fail(EIO, "plugin '", plugin, "' threw an exception"));
  }
  return -EIO;
}

}  // namespace instar::loader
