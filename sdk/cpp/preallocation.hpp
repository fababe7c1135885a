// SPDX-License-Identifier: Apache-2.0
/** @file preallocation.hpp The creation option "preallocation", and what drivers refuse of it. Modes are
 * enum instar_preallocation. */
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

inline const char* preallocation_name(uint32_t mode) {
  constexpr const char* kNames[] = {"off", "metadata", "falloc", "full"};
  return mode < 4 ? kNames[mode] : "?";
}

/** For who lets a file do it, which has no metadata. */
inline Status check_file_preallocation(uint32_t mode) {
  if (mode != INSTAR_PREALLOCATION_METADATA) return {};
  return fail(ENOTSUP, "Unsupported preallocation mode: ", preallocation_name(mode));
}

/** For who can't do it. */
inline Status check_no_preallocation(uint32_t mode) {
  if (mode == INSTAR_PREALLOCATION_OFF) return {};
  return fail(ENOTSUP, "Unsupported preallocation mode '", preallocation_name(mode), "'");
}

/** For formats without a mode of their own: what a file can do. */
inline Result<instar_preallocation> file_preallocation(const Options& options) {
  INSTAR_TRY(const instar_preallocation mode,
             parse_preallocation(options.text("preallocation", "off")));
  INSTAR_CHECK(check_file_preallocation(mode));
  return mode;
}

}  // namespace instar::sdk
