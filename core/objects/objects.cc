// SPDX-License-Identifier: Apache-2.0
#include "core/objects/objects.hpp"

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "core/objects/object_types.hpp"
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

/** Limits of a kind can't be given both together and apart. */
Status check_throttle(const std::map<std::string, std::string>& properties) {
  for (const std::string prefix : {"x-", "limits."})
    for (const std::string unit : {"bps", "iops"})
      for (const std::string suffix : {"", "-max"}) {
        const auto given = [&](const char* direction) {
          const auto found = properties.find(cat(prefix, unit, direction, suffix));
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
    const auto secret_of = [&](const std::string& key_id) -> Result<std::string_view> {
      INSTAR_TRY(const Object* key, find("secret", key_id));
      return key->secret.view();
    };
    INSTAR_TRY(object.secret, load_secret(object.properties, secret_of, decrypt_));
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
