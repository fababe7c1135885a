// SPDX-License-Identifier: Apache-2.0
#include "core/host/session.hpp"

#include <unistd.h>

#include "core/host/interrupt.hpp"
#include "core/host/services.hpp"
#include "core/objects/objects.hpp"
#include "core/output/messages.hpp"
#include "sdk/abi/objects.h"
#include "sdk/abi/output.h"
#include "sdk/abi/registry.h"

namespace instar::host {

namespace {

Session* current_session = nullptr;

registry::Settings registry_settings(const SessionOptions& options, bool strict) {
  registry::Settings settings;
  settings.strict = strict;
  settings.search = loader::standard_search_path(options.plugin_files);
  settings.warn = [](std::string_view text) { Session::current().print_warning(text, {}); };
  return settings;
}

block::Graph::Messages graph_messages(Session& session) {
  block::Graph::Messages messages;
  messages.opaque = &session;
  messages.warn = [](void* opaque, std::string_view text, std::string_view more) {
    static_cast<Session*>(opaque)->print_warning(text, more);
  };
  messages.print = [](void* opaque, std::string_view text) {
    static_cast<Session*>(opaque)->print(text);
  };
  messages.caution = [](void* opaque, std::string_view text, std::string_view more) {
    static_cast<Session*>(opaque)->print_caution(text, more);
  };
  messages.cancelled = interrupted();
  return messages;
}

}  // namespace

Invocation parse_invocation(const char* argv0) {
  Invocation invocation;
  invocation.program = argv0 != nullptr ? argv0 : "instar";
  const auto slash = invocation.program.rfind('/');
  invocation.base_name =
      slash == std::string::npos ? invocation.program : invocation.program.substr(slash + 1);
  invocation.strict = invocation.base_name == "qemu-img";
  return invocation;
}

Session::Session(Invocation invocation, const SessionOptions& options)
    : invocation_(std::move(invocation)),
      standard_output_(STDOUT_FILENO),
      registry_(registry_settings(options, invocation_.strict)),
      graph_(registry_, options.references, graph_messages(*this)) {
  current_session = this;
  registry_.register_service(INSTAR_GRAPH_ID, graph_service());
  registry_.register_service(INSTAR_ENGINE_ID, engine_service());
  registry_.register_service(INSTAR_CLI_ID, cli_service());
  registry_.register_service(INSTAR_OUTPUT_ID, output_service());
  registry_.register_service(INSTAR_OBJECTS_ID, objects_service());
  objects::Objects::instance().decrypt_with(&decrypt_secret);
}

Session::~Session() {
  current_session = nullptr;
}

Session& Session::current() {
  return *current_session;
}

void Session::make_room() const {
  if (auto* const progress = progress_.load(); progress != nullptr) progress->make_room();
}

void Session::print(std::string_view text) {
  make_room();
  standard_output_.write(text);
}

void Session::print_error(std::string_view message, std::string_view hint) {
  map_printer_.reset();  // a table that ends here
  make_room();
  static_cast<void>(standard_output_.flush());
  output::write_stderr(has_mode(INSTAR_OUTPUT_JSON_MESSAGES)
                           ? output::json_message("error", message, hint)
                           : output::error_text(invocation_.base_name, message, hint));
}

void Session::print_caution(std::string_view message, std::string_view more_lines) const {
  make_room();
  static_cast<void>(standard_output_.flush());
  output::write_stderr(has_mode(INSTAR_OUTPUT_JSON_MESSAGES)
                           ? output::json_message("warning", message, more_lines)
                           : output::caution_text(message, more_lines));
}

void Session::print_warning(std::string_view message, std::string_view more_lines) const {
  static_cast<void>(standard_output_.flush());
  warn(message, more_lines);
}

void Session::warn(std::string_view message, std::string_view more_lines) const {
  make_room();
  output::write_stderr(has_mode(INSTAR_OUTPUT_JSON_MESSAGES)
                           ? output::json_message("warning", message, more_lines)
                           : output::warning_text(invocation_.base_name, message, more_lines));
}

}  // namespace instar::host
