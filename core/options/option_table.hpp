// SPDX-License-Identifier: Apache-2.0
/**
 * @file option_table.hpp The options that a plugin's manifest declares, and values bound to them.
 *
 * A manifest declares an option as {"name", "type", "default", "help", "values", "checked_as"}; all
 * but "name" may be left out. Types: "string" (the usual), "bool", "number", "size", "enum".
 * "default" is the text that create prints. "values" lists what an enum accepts. "checked_as" is
 * the name that the message about a wrong enum value calls the option; "" gives the message without
 * a name. An option "NAME.*" takes whatever else begins with "NAME.": its value is the rest of such
 * a name, so that the plugin can refuse it in its own words, or not.
 */
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "sdk/abi/types.h"

namespace instar::options {

enum class OptionType { kString, kBool, kNumber, kSize, kEnum };

struct OptionSpec {
  std::string name;
  OptionType type = OptionType::kString;
  std::optional<std::string> default_text = {};
  std::string help = {};
  std::vector<std::string> values = {};
  std::optional<std::string> checked_as = {};
  bool extension = false;  ///< not QEMU's
};

/** The declared options in the order in which create prints them. */
class OptionTable {
 public:
  OptionTable() = default;
  explicit OptionTable(std::vector<OptionSpec> specs) : specs_(std::move(specs)) {}

  /** From a JSON array. `source` names the manifest in errors. */
  static Result<OptionTable> load(std::string_view json, std::string_view source);

  const std::vector<OptionSpec>& specs() const { return specs_; }
  bool empty() const { return specs_.empty(); }
  const OptionSpec* find(std::string_view name) const;

  /** Adds the options of another table (a protocol's) behind; a name that is there already stays as
   * it is. */
  void append(const OptionTable& other);

  /** What -o help prints: "TITLE:" ("Supported options", "Amend options for 'qcow2'"), then a line
   * per option. @param strict only QEMU's. */
  std::string help_text(std::string_view title, bool strict = false) const;

 private:
  std::vector<OptionSpec> specs_;
};

/** A value that was checked against its spec. */
struct OptionValue {
  std::string text;
  uint64_t number = 0;  ///< of a bool (0, 1), a number (two's complement) or a size (bytes)
};

/**
 * Checks a text against an option's type. Errors: "Parameter 'X' expects 'on' or 'off'", "Parameter
 * 'X' expects a number", "Value 'V' is too large for parameter 'X'", "Parameter 'X' expects a
 * non-negative number below 2^64" (with hint), "Value 'V' is out of range for parameter 'X'". Enum
 * values are checked by BoundOptions::check_values.
 */
Result<OptionValue> check_option(const OptionSpec& spec, std::string_view text);

/** "Parameter 'X' does not accept value 'V'", or nothing wrong. For strings always nothing. */
Status check_enum_value(const OptionSpec& spec, std::string_view text);

/** True/false for on, yes, true, y and off, no, false, n. */
std::optional<bool> parse_bool(std::string_view text);

/** Values for a table. Copies share the table. */
class BoundOptions {
 public:
  explicit BoundOptions(OptionTable table);

  const OptionTable& table() const { return *table_; }

  /** Sets one; the last one wins. "Invalid parameter 'X'" for an unknown name. */
  Status set(std::string_view name, std::string_view text);

  /** Sets all of a -o text, in its order, up to the first wrong one. */
  Status set_all(std::string_view option_text);

  /** Was given, whatever the default. */
  bool has(std::string_view name) const { return given(name) != nullptr; }
  const OptionValue* given(std::string_view name) const;

  /** What was given, else the default; an unknown or absent option is "" or 0. */
  std::string text(std::string_view name) const;
  uint64_t number(std::string_view name) const;

  void remove(std::string_view name);

  /** Enum values are checked late: create prints its "Formatting" line before it finds them wrong.
   */
  Status check_values() const;

  /** " a=1 b=off": the given ones and the defaults, in the table's order, for the "Formatting"
   * line. */
  std::string summary() const;

  /** The given ones and the defaults as a plugin gets them. Points into *this, valid until it
   * changes. */
  std::vector<instar_option> to_abi() const;

 private:
  struct Slot {
    std::optional<OptionValue> given;
    std::optional<OptionValue> fallback;

    const OptionValue* value() const { return given ? &*given : (fallback ? &*fallback : nullptr); }
  };

  const Slot* slot(std::string_view name) const;

  std::shared_ptr<const OptionTable> table_;
  std::vector<Slot> slots_;  ///< one per spec
};

}  // namespace instar::options
