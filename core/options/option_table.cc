// SPDX-License-Identifier: Apache-2.0
#include "core/options/option_table.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "core/base/sizes.hpp"
#include "core/base/strings.hpp"
#include "core/options/json_text.hpp"
#include "core/options/option_text.hpp"

namespace instar::options {
namespace {

constexpr std::string_view kSizeHint =
    "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n"
    "and exabytes, respectively.";

constexpr std::array<std::pair<std::string_view, OptionType>, 5> kTypeNames = {{
    {"string", OptionType::kString},
    {"bool", OptionType::kBool},
    {"number", OptionType::kNumber},
    {"size", OptionType::kSize},
    {"enum", OptionType::kEnum},
}};

std::string_view type_label(OptionType type) {
  switch (type) {
    case OptionType::kBool:
      return "<bool (on/off)>";
    case OptionType::kNumber:
      return "<num>";
    case OptionType::kSize:
      return "<size>";
    case OptionType::kString:
    case OptionType::kEnum:
      break;
  }
  return "<str>";
}

Result<OptionType> load_type(std::string_view name) {
  for (const auto& [known, type] : kTypeNames) {
    if (known == name) return type;
  }
  return fail(EINVAL, "unknown option type '", name, "'");
}

/** The text of a string member, nothing if it is absent, an error if it is no string. */
Result<std::optional<std::string>> load_text(const boost::json::object& object, const char* key) {
  const boost::json::value* value = object.if_contains(key);
  if (value == nullptr) return std::optional<std::string>();
  const boost::json::string* text = value->if_string();
  if (text == nullptr) return fail(EINVAL, "\"", key, "\" of an option is not a string");
  return std::optional(std::string(*text));
}

Status load_values(const boost::json::object& object, OptionSpec& spec) {
  const boost::json::value* values = object.if_contains("values");
  if (values == nullptr) return {};
  const boost::json::array* array = values->if_array();
  if (array == nullptr) return fail(EINVAL, "\"values\" of an option is not an array");
  for (const boost::json::value& value : *array) {
    if (!value.is_string()) return fail(EINVAL, "\"values\" holds something but strings");
    spec.values.emplace_back(value.get_string());
  }
  return {};
}

Result<OptionSpec> load_spec(const boost::json::value& value) {
  const boost::json::object* object = value.if_object();
  if (object == nullptr) return fail(EINVAL, "an option is not an object");
  OptionSpec spec;
  INSTAR_TRY(const auto name, load_text(*object, "name"));
  if (!name || name->empty()) return fail(EINVAL, "an option lacks \"name\"");
  spec.name = *name;
  INSTAR_TRY(const auto type, load_text(*object, "type"));
  INSTAR_TRY(spec.type, load_type(type.value_or("string")));
  INSTAR_TRY(const auto help, load_text(*object, "help"));
  spec.help = help.value_or("");
  INSTAR_TRY(spec.checked_as, load_text(*object, "checked_as"));
  if (const boost::json::value* value = object->if_contains("default")) {
    if (value->is_structured() || value->is_null())
      return fail(EINVAL, "\"default\" of an option is not a scalar");
    spec.default_text = scalar_text(*value);
  }
  INSTAR_CHECK(load_values(*object, spec));
  if (spec.default_text) INSTAR_CHECK(check_option(spec, *spec.default_text));
  return spec;
}

uint32_t abi_type(OptionType type) {
  switch (type) {
    case OptionType::kBool:
      return INSTAR_OPTION_BOOL;
    case OptionType::kNumber:
      return INSTAR_OPTION_NUMBER;
    case OptionType::kSize:
      return INSTAR_OPTION_SIZE;
    case OptionType::kString:
    case OptionType::kEnum:
      break;
  }
  return INSTAR_OPTION_STRING;
}

Result<OptionValue> check_size(const OptionSpec& spec, std::string_view text) {
  const base::ParsedSize size = base::parse_size(text);
  if (size.error == base::SizeError::kOutOfRange)
    return fail(ERANGE, "Value '", text, "' is out of range for parameter '", spec.name, "'");
  if (size.error == base::SizeError::kInvalid)
    return Error{EINVAL,
                 cat("Parameter '", spec.name, "' expects a non-negative number below 2^64"),
                 std::string(kSizeHint)};
  return OptionValue{std::string(text), size.bytes};
}

Result<OptionValue> check_number(const OptionSpec& spec, std::string_view text) {
  const base::ParsedSize number = base::parse_unsigned(text);
  if (number.error == base::SizeError::kOutOfRange)
    return fail(ERANGE, "Value '", text, "' is too large for parameter '", spec.name, "'");
  if (number.error == base::SizeError::kInvalid)
    return fail(EINVAL, "Parameter '", spec.name, "' expects a number");
  return OptionValue{std::string(text), number.bytes};
}

}  // namespace

Result<OptionTable> OptionTable::load(std::string_view json, std::string_view source) {
  const auto blame = [&](const Error& error) {
    return fail(EINVAL, source, ": options: ", error.message);
  };
  auto parsed = parse_json(json);
  if (!parsed) return blame(parsed.error());
  const boost::json::array* array = parsed->if_array();
  if (array == nullptr) return blame(fail(EINVAL, "not an array"));
  OptionTable table;
  for (const boost::json::value& value : *array) {
    auto spec = load_spec(value);
    if (!spec) return blame(spec.error());
    if (table.find(spec->name) != nullptr)
      return blame(fail(EINVAL, "'", spec->name, "' stands there twice"));
    table.specs_.push_back(*std::move(spec));
  }
  return table;
}

const OptionSpec* OptionTable::find(std::string_view name) const {
  const auto found = std::find_if(specs_.begin(), specs_.end(),
                                  [&](const OptionSpec& spec) { return spec.name == name; });
  return found == specs_.end() ? nullptr : &*found;
}

void OptionTable::append(const OptionTable& other) {
  for (const OptionSpec& spec : other.specs_) {
    const auto known = std::find_if(specs_.begin(), specs_.end(),
                                    [&](const OptionSpec& mine) { return mine.name == spec.name; });
    if (known == specs_.end())
      specs_.push_back(spec);
    else
      known->extension = known->extension && spec.extension;
  }
}

std::string OptionTable::help_text(std::string_view title, bool strict) const {
  constexpr size_t kNameWidth = 22;
  std::vector<std::string> lines;
  for (const OptionSpec& spec : specs_) {
    if (strict && spec.extension) continue;
    std::string line = "  ";
    base::append_left(line, cat(spec.name, "=", type_label(spec.type)), kNameWidth);
    if (!spec.help.empty()) line += " - " + spec.help;
    lines.push_back(std::move(line));
  }
  std::sort(lines.begin(), lines.end());
  std::string text = cat(title, ":\n");
  for (const std::string& line : lines)
    text += line + '\n';
  return text;
}

std::optional<bool> parse_bool(std::string_view text) {
  for (const std::string_view word : {"on", "yes", "true", "y"}) {
    if (text == word) return true;
  }
  for (const std::string_view word : {"off", "no", "false", "n"}) {
    if (text == word) return false;
  }
  return std::nullopt;
}

Result<OptionValue> check_option(const OptionSpec& spec, std::string_view text) {
  switch (spec.type) {
    case OptionType::kBool: {
      const std::optional<bool> flag = parse_bool(text);
      if (!flag) return fail(EINVAL, "Parameter '", spec.name, "' expects 'on' or 'off'");
      return OptionValue{std::string(text), *flag ? 1u : 0u};
    }
    case OptionType::kNumber:
      return check_number(spec, text);
    case OptionType::kSize:
      return check_size(spec, text);
    case OptionType::kString:
    case OptionType::kEnum:
      break;
  }
  return OptionValue{std::string(text), 0};
}

Status check_enum_value(const OptionSpec& spec, std::string_view text) {
  if (spec.type != OptionType::kEnum) return {};
  if (std::find(spec.values.begin(), spec.values.end(), text) != spec.values.end()) return {};
  const std::string& name = spec.checked_as.value_or(spec.name);
  if (name.empty()) return fail(EINVAL, "invalid parameter value: ", text);
  return fail(EINVAL, "Parameter '", name, "' does not accept value '", text, "'");
}

BoundOptions::BoundOptions(OptionTable table)
    : table_(std::make_shared<const OptionTable>(std::move(table))),
      slots_(table_->specs().size()) {
  for (size_t i = 0; i < slots_.size(); i++) {
    const OptionSpec& spec = table_->specs()[i];
    if (!spec.default_text) continue;
    // A manifest's defaults were checked when it was loaded.
    if (auto value = check_option(spec, *spec.default_text)) slots_[i].fallback = *std::move(value);
  }
}

const BoundOptions::Slot* BoundOptions::slot(std::string_view name) const {
  const OptionSpec* spec = table_->find(name);
  return spec == nullptr ? nullptr : &slots_[static_cast<size_t>(spec - table_->specs().data())];
}

Status BoundOptions::set(std::string_view name, std::string_view text) {
  const Slot* found = slot(name);
  if (found == nullptr) return fail(EINVAL, "Invalid parameter '", name, "'");
  const auto index = static_cast<size_t>(found - slots_.data());
  INSTAR_TRY(slots_[index].given, check_option(table_->specs()[index], text));
  return {};
}

Status BoundOptions::set_all(std::string_view option_text) {
  for (const OptionText& option : split_options(option_text))
    INSTAR_CHECK(set(option.name, option.value));
  return {};
}

const OptionValue* BoundOptions::given(std::string_view name) const {
  const Slot* found = slot(name);
  return found != nullptr && found->given ? &*found->given : nullptr;
}

std::string BoundOptions::text(std::string_view name) const {
  const Slot* found = slot(name);
  const OptionValue* value = found != nullptr ? found->value() : nullptr;
  return value != nullptr ? value->text : std::string();
}

uint64_t BoundOptions::number(std::string_view name) const {
  const Slot* found = slot(name);
  const OptionValue* value = found != nullptr ? found->value() : nullptr;
  return value != nullptr ? value->number : 0;
}

void BoundOptions::remove(std::string_view name) {
  if (const Slot* found = slot(name)) slots_[static_cast<size_t>(found - slots_.data())].given = {};
}

Status BoundOptions::check_values() const {
  for (size_t i = 0; i < slots_.size(); i++) {
    if (!slots_[i].given) continue;
    INSTAR_CHECK(check_enum_value(table_->specs()[i], slots_[i].given->text));
  }
  return {};
}

std::string BoundOptions::summary() const {
  std::string line;
  for (size_t i = 0; i < slots_.size(); i++) {
    const OptionSpec& spec = table_->specs()[i];
    const OptionValue* value = slots_[i].value();
    if (value == nullptr) continue;
    line += cat(" ", spec.name, "=");
    const bool counted = spec.type == OptionType::kSize || spec.type == OptionType::kNumber;
    if (counted && slots_[i].given) {
      base::append_decimal(line, static_cast<int64_t>(value->number));
    } else if (spec.type == OptionType::kString || spec.type == OptionType::kEnum) {
      line += escape_option_value(value->text);
    } else {
      line += value->text;
    }
  }
  return line;
}

std::vector<instar_option> BoundOptions::to_abi() const {
  std::vector<instar_option> items;
  for (size_t i = 0; i < slots_.size(); i++) {
    const OptionSpec& spec = table_->specs()[i];
    const OptionValue* value = slots_[i].value();
    if (value == nullptr) continue;
    items.push_back(
        {spec.name.c_str(), value->text.c_str(), value->number, abi_type(spec.type), 0});
  }
  return items;
}

}  // namespace instar::options
