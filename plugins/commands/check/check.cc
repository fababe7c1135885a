// SPDX-License-Identifier: Apache-2.0
/** @file check.cc The command check: is an image's metadata consistent, and can it be repaired? */
#include "sdk/abi/check.h"

#include <cstdio>

#include "sdk/cpp/image_arguments.hpp"
#include "sdk/cpp/json_writer.hpp"
#include "sdk/cpp/plugin.hpp"

namespace instar::check {

using namespace instar::sdk;

enum ExitStatus { kGood = 0, kFailed = 1, kCorrupt = 2, kLeaks = 3, kUnsupported = 63 };

struct Arguments {
  std::optional<std::string> format;
  std::optional<std::string> cache;
  std::vector<std::string> files;
  bool image_opts = false;
  bool force_share = false;
  bool quiet = false;
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
    if (arguments.image_opts && arguments.format)
      return context.error("--image-opts and --format are mutually exclusive");
    if (arguments.cache && !is_cache_mode(*arguments.cache))
      return context.error(cat("Invalid source cache option: ", *arguments.cache));
    const uint32_t flags = INSTAR_OPEN_CHECK |
                           (arguments.fix != 0 ? uint32_t{INSTAR_OPEN_WRITE} : 0u) |
                           (arguments.force_share ? uint32_t{INSTAR_OPEN_FORCE_SHARE} : 0u);
    auto image = context.open(image_spec(arguments.files[0], arguments.format, arguments.image_opts,
                                         flags, arguments.cache));
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

  static Status check_once(CommandContext& context, const Image& image, uint32_t fix,
                           instar_check_result* result) {
    *result = {};
    result->struct_size = sizeof *result;
    void* self = nullptr;
    const auto* ops = image.node().interface<instar_check_ops>(INSTAR_CHECK_ID, &self);
    if (ops == nullptr) return fail(ENOTSUP, errno_text(ENOTSUP));
    const instar_sink messages{nullptr, [](void*, const char* text, size_t length) {
                                 return std::fwrite(text, 1, length, stderr) == length ? 0 : -EIO;
                               }};
    OutgoingCall call(&context.call());
    return call.status(ops->check(self, call.abi(), fix, result, &messages, nullptr));
  }

  static int check(CommandContext& context, const Image& image, const Arguments& arguments) {
    instar_check_result result;
    Status done = check_once(context, image, arguments.fix, &result);
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
      done = check_once(context, image, 0, &result);
      result.leaks_fixed = repaired.leaks_fixed;
      result.corruptions_fixed = repaired.corruptions_fixed;
    }
    if (done && !arguments.quiet)
      done = context.document("check", json(arguments.files[0], image.driver(), result),
                              arguments.style);
    if (!done) return context.error(cat("Check failed: ", errno_text(done.error().code)));
    if (result.check_errors != 0) return context.error("Check failed");
    return result.corruptions != 0 ? kCorrupt : result.leaks != 0 ? kLeaks : kGood;
  }

  static std::string json(const std::string& filename, const std::string& format,
                          const instar_check_result& result) {
    JsonWriter json;
    json.begin_object().field("filename", filename).field("format", format);
    json.field("check-errors", result.check_errors);
    const std::pair<const char*, int64_t> counters[] = {
        {"image-end-offset", result.image_end_offset},
        {"corruptions", result.corruptions},
        {"leaks", result.leaks},
        {"corruptions-fixed", result.corruptions_fixed},
        {"leaks-fixed", result.leaks_fixed},
        {"total-clusters", result.total_clusters},
        {"allocated-clusters", result.allocated_clusters},
        {"fragmented-clusters", result.fragmented_clusters},
        {"compressed-clusters", result.compressed_clusters}};
    for (const auto& [name, value] : counters)
      if (value != 0) json.field(name, value);
    return json.end_object().text();
  }
};

}  // namespace instar::check

INSTAR_PLUGIN("command-check", "1.0.0", instar::sdk::command<instar::check::Check>("check"))
