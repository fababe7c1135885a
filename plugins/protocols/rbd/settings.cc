// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/rbd/settings.hpp"

#include <map>

#include "sdk/cpp/base64.hpp"
#include "sdk/cpp/secret.hpp"

namespace instar::rbd {

namespace {

using sdk::cat;
using sdk::fail;
using sdk::Host;
using sdk::Options;
using sdk::Result;
using sdk::Status;

/** The user's key, by the secret that the first of these options names. */
Result<std::string> read_key(const Host& host, const Options& options) {
  for (const char* name : {"key-secret", "password-secret"}) {
    if (!options.has(name)) continue;
    INSTAR_TRY(const std::string key, sdk::read_secret(host, options.text(name)));
    return sdk::encode_base64(key);
  }
  return std::string();
}

/** "server.N.host" and "server.N.port" of all N, as librados lists monitors. */
Result<std::string> read_servers(const Options& options) {
  constexpr std::string_view kPrefix = "server.";
  std::map<std::string, std::pair<std::string, std::string>> servers;
  for (const auto& option : options) {
    const std::string_view name = option.name;
    if (!name.starts_with(kPrefix)) continue;
    const size_t dot = name.find('.', kPrefix.size());
    if (dot == name.npos)
      return fail(EINVAL, "Invalid parameter type for 'server', expected: array");
    const auto member = name.substr(dot + 1);
    auto& server = servers[std::string(name.substr(0, dot))];
    if (member != "host" && member != "port")
      return fail(EINVAL, "Parameter '", name, "' is unexpected");
    (member == "host" ? server.first : server.second) = option.text;
  }
  std::string all;
  for (const auto& [name, server] : servers) {
    if (server.first.empty()) return fail(EINVAL, "Parameter '", name, ".host' is missing");
    if (server.second.empty()) return fail(EINVAL, "Parameter '", name, ".port' is missing");
    const bool ipv6 = server.first.find(':') != std::string::npos;
    all += cat(all.empty() ? "" : ";", ipv6 ? "[" : "", server.first, ipv6 ? "]:" : ":",
               server.second);
  }
  return all;
}

Result<std::string> read_auth(const Options& options) {
  std::string methods;
  for (const auto& option : options) {
    if (!std::string_view(option.name).starts_with("auth-client-required.")) continue;
    const std::string_view method = option.text;
    if (method != "cephx" && method != "none")
      return fail(EINVAL, "Parameter 'null' does not accept value '", method, "'");
    methods += cat(methods.empty() ? "" : ";", method);
  }
  return methods;
}

Result<rbd_encryption_format_t> read_format(const std::string& text) {
  if (text == "luks") return RBD_ENCRYPTION_FORMAT_LUKS1;
  if (text == "luks2") return RBD_ENCRYPTION_FORMAT_LUKS2;
  if (text == "luks-any")
    return fail(ENOTSUP, "unknown image encryption format: 2: ", sdk::errno_text(ENOTSUP));
  return fail(EINVAL, "Parameter 'format' does not accept value '", text, "'");
}

Result<rbd_encryption_algorithm_t> read_cipher(const std::string& text) {
  if (text == "aes-128") return RBD_ENCRYPTION_ALGORITHM_AES128;
  if (text == "aes-256") return RBD_ENCRYPTION_ALGORITHM_AES256;
  return fail(EINVAL, "Parameter 'cipher-alg' does not accept value '", text, "'");
}

/** @param shown how errors name the parameters: "encrypt." before them, or nothing */
Result<std::optional<Encryption>> read_encryption(const Host& host, const Options& options,
                                                  std::string_view shown) {
  std::optional<Encryption> encryption;
  const bool wanted = options.has("encrypt.format");
  if (!wanted && !options.has("encrypt.key-secret") && !options.has("encrypt.cipher-alg"))
    return encryption;
  if (!wanted) return fail(EINVAL, "Parameter '", shown, "format' is missing");
  encryption.emplace();
  INSTAR_TRY(encryption->format, read_format(options.text("encrypt.format")));
  if (!options.has("encrypt.key-secret"))
    return fail(EINVAL, "Parameter '", shown, "key-secret' is missing");
  INSTAR_TRY(encryption->cipher, read_cipher(options.text("encrypt.cipher-alg", "aes-256")));
  INSTAR_TRY(encryption->passphrase, sdk::read_secret(host, options.text("encrypt.key-secret")));
  return encryption;
}

std::optional<std::string> optional_text(const Options& options, const char* name) {
  if (!options.has(name)) return std::nullopt;
  return options.text(name);
}

Result<Name> read_name(const Options& options) {
  Name name;
  for (const char* needed : {"pool", "image"})
    if (!options.has(needed)) return fail(EINVAL, "Parameter '", needed, "' is missing");
  name.pool = options.text("pool");
  name.space = options.text("namespace");
  name.image = options.text("image");
  name.snapshot = optional_text(options, "snapshot");
  name.conf = optional_text(options, "conf");
  name.user = optional_text(options, "user");
  if (options.has(kConfigOption)) {
    INSTAR_TRY(name.config, read_config(options.text(kConfigOption)));
  }
  return name;
}

}  // namespace

Result<Settings> read_settings(const sdk::OpenContext& context) {
  const Options options = context.options();
  Settings settings;
  INSTAR_TRY(settings.name, read_name(options));
  INSTAR_TRY(settings.mon_host, read_servers(options));
  INSTAR_TRY(settings.auth, read_auth(options));
  INSTAR_TRY(settings.key, read_key(context.host(), options));
  INSTAR_TRY(settings.encryption, read_encryption(context.host(), options, "encrypt."));
  return settings;
}

Result<Settings> read_settings(const sdk::CreateContext& context) {
  const Options options = context.options();
  Settings settings;
  INSTAR_TRY(settings.name, parse_name(context.filename()));
  settings.name.snapshot.reset();
  INSTAR_TRY(settings.encryption, read_encryption(context.host(), options, ""));
  INSTAR_TRY(settings.key, read_key(context.host(), options));
  return settings;
}

}  // namespace instar::rbd
