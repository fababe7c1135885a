// SPDX-License-Identifier: Apache-2.0
/** @file secret.hpp Secrets that the user defined by --object. */
#pragma once

#include <string>

#include "../abi/objects.h"
#include "host.hpp"

namespace instar::sdk {

/** The bytes of the secret with this id. */
inline Result<std::string> read_secret(const Host& host, const std::string& id) {
  const auto* objects = host.service<instar_objects_ops>(INSTAR_OBJECTS_ID);
  if (objects == nullptr) return fail(ENOENT, "No secret with id '", id, "'");
  OutgoingCall call;
  StringSink bytes;
  const int result = objects->get_secret(host.abi(), call.abi(), id.c_str(), bytes.abi());
  if (result < 0) return call.error(result);
  return std::move(bytes.text);
}

}  // namespace instar::sdk
