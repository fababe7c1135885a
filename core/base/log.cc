// SPDX-License-Identifier: Apache-2.0
#include "core/base/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <atomic>
#include <memory>
#include <utility>

namespace instar::base {
namespace {

// Kept outside spdlog, so that a run that logs nothing never builds a logger.
std::atomic<LogLevel> current_level = LogLevel::kOff;

spdlog::logger& logger() {
  // Never destroyed: threads may log until the very end.
  static auto* const instance = [] {
    auto* made = new spdlog::logger("instar", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%H:%M:%S.%f %t %l %v");
    made->set_level(spdlog::level::trace);
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return *instance;
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return spdlog::level::trace;
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      break;
  }
  return spdlog::level::off;
}

constexpr std::array kLevelNames = {
    std::pair{std::string_view("trace"), LogLevel::kTrace},
    std::pair{std::string_view("debug"), LogLevel::kDebug},
    std::pair{std::string_view("info"), LogLevel::kInfo},
    std::pair{std::string_view("warn"), LogLevel::kWarn},
    std::pair{std::string_view("error"), LogLevel::kError},
    std::pair{std::string_view("off"), LogLevel::kOff},
};

}  // namespace

void set_log_level(LogLevel level) {
  current_level.store(level, std::memory_order_relaxed);
}

bool set_log_level(std::string_view name) {
  for (const auto& [known, level] : kLevelNames) {
    if (known != name) continue;
    set_log_level(level);
    return true;
  }
  return false;
}

bool log_enabled(LogLevel level) {
  return level != LogLevel::kOff && level >= current_level.load(std::memory_order_relaxed);
}

void log_text(LogLevel level, std::string_view text) {
  if (log_enabled(level)) logger().log(to_spdlog(level), text);
}

}  // namespace instar::base
