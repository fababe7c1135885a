// SPDX-License-Identifier: Apache-2.0
#include "core/options/arguments.hpp"

#include <algorithm>

namespace instar::options {
namespace {

class Reader {
 public:
  Reader(std::span<const std::string_view> arguments, std::span<const ArgumentSpec> specs,
         const ArgumentStyle& style)
      : arguments_(arguments), specs_(specs), style_(style) {
    numbers_are_operands_ = find_letter(kNegativeNumbersAreOperands) != nullptr;
  }

  ParsedArguments read() {
    while (at_ < arguments_.size() && !result_.error) {
      const std::string_view argument = arguments_[at_++];
      if (argument == "--") break;
      if (is_operand(argument)) {
        if (style_.stop_at_operand) {
          at_--;
          break;
        }
        operands_.push_back(argument);
      } else if (argument[1] == '-') {
        read_long(argument);
      } else {
        read_letters(argument.substr(1));
      }
    }
    if (result_.error) return std::move(result_);
    result_.first_operand = at_;
    operands_.insert(operands_.end(), arguments_.begin() + static_cast<ptrdiff_t>(at_),
                     arguments_.end());
    for (const std::string_view operand : operands_)
      result_.events.push_back({0, operand});
    return std::move(result_);
  }

 private:
  bool is_operand(std::string_view argument) const {
    if (argument.size() < 2 || argument[0] != '-') return true;
    return numbers_are_operands_ && argument[1] >= '0' && argument[1] <= '9';
  }

  void blame(const std::string& message) {
    result_.error = Error{EINVAL, cat(style_.program, ": ", message), help_pointer(style_.program)};
  }

  const ArgumentSpec* find_letter(char letter) const {
    const auto found = std::find_if(specs_.begin(), specs_.end(), [&](const ArgumentSpec& spec) {
      return spec.letter == letter;
    });
    return found == specs_.end() ? nullptr : &*found;
  }

  void read_letters(std::string_view letters) {
    while (!letters.empty()) {
      const char letter = letters[0];
      const ArgumentSpec* spec =
          letter == kNegativeNumbersAreOperands ? nullptr : find_letter(letter);
      if (spec == nullptr) return blame(cat("invalid option -- '", letter, "'"));
      letters.remove_prefix(1);
      if (!spec->takes_value) {
        result_.events.push_back({spec->id, std::nullopt});
        continue;
      }
      if (letters.empty() && at_ == arguments_.size())
        return blame(cat("option requires an argument -- '", letter, "'"));
      result_.events.push_back({spec->id, letters.empty() ? arguments_[at_++] : letters});
      return;
    }
  }

  void read_long(std::string_view argument) {
    const std::string_view body = argument.substr(2);
    const size_t equals = body.find('=');
    const ArgumentSpec* spec = find_long(argument, body.substr(0, equals));
    if (spec == nullptr) return;
    if (equals != std::string_view::npos) {
      if (!spec->takes_value && !spec->optional_value)
        return blame(cat("option '--", spec->name, "' doesn't allow an argument"));
      result_.events.push_back({spec->id, body.substr(equals + 1)});
    } else if (!spec->takes_value) {
      result_.events.push_back({spec->id, std::nullopt});
    } else if (at_ == arguments_.size()) {
      blame(cat("option '--", spec->name, "' requires an argument"));
    } else {
      result_.events.push_back({spec->id, arguments_[at_++]});
    }
  }

  /** The option meant by a whole or shortened name; blames and returns nullptr if there is none or
   * a choice. */
  const ArgumentSpec* find_long(std::string_view argument, std::string_view name) {
    std::vector<const ArgumentSpec*> matches;
    for (const bool secondary : {false, true}) {
      for (const ArgumentSpec& spec : specs_) {
        if (spec.name.empty() || !spec.name.starts_with(name)) continue;
        if (spec.name == name) return &spec;
        if (spec.secondary == secondary && (!secondary || !primary_matched(matches)))
          matches.push_back(&spec);
      }
    }
    if (matches.empty()) {
      blame(cat("unrecognized option '", argument, "'"));
      return nullptr;
    }
    const ArgumentSpec* first = matches.front();
    std::erase_if(matches, [&](const ArgumentSpec* other) {
      return other != first && other->id == first->id;
    });
    if (matches.size() == 1) return first;
    std::string message = cat("option '", argument, "' is ambiguous; possibilities:");
    for (const ArgumentSpec* match : matches)
      message += cat(" '--", match->name, "'");
    blame(message);
    return nullptr;
  }

  static bool primary_matched(const std::vector<const ArgumentSpec*>& matches) {
    return !matches.empty() && !matches.front()->secondary;
  }

  std::span<const std::string_view> arguments_;
  std::span<const ArgumentSpec> specs_;
  const ArgumentStyle& style_;
  bool numbers_are_operands_ = false;
  size_t at_ = 0;
  std::vector<std::string_view> operands_;
  ParsedArguments result_;
};

}  // namespace

std::string help_pointer(std::string_view program) {
  return cat("Try '", program, " --help' for more info");
}

ParsedArguments parse_arguments(std::span<const std::string_view> arguments,
                                std::span<const ArgumentSpec> specs, const ArgumentStyle& style) {
  return Reader(arguments, specs, style).read();
}

}  // namespace instar::options
