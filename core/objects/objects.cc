// SPDX-License-Identifier: Apache-2.0
#include "core/objects/objects.hpp"

#include <string.h>

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "core/base/file.hpp"
#include "core/objects/base64.hpp"
#include "core/objects/object_types.hpp"
#include "core/options/json_options.hpp"

namespace instar::objects {

namespace {

constexpr size_t kMaxSecret = 1 << 20;

std::string as_text(const boost::json::value& value) {
  if (const auto* text = value.if_string()) return std::string(*text);
  if (const auto* flag = value.if_bool()) return *flag ? "on" : "off";
  return boost::json::serialize(value);
}

bool is_identifier(std::string_view id) {
  if (id.empty() || !isalpha(static_cast<unsigned char>(id[0]))) return false;
  for (const char c : id)
    if (!isalnum(static_cast<unsigned char>(c)) && std::string_view("-._").find(c) == id.npos)
      return false;
  return true;
}

Result<std::string> read_secret_file(const std::string& path) {
  auto bytes = base::read_file(path, kMaxSecret);
  if (bytes) return bytes;
  const int code = bytes.error().code;
  return fail(code, "Unable to read ", path, ": Failed to open file \u201c", path,
              "\u201d: ", sdk::errno_text(code));
}

Result<SecretBytes> load_secret(std::map<std::string, std::string>& properties) {
  const auto take = [&](const char* name) -> std::optional<std::string> {
    const auto found = properties.find(name);
    if (found == properties.end()) return std::nullopt;
    return found->second;
  };
  const auto data = take("data"), file = take("file");
  properties.erase("data");
  if (data && file) return fail(EINVAL, "'file' and 'data' are mutually exclusive");
  if (!data && !file) return fail(EINVAL, "Either 'file' or 'data' must be provided");
  if (take("keyid"))
    return fail(ENOTSUP, "Secrets that are encrypted with another secret are not supported yet");
  std::string bytes;
  if (file) {
    INSTAR_TRY(bytes, read_secret_file(*file));
  } else {
    bytes = *data;
  }
  if (take("format").value_or("raw") == "base64") {
    auto decoded = decode_base64(bytes);
    explicit_bzero(bytes.data(), bytes.size());
    if (!decoded) return fail(EINVAL, "Base64 data contains invalid characters");
    bytes = *std::move(decoded);
  }
  return SecretBytes(std::move(bytes));
}

/** Limits of a kind can't be given both together and apart. */
Status check_throttle(const std::map<std::string, std::string>& properties) {
  for (const std::string prefix : {"x-", "limits."})
    for (const std::string unit : {"bps", "iops"})
      for (const std::string suffix : {"", "-max"}) {
        const auto given = [&](const char* direction) {
          const auto found = properties.find(prefix + unit + direction + suffix);
          return found != properties.end() && found->second != "0";
        };
        if (given("-total") && (given("-read") || given("-write")))
          return fail(EINVAL,
                      "bps/iops/max total values and read/write values cannot be used at the same "
                      "time");
      }
  return {};
}

Result<std::string> take_key(boost::json::object& flat, const char* key) {
  const auto* value = flat.if_contains(key);
  if (value == nullptr) return fail(EINVAL, "Parameter '", key, "' is missing");
  std::string text = as_text(*value);
  flat.erase(key);
  return text;
}

}  // namespace

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  wipe();
  bytes_ = std::move(other.bytes_);
  return *this;
}

void SecretBytes::wipe() noexcept {
  explicit_bzero(bytes_.data(), bytes_.size());
}

Objects& Objects::instance() {
  static Objects objects;
  return objects;
}

Result<std::string> Objects::add(std::string_view definition) {
  if (definition == "help" || definition == "?") return types_help();
  INSTAR_TRY(const auto parsed, options::read_keyval(definition, "qom-type"));
  auto flat = options::flatten(parsed.nested);
  INSTAR_TRY(const std::string type_name, take_key(flat, "qom-type"));
  const auto* type = find_type(type_name);
  if (type == nullptr)
    return fail(EINVAL, "Parameter 'qom-type' does not accept value '", type_name, "'");
  if (parsed.help) return properties_help(*type);

  Object object;
  object.type = type_name;
  INSTAR_TRY(object.id, take_key(flat, "id"));
  for (const auto& [name, value] : flat) {
    const std::string text = as_text(value);
    INSTAR_CHECK(check_property(*type, std::string(name), text));
    object.properties.emplace(name, text);
  }
  if (!is_identifier(object.id))
    return Error{EINVAL, "Parameter 'id' expects an identifier",
                 "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter."};
  if (type_name == "secret") {
    INSTAR_TRY(object.secret, load_secret(object.properties));
  }
  if (type_name == "secret_keyring")
    return fail(ENOTSUP, "Objects of type 'secret_keyring' are not supported yet");
  if (type_name == "throttle-group") INSTAR_CHECK(check_throttle(object.properties));

  const std::lock_guard lock(mutex_);
  std::string id = object.id;
  if (!objects_.emplace(id, std::move(object)).second)
    return fail(EEXIST, "attempt to add duplicate property '", id,
                "' to object (type 'container')");
  return std::string();
}

Result<const Object*> Objects::find(std::string_view type, std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const auto found = objects_.find(id);
  if (found == objects_.end()) {
    if (type == "secret") return fail(ENOENT, "No secret with id '", id, "'");
    return fail(ENOENT, "No object with id '", id, "'");
  }
  if (!type.empty() && found->second.type != type)
    return fail(EINVAL, "Object with id '", id, "' is not a ", type);
  return &found->second;
}

}  // namespace instar::objects
