// SPDX-License-Identifier: Apache-2.0
/** @file compare.cc The command compare: do two images read the same? */
#include "sdk/cpp/plugin.hpp"
#include "sdk/cpp/report.hpp"

namespace instar::compare {

using namespace instar::sdk;

class Compare {
 public:
  static int run(CommandContext& context) {
    std::optional<std::string> formats[2], cache;
    bool strict = false, quiet = false, force_share = false, image_opts = false;
    auto progress = INSTAR_PROGRESS_NONE;
    ReportOptions report;
    std::vector<std::string> files;

    CommandLine line("compare", "[OPTIONS] FILE1 FILE2",
                     "Compares what two images read as, whatever their formats. A longer image "
                     "whose rest is zero is\n"
                     "the same, unless --strict.");
    line.text('f', "a-format|left-format", "FMT", formats[0],
              "format of FILE1; without it FILE1 is probed")
        .text('F', "b-format|right-format", "FMT", formats[1], "format of FILE2")
        .flag(0, "image-opts", image_opts, "the files are lists of key=value, not names")
        .flag('s', "strict", strict, "sizes and block status must agree too")
        .text('T', "cache", "MODE", cache,
              "cache mode: none, writeback (default), writethrough, directsync, unsafe");
    add_progress_option(line, context, progress, "progress");
    line.flag('q', "quiet", quiet, "print nothing but errors")
        .flag('U', "force-share", force_share, "compare images that somebody has open for writing");
    report.declare(line, context, ReportOptions::Rehearses::kNo);
    add_object_option(line, context, 2);
    line.operands(files).epilogue(
        "Exit status: 0 identical, 1 different, 2 an image can't be opened, 3 block status can't "
        "be told,\n"
        "4 a read failed.\n");
    if (const auto status = line.parse(context)) return *status;
    if (files.size() != 2) return line.usage_error(context, "Expecting two image file names");
    // The verdict stands behind the last progress line, whose end follows it: as qemu-img has it.
    const Progress shown(context, quiet ? INSTAR_PROGRESS_NONE : progress, 2,
                         Progress::Begin::kLater);
    if (cache && !is_cache_mode(*cache)) {
      context.error(cat("Invalid source cache option: ", *cache));
      return 2;
    }
    const uint32_t flags = force_share ? static_cast<uint32_t>(INSTAR_OPEN_FORCE_SHARE) : 0u;
    Image images[2];
    for (int i = 0; i < 2; ++i) {
      auto opened = context.open(image_spec(files[i], formats[i], image_opts, flags, cache));
      if (!opened) {
        context.error(opened.error());
        return 2;
      }
      images[i] = *std::move(opened);
    }
    shown.report(0, 1);
    return compare(context, images, files, strict, quiet, report, shown.abi());
  }

 private:
  /** Calls an image what the user called it. */
  static Error renamed(Error error, const std::string& own, const std::string& given) {
    const size_t at = error.message.find(own);
    if (!own.empty() && at != std::string::npos) error.message.replace(at, own.size(), given);
    return error;
  }
  static int compare(CommandContext& context, const Image (&images)[2],
                     const std::vector<std::string>& files, bool strict, bool quiet,
                     const ReportOptions& report, const instar_progress& progress) {
    instar_compare_result result{};
    result.struct_size = sizeof result;
    OutgoingCall call(&context.call());
    const int failed = context.engine().compare(context.host().abi(), call.abi(), images[0].abi(),
                                                images[1].abi(), strict, &progress, &result);
    if (failed < 0) {
      const size_t which = result.failed_image == 2 ? 1 : 0;
      context.error(
          renamed(call.error(failed), context.graph().filename(images[which].abi()), files[which]));
      if (result.size_differs != 0 && !quiet && !report.wanted())
        context.print("Warning: Image size mismatch!\n");
      return failed == -ENODATA ? 3 : 4;
    }
    const int status = result.verdict == INSTAR_COMPARE_EQUAL ? 0 : 1;
    if (report.wanted()) {
      const auto told = tell(context, report, images, files, result);
      return told ? status : context.error(told.error());
    }
    if (result.size_differs != 0 && !quiet) context.print("Warning: Image size mismatch!\n");
    if (!quiet) context.print(verdict_text(result));
    return status;
  }
  static Status tell(const CommandContext& context, const ReportOptions& options,
                     const Image (&images)[2], const std::vector<std::string>& files,
                     const instar_compare_result& result) {
    INSTAR_TRY(const uint64_t first, images[0].node().size());
    INSTAR_TRY(const uint64_t second, images[1].node().size());
    constexpr const char* kWhat[] = {"", "content", "status", "size"};
    const bool places =
        result.verdict == INSTAR_COMPARE_CONTENT || result.verdict == INSTAR_COMPARE_STATUS;
    Report report(context, options, "compare");
    report.json().key("filenames").begin_array().value(files[0]).value(files[1]).end_array();
    report.field("identical", result.verdict == INSTAR_COMPARE_EQUAL);
    if (result.verdict != INSTAR_COMPARE_EQUAL) report.field("difference", kWhat[result.verdict]);
    if (places) report.field("offset", result.offset);
    return report.field("sizes-differ", round_up(first, 512) != round_up(second, 512)).print();
  }
  static std::string verdict_text(const instar_compare_result& result) {
    switch (result.verdict) {
      case INSTAR_COMPARE_CONTENT:
        return cat("Content mismatch at offset ", result.offset, "!\n");
      case INSTAR_COMPARE_STATUS:
        return cat("Strict mode: Offset ", result.offset, " block status mismatch!\n");
      case INSTAR_COMPARE_SIZE:
        return "Strict mode: Image size mismatch!\n";
      default:
        return "Images are identical.\n";
    }
  }
};

}  // namespace instar::compare

INSTAR_PLUGIN("command-compare", "1.0.0", instar::sdk::command<instar::compare::Compare>("compare"))
