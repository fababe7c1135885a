// SPDX-License-Identifier: Apache-2.0
#include "core/output/messages.hpp"

#include <unistd.h>

#include <algorithm>

#include "core/base/file.hpp"
#include "sdk/cpp/json_writer.hpp"

namespace instar::output {
namespace {

void append_line(std::string& out, std::string_view line) {
  out += line;
  if (!line.ends_with('\n')) out += '\n';
}

}  // namespace

std::string error_text(std::string_view program, std::string_view message, std::string_view hint) {
  std::string text = cat(program, ": ");
  append_line(text, message);
  if (!hint.empty()) append_line(text, hint);
  return text;
}

std::string warning_text(std::string_view program, std::string_view message,
                         std::string_view more_lines) {
  std::string text = error_text(program, cat("warning: ", message), {});
  return text += more_lines;  // not all of QEMU's end with a newline
}

std::string caution_text(std::string_view message, std::string_view more_lines) {
  constexpr std::string_view kPrefix = "WARNING: ";
  std::string text = cat(kPrefix, message, "\n");
  while (!more_lines.empty()) {
    const size_t end = std::min(more_lines.find('\n'), more_lines.size());
    append_line(text, std::string(kPrefix.size(), ' ') + std::string(more_lines.substr(0, end)));
    more_lines.remove_prefix(std::min(end + 1, more_lines.size()));
  }
  return text;
}

std::string json_message(std::string_view kind, std::string_view message, std::string_view hint) {
  if (hint.ends_with('\n')) hint.remove_suffix(1);
  sdk::JsonWriter json;
  json.begin_object().key(kind).begin_object().field("message", message);
  if (!hint.empty()) json.field("hint", hint);
  return json.end_object().end_object().text() + "\n";
}

void write_stderr(std::string_view text) {
  static_cast<void>(base::write_all(STDERR_FILENO, text));
}

}  // namespace instar::output
