// SPDX-License-Identifier: Apache-2.0
#include "core/objects/object_types.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

namespace instar::objects {

namespace {

using enum PropertyKind;

constexpr Property kAuthzList[] = {{"policy", kPolicy, "QAuthZListPolicy"},
                                   {"rules", kOther, "QAuthZListRule"}};
constexpr Property kAuthzListFile[] = {{"filename", kString, "string"}, {"refresh", kBool, "bool"}};
constexpr Property kAuthzSimple[] = {{"identity", kString, "string", true}};
constexpr Property kMainLoop[] = {{"aio-max-batch", kInteger, "int"},
                                  {"thread-pool-max", kInteger, "int"},
                                  {"thread-pool-min", kInteger, "int"}};
constexpr Property kPrManager[] = {{"path", kString, "string", true}};
constexpr Property kSecret[] = {{"data", kString, "string"},
                                {"file", kString, "string"},
                                {"format", kSecretFormat, "QCryptoSecretFormat"},
                                {"iv", kString, "string"},
                                {"keyid", kString, "string"}};
constexpr Property kSecretKeyring[] = {{"format", kSecretFormat, "QCryptoSecretFormat"},
                                       {"iv", kString, "string"},
                                       {"keyid", kString, "string"},
                                       {"serial", kInt32, "int32_t", true}};
constexpr Property kThreadContext[] = {{"cpu-affinity", kOther, "int"},
                                       {"node-affinity", kOther, "int"}};
constexpr Property kThrottleGroup[] = {{"limits", kOther, "ThrottleLimits"},
                                       {"x-bps-read-max-length", kInteger, "int"},
                                       {"x-bps-read-max", kInteger, "int"},
                                       {"x-bps-read", kInteger, "int"},
                                       {"x-bps-total-max-length", kInteger, "int"},
                                       {"x-bps-total-max", kInteger, "int"},
                                       {"x-bps-total", kInteger, "int"},
                                       {"x-bps-write-max-length", kInteger, "int"},
                                       {"x-bps-write-max", kInteger, "int"},
                                       {"x-bps-write", kInteger, "int"},
                                       {"x-iops-read-max-length", kInteger, "int"},
                                       {"x-iops-read-max", kInteger, "int"},
                                       {"x-iops-read", kInteger, "int"},
                                       {"x-iops-size", kInteger, "int"},
                                       {"x-iops-total-max-length", kInteger, "int"},
                                       {"x-iops-total-max", kInteger, "int"},
                                       {"x-iops-total", kInteger, "int"},
                                       {"x-iops-write-max-length", kInteger, "int"},
                                       {"x-iops-write-max", kInteger, "int"},
                                       {"x-iops-write", kInteger, "int"}};
constexpr Property kTlsAnon[] = {{"dir", kString, "string"},
                                 {"endpoint", kEndpoint, "QCryptoTLSCredsEndpoint"},
                                 {"priority", kString, "string"},
                                 {"verify-peer", kBool, "bool"}};
constexpr Property kTlsPsk[] = {{"dir", kString, "string"},
                                {"endpoint", kEndpoint, "QCryptoTLSCredsEndpoint"},
                                {"priority", kString, "string"},
                                {"username", kString, "string"},
                                {"verify-peer", kBool, "bool"}};
constexpr Property kTlsX509[] = {
    {"dir", kString, "string"},        {"endpoint", kEndpoint, "QCryptoTLSCredsEndpoint"},
    {"passwordid", kString, "string"}, {"priority", kString, "string"},
    {"sanity-check", kBool, "bool"},   {"verify-peer", kBool, "bool"}};

constexpr std::array<ObjectType, 12> kTypes = {{{"authz-list", kAuthzList},
                                                {"authz-list-file", kAuthzListFile, false},
                                                {"authz-simple", kAuthzSimple},
                                                {"main-loop", kMainLoop},
                                                {"pr-manager-helper", kPrManager},
                                                {"secret", kSecret},
                                                {"secret_keyring", kSecretKeyring},
                                                {"thread-context", kThreadContext},
                                                {"throttle-group", kThrottleGroup},
                                                {"tls-creds-anon", kTlsAnon},
                                                {"tls-creds-psk", kTlsPsk},
                                                {"tls-creds-x509", kTlsX509}}};

/** Of any base that C has. */
std::optional<int64_t> read_integer(const std::string& text) {
  char* end = nullptr;
  errno = 0;
  const long long value = std::strtoll(text.c_str(), &end, 0);
  if (errno != 0 || end == text.c_str() || *end != '\0') return std::nullopt;
  return value;
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

/** "limits.bps-total": a limit of a throttle group by its schema name. */
bool is_throttle_limit(std::string_view name) {
  constexpr std::string_view kPrefix = "limits.";
  if (!name.starts_with(kPrefix)) return false;
  const std::string full = "x-" + std::string(name.substr(kPrefix.size()));
  return std::any_of(std::begin(kThrottleGroup), std::end(kThrottleGroup),
                     [&](const Property& p) { return p.name == full; });
}

/** The properties of a throttle group are checked one by one only where they are not dotted. */
Status check_throttle_property(const std::string& name, const std::string& value) {
  const auto number = read_integer(value);
  if (!number) return fail(EINVAL, "Parameter '", name, "' expects integer");
  if (name.starts_with("limits.")) return {};
  if (*number < 0) return fail(EINVAL, "Property values cannot be negative");
  if (name.ends_with("-max-length") && *number > UINT32_MAX)
    return fail(EINVAL, name, " value must be in therange [0, ", UINT32_MAX, "]");
  return {};
}

Status check_kind(PropertyKind kind, const std::string& name, const std::string& value) {
  switch (kind) {
    case kBool:
      if (!is_one_of(value, {"on", "off", "yes", "no", "true", "false", "y", "n"}))
        return fail(EINVAL, "Parameter '", name, "' expects 'on' or 'off'");
      return {};
    case kInteger:
    case kInt32: {
      const auto number = read_integer(value);
      if (!number) return fail(EINVAL, "Parameter '", name, "' expects integer");
      const bool fits = *number >= INT32_MIN && *number <= INT32_MAX;
      if (kind == kInt32 && !fits) return fail(EINVAL, "Parameter '", name, "' expects int32_t");
      return {};
    }
    case kSecretFormat:
      if (is_one_of(value, {"raw", "base64"})) return {};
      break;
    case kEndpoint:
      if (is_one_of(value, {"client", "server"})) return {};
      break;
    case kPolicy:
      if (is_one_of(value, {"deny", "allow"})) return {};
      break;
    default:
      return {};
  }
  return fail(EINVAL, "Parameter '", name, "' does not accept value '", value, "'");
}

}  // namespace

const ObjectType* find_type(std::string_view name) {
  const auto found = std::find_if(kTypes.begin(), kTypes.end(),
                                  [&](const ObjectType& type) { return type.name == name; });
  return found != kTypes.end() ? &*found : nullptr;
}

std::string types_help() {
  std::string out = "List of user creatable objects:\n";
  for (const auto& type : kTypes)
    out += sdk::cat("  ", type.name, "\n");
  return out;
}

std::string properties_help(const ObjectType& type) {
  std::string out = sdk::cat(type.name, " options:\n");
  for (const auto& property : type.properties)
    out += sdk::cat("  ", property.name, "=<", property.shown, ">\n");
  return out;
}

std::string_view json_type(const ObjectType& type, std::string_view name) {
  if (type.name == "throttle-group" && is_throttle_limit(name)) return "integer";
  const auto found = std::find_if(type.properties.begin(), type.properties.end(),
                                  [&](const Property& p) { return p.name == name; });
  if (found == type.properties.end() || found->kind == kOther) return {};
  if (found->kind == kBool) return "boolean";
  return found->kind == kInteger || found->kind == kInt32 ? "integer" : "string";
}

Status check_property(const ObjectType& type, const std::string& name, const std::string& value) {
  if (name == "limits" && type.name == "throttle-group")
    return fail(EINVAL, "Invalid parameter type for 'limits', expected: object");
  for (const auto& property : type.properties)
    if (property.name == name && type.name == "throttle-group")
      return check_throttle_property(name, value);
  for (const auto& property : type.properties)
    if (property.name == name) return check_kind(property.kind, name, value);
  if (type.name == "throttle-group" && is_throttle_limit(name))
    return check_throttle_property(name, value);
  if (type.name == "authz-list" && name.starts_with("rules.")) return {};
  if (type.name == "thread-context" &&
      (name.starts_with("cpu-affinity.") || name.starts_with("node-affinity.")))
    return {};
  return fail(EINVAL, "Parameter '", name, "' is unexpected");
}

}  // namespace instar::objects
