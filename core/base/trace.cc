// SPDX-License-Identifier: Apache-2.0
#include "core/base/trace.hpp"

#include <fcntl.h>
#include <fnmatch.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cinttypes>
#include <cstdio>
#include <memory>
#include <optional>

#include "core/base/fd.hpp"
#include "core/base/file.hpp"

namespace instar::base {
namespace {

constexpr size_t kMaxEventsFile = 1 << 20;

/** Never destroyed: threads may log until the very end. Made when the first line is written. */
spdlog::logger* logger = nullptr;

spdlog::logger* make_logger(spdlog::sink_ptr sink) {
  auto* made = new spdlog::logger("trace", std::move(sink));
  made->set_pattern("%v");
  made->set_level(spdlog::level::trace);
  made->flush_on(spdlog::level::trace);
  return made;
}

void enable(size_t event, bool on) {
  const uint32_t bit = uint32_t{1} << event;
  if (on)
    wanted_events |= bit;
  else
    wanted_events &= ~bit;
}

/** One pattern. What is wrong with it, if anything. */
std::string take_pattern(std::string_view pattern) {
  const bool on = !pattern.starts_with('-');
  if (!on) pattern.remove_prefix(1);
  const std::string wanted(pattern);
  const bool many = pattern.find('*') != pattern.npos;
  bool found = false;
  for (size_t i = 0; i < kEventNames.size(); ++i) {
    const std::string name(kEventNames[i]);
    if (many ? fnmatch(wanted.c_str(), name.c_str(), 0) != 0 : name != wanted) continue;
    enable(i, on);
    found = true;
  }
  if (many || found) return {};
  return cat("warning: trace event '", wanted, "' does not exist\n");
}

bool asks_for_list(std::string_view pattern) {
  return pattern == "help" || pattern == "?";
}

std::string event_list() {
  std::string list;
  for (const auto name : kEventNames)
    list += cat(name, "\n");
  return list;
}

/** The patterns of a file; those that are unknown are warned of with their line. */
Status take_events_file(const std::string& path, TraceAnswer& answer) {
  const auto text = read_file(path, kMaxEventsFile);
  if (!text)
    return Error{
        text.error().code, cat("qemu-img:", path, ": ", sdk::errno_text(text.error().code)), {}};
  size_t number = 1;
  for (size_t start = 0; start < text->size(); ++number) {
    const size_t end = std::min(text->find('\n', start), text->size());
    const auto line = std::string_view(*text).substr(start, end - start);
    start = end + 1;
    if (line.empty() || line[0] == '#') continue;
    if (asks_for_list(line)) answer.list = event_list();
    const std::string problem = asks_for_list(line) ? "" : take_pattern(line);
    if (!problem.empty()) answer.warnings += cat("qemu-img:", path, ":", number, ": ", problem);
  }
  return {};
}

Status open_log_file(const std::string& path) {
  if (const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)); !fd) {
    const int code = errno;
    return Error{
        code, cat("qemu-img: Error opening logfile ", path, ": ", sdk::errno_text(code)), {}};
  }
  logger = make_logger(std::make_shared<spdlog::sinks::basic_file_sink_mt>(path));
  return {};
}

/** The parts of the option's value; later ones win. */
struct Request {
  std::optional<std::string> enable, events, file;
};

Result<Request> read_request(std::string_view text) {
  Request request;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find(',', start), text.size());
    const auto part = text.substr(start, end - start);
    const size_t equals = part.find('=');
    const bool first = start == 0;
    start = end + 1;
    const auto name = equals == part.npos ? first ? "enable" : part : part.substr(0, equals);
    const std::string value(equals == part.npos ? part : part.substr(equals + 1));
    if (name == "enable")
      request.enable = value;
    else if (name == "events")
      request.events = value;
    else if (name == "file")
      request.file = value;
    else
      return Error{EINVAL, cat("qemu-img: Invalid parameter '", name, "'"), {}};
  }
  return request;
}

}  // namespace

void write_trace(Event event, std::string_view text) {
  static spdlog::logger* const standard =
      logger == nullptr ? make_logger(std::make_shared<spdlog::sinks::stderr_sink_mt>()) : nullptr;
  auto* const target = logger != nullptr ? logger : standard;
  target->trace("{} {}", kEventNames[static_cast<size_t>(event)], text);
}

std::string hex_number(uint64_t value) {
  char text[20];
  std::snprintf(text, sizeof text, "0x%" PRIx64, value);
  return text;
}

Result<TraceAnswer> configure_trace(std::string_view text) {
  INSTAR_TRY(const Request request, read_request(text));
  TraceAnswer answer;
  if (request.enable && asks_for_list(*request.enable)) {
    answer.list = event_list();
    return answer;
  }
  if (request.enable)
    if (const auto problem = take_pattern(*request.enable); !problem.empty())
      answer.warnings = cat("qemu-img: ", problem);
  if (request.events) INSTAR_CHECK(take_events_file(*request.events, answer));
  if (request.file) INSTAR_CHECK(open_log_file(*request.file));
  return answer;
}

}  // namespace instar::base
