// SPDX-License-Identifier: Apache-2.0
/** @file credentials.hpp What can be told to be wrong with TLS credentials before they are loaded. */
#pragma once

#include <map>
#include <string>

#include "core/base/result.hpp"

namespace instar::objects {

/** Which files a type ("tls-creds-x509") and endpoint need; errors in QEMU's wording. Their content
 * is read by the protocol that uses them. */
Status check_credentials(const std::string& type,
                         const std::map<std::string, std::string>& properties);

}  // namespace instar::objects
