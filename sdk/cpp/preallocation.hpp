// SPDX-License-Identifier: Apache-2.0
/** @file preallocation.hpp The creation option "preallocation". */
#pragma once

#include <string>

#include "../abi/resize.h"
#include "options.hpp"
#include "result.hpp"

namespace instar::sdk {

inline Result<instar_preallocation> parse_preallocation(const std::string& mode) {
  if (mode == "off") return INSTAR_PREALLOCATION_OFF;
  if (mode == "metadata") return INSTAR_PREALLOCATION_METADATA;
  if (mode == "falloc") return INSTAR_PREALLOCATION_FALLOC;
  if (mode == "full") return INSTAR_PREALLOCATION_FULL;
  return fail(EINVAL, "invalid parameter value: ", mode);
}

/** @param mode enum instar_preallocation */
inline const char* preallocation_name(uint32_t mode) {
  constexpr const char* kNames[] = {"off", "metadata", "falloc", "full"};
  return mode < 4 ? kNames[mode] : "?";
}

/** For formats without a mode of their own: what a file can do. */
inline Result<instar_preallocation> file_preallocation(const Options& options) {
  const std::string text = options.text("preallocation", "off");
  INSTAR_TRY(const instar_preallocation mode, parse_preallocation(text));
  if (mode == INSTAR_PREALLOCATION_METADATA)
    return fail(ENOTSUP, "Unsupported preallocation mode: ", text);
  return mode;
}

}  // namespace instar::sdk
