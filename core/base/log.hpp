// SPDX-License-Identifier: Apache-2.0
/**
 * @file log.hpp What developers and support read, never scripts: off unless asked for, and always
 * on stderr. Messages to users (errors, warnings, results) go through core/output. May be called
 * from any thread.
 */
#pragma once

#include <string_view>

#include "core/base/result.hpp"

namespace instar::base {

enum class LogLevel { kTrace, kDebug, kInfo, kWarn, kError, kOff };

/** Sets what is written; kOff at the start. */
void set_log_level(LogLevel level);

/** "trace", "debug", "info", "warn", "error" or "off". False and no change for anything else. */
bool set_log_level(std::string_view name);

/** True if a message of this level would be written: for messages that cost something to build. */
bool log_enabled(LogLevel level);

void log_text(LogLevel level, std::string_view text);

/** log_debug("loaded ", path, " in ", micros, " us"); the parts are joined only if they are wanted.
 */
template <class... Parts>
void log(LogLevel level, const Parts&... parts) {
  if (log_enabled(level)) log_text(level, cat(parts...));
}
template <class... Parts>
void log_trace(const Parts&... parts) {
  log(LogLevel::kTrace, parts...);
}
template <class... Parts>
void log_debug(const Parts&... parts) {
  log(LogLevel::kDebug, parts...);
}
template <class... Parts>
void log_info(const Parts&... parts) {
  log(LogLevel::kInfo, parts...);
}
template <class... Parts>
void log_warn(const Parts&... parts) {
  log(LogLevel::kWarn, parts...);
}
template <class... Parts>
void log_error(const Parts&... parts) {
  log(LogLevel::kError, parts...);
}

}  // namespace instar::base
