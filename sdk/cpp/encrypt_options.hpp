// SPDX-License-Identifier: Apache-2.0
/** @file encrypt_options.hpp The options of a format whose content a scheme encrypts: "encryption",
 * "encrypt.format", and those of the scheme behind "encrypt.". Messages are QEMU's. */
#pragma once

#include <string>
#include <string_view>

#include "encryption.hpp"
#include "options.hpp"

namespace instar::sdk {

/** What stands before the names of the scheme's options. */
inline constexpr const char* kEncryptPrefix = "encrypt.";

/** The scheme's own options, by the rest of their names. */
inline SubOptions encrypt_options(const Options& options) {
  return SubOptions(options, kEncryptPrefix);
}

/** @param options what encrypt_options gave; they have to outlive the request. */
inline EncryptionRequest encryption_request(const char* scheme, const SubOptions& options) {
  EncryptionRequest request;
  request.scheme = scheme;
  request.option_prefix = kEncryptPrefix;
  request.options = options.abi();
  return request;
}

/** Opening: the user's options against the scheme that the header names. @param scheme "" for none:
 * then nobody looks at the options. A manifest declares as "encrypt.*" what is refused. */
inline Status check_encrypt_options(const Options& options, std::string_view scheme) {
  const std::string wanted = options.text("encrypt.format", scheme);
  if (scheme.empty()) {
    if (wanted.empty()) return {};
    return fail(EINVAL, "No encryption in image header, but options specified format '", wanted,
                "'");
  }
  if (wanted != scheme)
    return fail(EINVAL, "Header reported '", scheme, "' encryption format but options specify '",
                wanted, "'");
  if (!options.has("encrypt.*")) return {};
  const std::string other = options.text("encrypt.*");
  const std::string name = other.substr(0, other.find('.'));
  if (name == "format" || name == "key-secret")
    return fail(EINVAL, "Parameters '", name, ".*' are unexpected");
  return fail(EINVAL, "Parameter '", name, "' is unexpected");
}

/** Creating: "aes", "luks", or "" for no encryption. */
inline Result<const char*> chosen_encryption(const Options& options) {
  const bool legacy = options.flag("encryption");
  if (legacy && options.has("encrypt.format"))
    return fail(EINVAL,
                "'encrypt.format' and its alias 'encryption' can't be used at the same time");
  const SubOptions own = encrypt_options(options);
  if (!legacy && !options.has("encrypt.format")) {
    if (own.empty()) return "";
    return fail(EINVAL, "Parameter 'encrypt.format' is missing");
  }
  const std::string format = options.text("encrypt.format", "aes");
  if (format == "luks") return "luks";
  if (format != "aes" && format != "qcow")
    return fail(EINVAL, "Parameter 'format' does not accept value '", format, "'");
  for (const auto& option : Options(own.abi()))
    if (std::string_view(option.name) != "format" && std::string_view(option.name) != "key-secret")
      return fail(EINVAL, "Parameter '", kEncryptPrefix, option.name, "' is unexpected");
  return "aes";
}

}  // namespace instar::sdk
