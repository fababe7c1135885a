// SPDX-License-Identifier: Apache-2.0
/**
 * @file command_line.hpp
 * A command's options declared once: for parsing, and for --help.
 */
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "command.hpp"

namespace instar::sdk {

/**
 * CommandLine line("info", "[OPTIONS] FILE", "Describes an image.");
 * line.flag('U', "force-share", share, "…").operands(files);
 * if (const auto status = line.parse(context)) return *status;
 *
 * Long names of one option are separated by '|'; --help shows the first. One that begins with '+' was
 * added later: its shortened forms give way to those of other options. An empty help text hides
 * an option. A metavar in brackets, "[=json]", is a value that may be left out: nullptr then.
 */
class CommandLine {
 public:
  /** Handles a value. A result: the command ends now with that exit status (an error was reported).
   */
  using Handler = std::function<std::optional<int>(const char* value)>;

  CommandLine(std::string name, std::string syntax, std::string summary)
      : name_(std::move(name)), syntax_(std::move(syntax)), summary_(std::move(summary)) {}

  CommandLine& flag(char letter, const char* names, bool& target, std::string help) {
    return action(
        letter, names, "",
        [&target](const char*) -> std::optional<int> {
          target = true;
          return std::nullopt;
        },
        std::move(help));
  }
  CommandLine& text(char letter, const char* names, const char* metavar,
                    std::optional<std::string>& target, std::string help) {
    return action(
        letter, names, metavar,
        [&target](const char* value) -> std::optional<int> {
          target = value;
          return std::nullopt;
        },
        std::move(help));
  }
  CommandLine& action(char letter, const char* names, const char* metavar, Handler handler,
                      std::string help) {
    return add(letter, names, metavar, std::move(help), std::move(handler));
  }
  CommandLine& operands(std::vector<std::string>& target) {
    operands_ = &target;
    return *this;
  }
  /** Text after the options: what the operands mean, examples. */
  CommandLine& epilogue(std::string text) {
    epilogue_ = std::move(text);
    return *this;
  }

  /** Reads the command line. A value: end now with that exit status (help was shown, or an error
   * reported). */
  std::optional<int> parse(CommandContext& context) {
    action(
        'h', "help", "",
        [&](const char*) -> std::optional<int> {
          context.print(help_text(context.args().argv[0]));
          return 0;
        },
        "show this help and exit");
    std::optional<int> status;
    const auto specs = make_specs();
    const bool good = context.parse(specs, [&](int32_t id, const char* value) {
      if (id != 0)
        status = entries_[static_cast<size_t>(id) - 1].handler(value);
      else if (operands_ != nullptr)
        operands_->emplace_back(value);
      return !status.has_value();
    });
    if (status) return status;
    if (!good) return 1;
    return std::nullopt;
  }
  /** "Expecting …" and the line that points to --help; gives the exit status. */
  int usage_error(CommandContext& context, std::string_view text) const {
    return context.error(
        text, cat("Try '", context.args().argv[0], " ", name_, " --help' for more info"));
  }
  /** @param program as typed; its folder is not shown. */
  std::string help_text(std::string_view program) const {
    program.remove_prefix(program.rfind('/') + 1);
    std::string out =
        cat("Usage: ", program, " ", name_, " ", syntax_, "\n\n", summary_, "\n\nOptions:\n");
    for (const auto& entry : entries_)
      if (!entry.help.empty()) out += entry_help(entry);
    if (!epilogue_.empty()) out += "\n" + epilogue_;
    return out;
  }

 private:
  struct Entry {
    char letter;
    std::vector<std::string> names;
    std::string metavar;
    std::string help;
    Handler handler;
  };

  CommandLine& add(char letter, std::string_view names, std::string metavar, std::string help,
                   Handler handler) {
    Entry entry{letter, {}, std::move(metavar), std::move(help), std::move(handler)};
    for (size_t start = 0; start <= names.size();) {
      const size_t end = std::min(names.find('|', start), names.size());
      entry.names.emplace_back(names.substr(start, end - start));
      start = end + 1;
    }
    entries_.push_back(std::move(entry));
    return *this;
  }
  /** Rows point into entries_, which no longer changes. */
  std::vector<instar_arg_spec> make_specs() const {
    std::vector<instar_arg_spec> specs;
    for (size_t i = 0; i < entries_.size(); ++i) {
      const auto& entry = entries_[i];
      const auto id = static_cast<int32_t>(i + 1);
      const uint8_t takes_value = entry.metavar.empty()            ? 0
                                  : entry.metavar.starts_with('[') ? 2
                                                                   : 1;
      char letter = entry.letter;
      for (const auto& name : entry.names) {
        const bool secondary = name.starts_with('+');
        const char* text = name.c_str() + (secondary ? 1 : 0);
        specs.push_back({id, letter, takes_value, static_cast<uint8_t>(secondary), 0,
                         *text != '\0' ? text : nullptr});
        letter = 0;
      }
    }
    return specs;
  }
  static std::string entry_help(const Entry& entry) {
    std::string_view name = entry.names.front();
    if (name.starts_with('+')) name.remove_prefix(1);
    std::string left = "  ";
    if (entry.letter != 0) left += cat("-", entry.letter, name.empty() ? "" : ", ");
    if (!name.empty()) left += cat("--", name);
    if (!entry.metavar.empty()) left += (entry.metavar[0] == '[' ? "" : " ") + entry.metavar;
    constexpr size_t kColumn = 34;
    if (left.size() + 2 > kColumn)
      return left + "\n" + std::string(kColumn, ' ') + entry.help + "\n";
    return left + std::string(kColumn - left.size(), ' ') + entry.help + "\n";
  }

  std::string name_;
  std::string syntax_;
  std::string summary_;
  std::string epilogue_;
  std::vector<Entry> entries_;
  std::vector<std::string>* operands_ = nullptr;
};

}  // namespace instar::sdk
