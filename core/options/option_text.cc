// SPDX-License-Identifier: Apache-2.0
#include "core/options/option_text.hpp"

namespace instar::options {
namespace {

constexpr std::string_view kNegation = "no";

OptionText flag_option(std::string_view name) {
  if (name.starts_with(kNegation)) return {std::string(name.substr(kNegation.size())), "off", true};
  return {std::string(name), "on", true};
}

bool is_option_list(std::string_view text) {
  if (text.empty()) return false;
  while (!text.empty()) {
    const std::string element = take_option_value(text);
    if (element.empty() || element[0] == ',') return false;
    if (text == ",") return false;
    if (!text.empty()) text.remove_prefix(1);
  }
  return true;
}

}  // namespace

std::string take_option_value(std::string_view& text) {
  std::string value;
  while (!text.empty()) {
    if (text[0] == ',') {
      if (text.size() < 2 || text[1] != ',') break;
      text.remove_prefix(1);
    }
    value += text[0];
    text.remove_prefix(1);
  }
  return value;
}

std::vector<OptionText> split_options(std::string_view text) {
  std::vector<OptionText> options;
  while (!text.empty()) {
    const size_t end = text.find_first_of("=,");
    const std::string_view name = text.substr(0, end);
    text.remove_prefix(name.size());
    OptionText option = flag_option(name);
    if (!text.empty() && text[0] == '=') {
      text.remove_prefix(1);
      option = {std::string(name), take_option_value(text), false};
    }
    if (!text.empty()) text.remove_prefix(1);
    if (option.name != "id") options.push_back(std::move(option));
  }
  return options;
}

bool asks_for_help(std::string_view text) {
  for (const OptionText& option : split_options(text)) {
    if (!option.flag || option.value != "on") continue;
    if (option.name == "help" || option.name == "?") return true;
  }
  return false;
}

Status append_option_list(std::string& joined, std::string_view text) {
  if (!is_option_list(text)) return fail(EINVAL, "Invalid option list: ", text);
  if (!joined.empty()) joined += ',';
  joined += text;
  return {};
}

std::string escape_option_value(std::string_view value) {
  std::string escaped;
  for (const char c : value) {
    if (c == ',') escaped += ',';
    escaped += c;
  }
  return escaped;
}

}  // namespace instar::options
