// SPDX-License-Identifier: Apache-2.0
/** @file run.cc From argv to a command's exit status. */
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <span>
#include <string>
#include <vector>

#include "core/base/trace.hpp"
#include "core/host/help.hpp"
#include "core/host/interrupt.hpp"
#include "core/host/main.hpp"
#include "core/host/session.hpp"
#include "core/loader/guard.hpp"
#include "core/options/arguments.hpp"
#include "core/output/messages.hpp"
#include "sdk/cpp/call.hpp"

namespace instar::host {

namespace {

enum GlobalOption : int32_t { kHelp = 1, kVersion, kTrace, kPlugin, kReferences };

/** What stands before the command's name. */
struct GlobalArguments {
  SessionOptions session;
  bool help = false;
  bool version = false;
  std::string trace_list;  ///< --trace help
  size_t command = 0;      ///< index of the command's name in argv; argc: none
};

std::vector<options::ArgumentSpec> global_specs(bool strict) {
  std::vector<options::ArgumentSpec> specs = {
      {kHelp, 'h', false, "help"}, {kVersion, 'V', false, "version"}, {kTrace, 'T', true, "trace"}};
  if (!strict) {
    specs.push_back({kPlugin, 0, true, "plugin"});
    specs.push_back({kReferences, 0, true, "references"});
  }
  return specs;
}

Result<block::ReferencePolicy> parse_policy(std::string_view text) {
  if (text == "all") return block::ReferencePolicy::kAll;
  if (text == "same-folder") return block::ReferencePolicy::kSameFolder;
  if (text == "none") return block::ReferencePolicy::kNone;
  return fail(EINVAL, "--references expects 'all', 'same-folder' or 'none', not '", text, "'");
}

Result<GlobalArguments> parse_globals(const Invocation& invocation,
                                      std::span<const std::string_view> words) {
  GlobalArguments globals;
  const auto specs = global_specs(invocation.strict);
  const auto parsed = options::parse_arguments(words, specs, {invocation.program, true});
  for (const auto& event : parsed.events) {
    const auto value = event.value.value_or(std::string_view());
    switch (event.id) {
      case kHelp:
        globals.help = true;
        return globals;
      case kVersion:
        globals.version = true;
        return globals;
      case kTrace: {
        INSTAR_TRY(auto answer, base::configure_trace(value));
        output::write_stderr(answer.warnings);
        globals.trace_list = std::move(answer.list);
        if (!globals.trace_list.empty()) return globals;
        break;
      }
      case kPlugin:
        globals.session.plugin_files.emplace_back(value);
        break;
      case kReferences: {
        INSTAR_TRY(globals.session.references, parse_policy(value));
        break;
      }
      default:
        break;
    }
  }
  if (parsed.error) return *parsed.error;
  globals.command = parsed.first_operand + 1;
  return globals;
}

int run_command(Session& session, const registry::Provider& provider, int argc, char** argv) {
  const auto loaded = provider.load<instar_command_ops>();
  if (!loaded) {
    session.print_error(loaded.error().message, loaded.error().hint);
    return 1;
  }
  const instar_command_args args{sizeof args,
                                 session.invocation().strict ? uint32_t{INSTAR_COMMAND_STRICT} : 0u,
                                 argc, 0, argv};
  sdk::OutgoingCall outgoing;
  outgoing.abi()->cancelled = interrupted();
  outgoing.abi()->warn = [](instar_call*, const char* text, size_t length) {
    Session::current().warn({text, length});
  };
  const sdk::Call call(outgoing.abi());
  const int status = loader::call_plugin(call, provider.manifest().name, [&] {
    return loaded->ops->run(loaded->host, outgoing.abi(), &args);
  });
  if (status >= 0) return status;
  const auto error = outgoing.error(status);
  session.print_error(error.message, error.hint);
  return 1;
}

/** The command sees argv[0] and, from its own name on, the rest. */
int dispatch(Session& session, int argc, char** argv, size_t command) {
  const std::string hint = options::help_pointer(session.invocation().program);
  if (command >= static_cast<size_t>(argc)) {
    session.print_error("Not enough arguments", hint);
    return 1;
  }
  const auto* provider = session.registry().find_command(argv[command]);
  // qemu-img has no such command: it's ours alone.
  const bool hidden =
      provider != nullptr && session.invocation().strict && provider->info().has_flag("extension");
  if (provider == nullptr || hidden) {
    const auto why = hidden ? std::string()
                            : session.registry().package_hint(INSTAR_KIND_COMMAND, argv[command]);
    session.print_error(sdk::cat("Command not found: ", argv[command]),
                        why.empty() ? hint : why + "\n" + hint);
    return 1;
  }
  std::vector<char*> rest{argv[0]};
  rest.insert(rest.end(), argv + command, argv + argc);
  const int count = static_cast<int>(rest.size());
  rest.push_back(nullptr);
  return run_command(session, *provider, count, rest.data());
}

/** An image must not get the number of a standard stream that the caller closed: what is printed
 * would end in it. What stands there instead can't be used either: an image that comes from a closed
 * stream, or goes to one, is an error. */
void fill_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(stream, F_GETFD) < 0)
      (void)::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

}  // namespace

int run(int argc, char** argv) {
  fill_standard_streams();
  // Callers limit address space: an arena per thread would take 64 MiB of it each.
  mallopt(M_ARENA_MAX, 2);
  const auto invocation = parse_invocation(argc > 0 ? argv[0] : nullptr);
  const std::vector<std::string_view> words(argv + std::min(argc, 1), argv + argc);
  const auto globals = parse_globals(invocation, words);
  if (!globals) {
    const auto& error = globals.error();
    output::write_stderr(sdk::cat(error.message, "\n", error.hint, error.hint.empty() ? "" : "\n"));
    return 1;
  }
  if (globals->version || !globals->trace_list.empty()) {
    output::FdSink out(STDOUT_FILENO);
    out.write(globals->version ? version_text(invocation) : globals->trace_list);
    return out.flush() ? 0 : 1;
  }
  catch_interrupts();
  if (invocation.strict) outlive_readers();
  Session session(invocation, globals->session);
  if (globals->help) {
    session.standard_output().write(help_text(session));
    return session.standard_output().flush() ? 0 : 1;
  }
  int status = dispatch(session, argc, argv, globals->command);
  if (const auto flushed = session.standard_output().flush(); !flushed && status == 0) {
    session.print_error(flushed.error().message, {});
    status = 1;
  }
  end_if_interrupted();
  return status;
}

}  // namespace instar::host
