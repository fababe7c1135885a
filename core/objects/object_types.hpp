// SPDX-License-Identifier: Apache-2.0
/** @file object_types.hpp The types of --object and the properties that each takes. */
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace instar::objects {

enum class PropertyKind {
  kString,
  kBool,
  kInteger,
  kInt32,
  kSecretFormat,
  kEndpoint,
  kPolicy,
  kOther
};

struct Property {
  std::string_view name;
  PropertyKind kind;
  std::string_view shown;  ///< in the help: "string", "ThrottleLimits"
  bool required = false;
};

struct ObjectType {
  std::string_view name;
  std::span<const Property> properties;  ///< in the help's order
  bool usable = true;                    ///< false: known to the help only
};

/** nullptr: no such type. */
const ObjectType* find_type(std::string_view name);

/** "List of user creatable objects:" and the names. */
std::string types_help();
/** "secret options:" and the properties. */
std::string properties_help(const ObjectType& type);

/** A property is known and its value is of its kind; errors in QEMU's wording. Properties below
 * "limits" of a throttle group are dotted. */
Status check_property(const ObjectType& type, const std::string& name, const std::string& value);

/** What a value of the property has to be in JSON: "string", "boolean", "integer"; empty: anything. */
std::string_view json_type(const ObjectType& type, std::string_view name);

}  // namespace instar::objects
