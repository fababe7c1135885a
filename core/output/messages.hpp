// SPDX-License-Identifier: Apache-2.0
/** @file messages.hpp Errors and warnings as users and scripts see them on stderr. */
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace instar::output {

/** "qemu-img: MESSAGE" and the hint's lines, with a newline at the end. `program` is the prefix
 * without the colon. */
std::string error_text(std::string_view program, std::string_view message,
                       std::string_view hint = {});

/** "qemu-img: warning: MESSAGE" and a newline, then more lines as they are. */
std::string warning_text(std::string_view program, std::string_view message,
                         std::string_view more_lines = {});

/** "WARNING: MESSAGE" and more lines below it, indented: a warning without the program's name. */
std::string caution_text(std::string_view message, std::string_view more_lines);

/** {"error": {"message": "…", "hint": "…"}} and a newline; no hint where there is none. @param kind
 * "error" or "warning" */
std::string json_message(std::string_view kind, std::string_view message, std::string_view hint);

/** Unbuffered, as one write where the system allows; errors are ignored. [any thread] */
void write_stderr(std::string_view text);

}  // namespace instar::output
