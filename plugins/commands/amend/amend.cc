// SPDX-License-Identifier: Apache-2.0
/** @file amend.cc The command amend: changes what the creation of an image has set. */
#include "sdk/cpp/plugin.hpp"
#include "sdk/cpp/report.hpp"

namespace instar::amend {

using namespace instar::sdk;

namespace {

struct Arguments {
  std::optional<std::string> format, options, cache;
  std::vector<std::string> files;
  bool image_opts = false, quiet = false, force = false;
  instar_progress_style progress = INSTAR_PROGRESS_NONE;
  ReportOptions report;
};

int print_help(const CommandContext& context, const std::string& format) {
  OutgoingCall call(&context.call());
  const int result =
      context.graph().print_options(context.host().abi(), call.abi(), format.c_str(), nullptr, 1);
  return result < 0 ? context.error(call.error(result)) : 0;
}

Status run_amend(CommandContext& context, const Arguments& arguments, Image image,
                 const Progress& progress) {
  const instar_progress sink = progress.abi();
  const auto* host = context.host().abi();
  const char* options = arguments.options->c_str();
  OutgoingCall call(&context.call());
  const int result =
      arguments.report.dry_run
          ? context.graph().check_amend(host, call.abi(), image.abi(), options)
          : context.graph().amend(host, call.abi(), image.abi(), options, arguments.force, &sink);
  INSTAR_CHECK(call.status(result));
  const std::string format = image.driver();
  INSTAR_CHECK(image.close());
  if (!arguments.report.wanted()) return {};
  return Report(context, arguments.report, "amend")
      .field("filename", arguments.files[0])
      .field("format", format)
      .field("options", *arguments.options)
      .print();
}

}  // namespace

class Amend {
 public:
  static int run(CommandContext& context) {
    Arguments arguments;
    CommandLine line("amend", "[OPTIONS] -o OPTS FILE",
                     "Changes options of an image that were chosen when it was created.");
    line.text('f', "format", "FMT", arguments.format, "format of FILE; without it FILE is probed")
        .flag(0, "image-opts", arguments.image_opts, "FILE is a list of key=value, not a name")
        .action('o', "options", "OPTS", accumulate(context, arguments.options),
                "the options and their new values; 'help' lists them")
        .text('t', "cache", "MODE", arguments.cache,
              "cache mode: none, writeback (default), writethrough, directsync, unsafe")
        .flag(0, "force", arguments.force, "do what can't be undone, too");
    add_progress_option(line, context, arguments.progress);
    line.flag('q', "quiet", arguments.quiet, "print nothing but errors");
    add_object_option(line, context);
    arguments.report.declare(line, context);
    line.operands(arguments.files).epilogue("Example: amend -o compat=1.1 disk.qcow2\n");
    if (const auto status = line.parse(context)) return *status;
    if (!arguments.options) return line.usage_error(context, "Must specify options (-o)");
    if (arguments.quiet) arguments.progress = INSTAR_PROGRESS_NONE;
    const Progress progress(context, arguments.progress | uint32_t{INSTAR_PROGRESS_STEPS}, 1,
                            Progress::Begin::kLater);
    return amend(context, arguments, progress);
  }

 private:
  static int amend(CommandContext& context, const Arguments& arguments, const Progress& progress) {
    const bool help = asks_for_help(*arguments.options);
    if (help && arguments.format) return print_help(context, *arguments.format);
    if (arguments.files.size() != 1) return context.error("Expecting one image file name");
    if (arguments.cache && !is_cache_mode(*arguments.cache))
      return context.error(cat("Invalid cache option: ", *arguments.cache));
    auto image =
        context.open(image_spec(arguments.files[0], arguments.format, arguments.image_opts,
                                arguments.report.dry_run ? 0 : INSTAR_OPEN_WRITE, arguments.cache));
    if (!image) return context.error(image.error());
    if (help) return print_help(context, image->driver());
    const auto done = run_amend(context, arguments, *std::move(image), progress);
    return done ? 0 : context.error(done.error());
  }
};

}  // namespace instar::amend

INSTAR_PLUGIN("command-amend", "1.0.0", instar::sdk::command<instar::amend::Amend>("amend"))
