// SPDX-License-Identifier: Apache-2.0
#include "core/objects/objects.hpp"

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "core/objects/credentials.hpp"
#include "core/objects/object_types.hpp"
#include "core/objects/throttle_limits.hpp"
#include "core/options/json_options.hpp"

namespace instar::objects {

namespace {

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

bool is_secret(std::string_view type) {
  return type == "secret" || type == "secret_keyring";
}

bool has_json_type(const boost::json::value& value, std::string_view type) {
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_bool();
  return type.empty() || value.is_number();
}

/** @param json from JSON, where values have types */
Result<std::map<std::string, std::string>> read_properties(const ObjectType& type,
                                                           const boost::json::object& flat,
                                                           bool json) {
  std::map<std::string, std::string> properties;
  for (const auto& [key, value] : flat) {
    const std::string name(key);
    const auto wanted = json_type(type, name);
    if (json && !has_json_type(value, wanted))
      return fail(EINVAL, "Invalid parameter type for '", name, "', expected: ", wanted);
    const std::string text = as_text(value);
    INSTAR_CHECK(check_property(type, name, text));
    properties.emplace(name, text);
  }
  for (const auto& property : type.properties)
    if (property.required && !properties.contains(std::string(property.name)))
      return fail(EINVAL, "Parameter '", property.name, "' is missing");
  return properties;
}

Result<std::string> take_key(boost::json::object& flat, const char* key) {
  const auto* value = flat.if_contains(key);
  if (value == nullptr) return fail(EINVAL, "Parameter '", key, "' is missing");
  std::string text = as_text(*value);
  flat.erase(key);
  return text;
}

}  // namespace

Objects& Objects::instance() {
  static Objects objects;
  return objects;
}

Result<std::string> Objects::add(std::string_view definition) {
  INSTAR_TRY(const auto parsed, options::read_keyval(definition, "qom-type"));
  auto flat = options::flatten(parsed.nested);
  Object object;
  const auto type_name = take_key(flat, "qom-type");
  const auto* type = type_name ? find_type(*type_name) : nullptr;
  if (parsed.help) return type != nullptr ? properties_help(*type) : types_help();
  if (!type_name) return type_name.error();
  if (type == nullptr || !type->usable)
    return fail(EINVAL, "Parameter 'qom-type' does not accept value '", *type_name, "'");
  object.type = *type_name;
  INSTAR_TRY(object.id, take_key(flat, "id"));
  INSTAR_TRY(object.properties, read_properties(*type, flat, definition.starts_with('{')));
  if (!is_identifier(object.id))
    return Error{EINVAL, "Parameter 'id' expects an identifier",
                 "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter."};
  if (find({}, object.id))
    return fail(EEXIST, "attempt to add duplicate property '", object.id,
                "' to object (type 'container')");
  INSTAR_CHECK(complete(object));
  const std::lock_guard lock(mutex_);
  objects_.emplace(object.id, std::move(object));
  return std::string();
}

/** What can be wrong with all properties together, and a secret's bytes. */
Status Objects::complete(Object& object) const {
  if (object.type == "throttle-group") return check_throttle_limits(object.properties);
  if (object.type.starts_with("tls-creds-"))
    return check_credentials(object.type, object.properties);
  if (!is_secret(object.type)) return {};
  const auto secret_of = [&](const std::string& key_id) -> Result<std::string_view> {
    INSTAR_TRY(const Object* key, find("secret", key_id));
    return key->secret.view();
  };
  INSTAR_TRY(object.secret, load_secret(object.properties, secret_of, decrypt_));
  return {};
}

Result<const Object*> Objects::find(std::string_view type, std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const auto found = objects_.find(id);
  if (found == objects_.end()) {
    if (type == "secret") return fail(ENOENT, "No secret with id '", id, "'");
    return fail(ENOENT, "No object with id '", id, "'");
  }
  const bool fits = type == "secret" ? is_secret(found->second.type) : found->second.type == type;
  if (!type.empty() && !fits) return fail(EINVAL, "Object with id '", id, "' is not a ", type);
  return &found->second;
}

}  // namespace instar::objects
