// SPDX-License-Identifier: Apache-2.0
/**
 * @file arguments.hpp Command lines, read as glibc's getopt_long reads them and with its messages.
 *
 * Letters may be glued together and to their values ("-Ufraw"), long options may be shortened as
 * long as that is clear
 * ("--out=json"), operands may stand anywhere, "--" ends the options.
 */
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace instar::options {

/** One spelling of an option. An id may have several rows. */
struct ArgumentSpec {          // NOLINT(clang-analyzer-optin.performance.Padding): rows read well
  int32_t id;                  ///< the caller's own, > 0
  char letter = 0;             ///< 0: none
  bool takes_value = false;    ///< a value is compulsory
  std::string_view name = {};  ///< long spelling without dashes, "" without one
  /** Can't be shortened where the shortened form means another option: for spellings added to an
   * existing command. */
  bool secondary = false;
  bool optional_value = false;  ///< may have a value behind a '=' in the long spelling
};

/** A row with this letter lets "-5G" be an operand (the size of resize). */
constexpr char kNegativeNumbersAreOperands = '#';

struct ArgumentEvent {
  int32_t id;  ///< 0: an operand
  std::optional<std::string_view> value;

  bool operator==(const ArgumentEvent&) const = default;
};

struct ArgumentStyle {
  /** Before the colon of messages and in the hint: "/usr/bin/qemu-img convert". */
  std::string program;
  /** Options end at the first operand, as for the line before a command's name, or with
   * POSIXLY_CORRECT set. */
  bool stop_at_operand = false;
};

struct ParsedArguments {
  /** Options in their order, then the operands in theirs. Views into the arguments. */
  std::vector<ArgumentEvent> events;
  /**
   * What is wrong behind the events, which then hold no operands. The message is complete
   * ("qemu-img convert: invalid option -- 'Z'"), the hint points to --help.
   */
  std::optional<Error> error;
  /** Number of arguments up to the first operand. With stop_at_operand: where the command's name
   * stands. */
  size_t first_operand = 0;
};

/** @param arguments without the program's name */
ParsedArguments parse_arguments(std::span<const std::string_view> arguments,
                                std::span<const ArgumentSpec> specs, const ArgumentStyle& style);

/** "Try 'PROGRAM --help' for more info" */
std::string help_pointer(std::string_view program);

}  // namespace instar::options
