// SPDX-License-Identifier: Apache-2.0
#include "core/options/option_text.hpp"

namespace instar::options {
namespace {

constexpr std::string_view kNegation = "no";

OptionText flag_option(std::string_view name) {
  if (name.starts_with(kNegation)) return {std::string(name.substr(kNegation.size())), "off", true};
  return {std::string(name), "on", true};
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

std::string escape_option_value(std::string_view value) {
  std::string escaped;
  for (const char c : value) {
    if (c == ',') escaped += ',';
    escaped += c;
  }
  return escaped;
}

}  // namespace instar::options
