// SPDX-License-Identifier: Apache-2.0
/** @file check.cc The command check: is an image's metadata consistent, and can it be repaired? */
#include "plugins/commands/check/chain.hpp"
#include "plugins/commands/check/checking.hpp"
#include "sdk/cpp/image_arguments.hpp"
#include "sdk/cpp/plugin.hpp"

namespace instar::check {

using namespace instar::sdk;

struct Arguments {
  std::optional<std::string> format;
  std::optional<std::string> cache;
  std::vector<std::string> files;
  bool image_opts = false;
  bool force_share = false;
  bool quiet = false;
  bool chain = false;
  instar_output_style style = INSTAR_OUTPUT_HUMAN;
  uint32_t fix = 0;
};

class Check {
 public:
  static int run(CommandContext& context) {
    Arguments arguments;
    CommandLine line("check", "[OPTIONS] FILE",
                     "Checks an image's own tables: every cluster is counted as often as it is "
                     "used, nothing\n"
                     "overlaps. What its guest wrote is not looked at.");
    declare(line, context, arguments);
    if (const auto status = line.parse(context)) return *status;
    if (arguments.files.size() != 1)
      return line.usage_error(context, "Expecting one image file name");
    if (arguments.cache && !is_cache_mode(*arguments.cache))
      return context.error(cat("Invalid source cache option: ", *arguments.cache));
    if (arguments.chain && arguments.fix != 0)
      return context.error("--chain and --repair are mutually exclusive",
                           "Repair the images that need it one by one.");
    const uint32_t flags = INSTAR_OPEN_CHECK |
                           (arguments.fix != 0 ? uint32_t{INSTAR_OPEN_WRITE} : 0u) |
                           (arguments.force_share ? uint32_t{INSTAR_OPEN_FORCE_SHARE} : 0u);
    const auto spec = image_spec(arguments.files[0], arguments.format, arguments.image_opts, flags,
                                 arguments.cache);
    if (arguments.chain) return check_chain(context, spec, arguments.quiet, arguments.style);
    auto image = context.open(spec);
    if (!image) return context.error(image.error());
    const int status = check(context, *image, arguments);
    if (const auto closed = image->close(); !closed && status == kGood)
      return context.error(closed.error());
    return status;
  }

 private:
  static void declare(CommandLine& line, CommandContext& context, Arguments& arguments) {
    line.text('f', "format", "FMT", arguments.format, "format of FILE; without it FILE is probed")
        .flag(0, "image-opts", arguments.image_opts, "FILE is a list of key=value, not a name")
        .action('r', "repair", "leaks|all", repair_handler(line, context, arguments.fix),
                "free clusters that nobody uses, or repair all that is found")
        .text('T', "cache", "MODE", arguments.cache,
              "cache mode: none, writeback (default), writethrough, directsync, unsafe")
        .flag('q', "quiet", arguments.quiet, "print nothing but errors")
        .flag('U', "force-share", arguments.force_share,
              "check an image that somebody has open for writing");
    if (!context.strict())
      line.flag(0, "chain", arguments.chain, "check the backing files too, down to the last one");
    add_output_option(line, context, arguments.style);
    add_object_option(line, context);
    line.operands(arguments.files)
        .epilogue(
            "Exit status: 0 good or repaired, 1 the check could not be finished, 2 the image is "
            "corrupt,\n"
            "3 clusters are leaked but nothing is wrong, 63 the format has no check.\n");
  }

  static CommandLine::Handler repair_handler(CommandLine& line, CommandContext& context,
                                             uint32_t& fix) {
    return [&](const char* text) -> std::optional<int> {
      const std::string_view what = text;
      if (what == "leaks")
        fix = INSTAR_FIX_LEAKS;
      else if (what == "all")
        fix = INSTAR_FIX_LEAKS | INSTAR_FIX_ERRORS;
      else
        return line.usage_error(context,
                                cat("--repair (-r) expects 'leaks' or 'all' not '", what, "'"));
      return std::nullopt;
    };
  }

  static int check(CommandContext& context, const Image& image, const Arguments& arguments) {
    instar_check_result result;
    Status done = check_once(context, image.node(), arguments.fix, {}, &result);
    if (!done && done.error().code == ENOTSUP) {
      context.error("This image format does not support checks");
      return kUnsupported;
    }
    if (done && (result.corruptions_fixed != 0 || result.leaks_fixed != 0)) {
      const instar_check_result repaired = result;
      if (arguments.style == INSTAR_OUTPUT_HUMAN && !arguments.quiet)
        context.print(cat("The following inconsistencies were found and repaired:\n\n    ",
                          repaired.leaks_fixed, " leaked clusters\n    ",
                          repaired.corruptions_fixed,
                          " corruptions\n\nDouble checking the fixed image now...\n"));
      done = check_once(context, image.node(), 0, {}, &result);
      result.leaks_fixed = repaired.leaks_fixed;
      result.corruptions_fixed = repaired.corruptions_fixed;
    }
    if (done && !arguments.quiet)
      done = context.document("check", json(arguments.files[0], image.driver(), result),
                              arguments.style);
    if (!done) return context.error(cat("Check failed: ", errno_text(done.error().code)));
    if (result.check_errors != 0) return context.error("Check failed");
    return status_of(result);
  }

  static std::string json(const std::string& filename, const std::string& format,
                          const instar_check_result& result) {
    JsonWriter json;
    json.begin_object().field("filename", filename).field("format", format);
    add_counters(json, result);
    return json.end_object().text();
  }
};

}  // namespace instar::check

INSTAR_PLUGIN("command-check", "1.0.0", instar::sdk::command<instar::check::Check>("check"))
