// SPDX-License-Identifier: Apache-2.0
/** @file resize.cc The command resize: another virtual size for an image. */
#include "sdk/abi/resize.h"

#include "sdk/cpp/plugin.hpp"
#include "sdk/cpp/report.hpp"

namespace instar::resize {

using namespace instar::sdk;

namespace {

/** [+-]SIZE */
struct NewSize {
  int direction = 0;  ///< 0: absolute
  uint64_t amount = 0;

  /** As 64-bit arithmetic of QEMU has it: what does not fit is negative. */
  int64_t from(uint64_t current) const {
    const uint64_t bytes = direction < 0 ? current - amount : current + amount;
    return static_cast<int64_t>(direction == 0 ? amount : bytes);
  }
};

Result<NewSize> parse_new_size(const CommandContext& context, const std::string& text) {
  NewSize size;
  const bool relative = text.starts_with('+') || text.starts_with('-');
  if (relative) size.direction = text[0] == '+' ? 1 : -1;
  const std::string digits = text.substr(relative ? 1 : 0);
  const int64_t bytes = context.cli().parse_size(digits.c_str());
  if (bytes == INSTAR_SIZE_INVALID) {
    Error error = fail(EINVAL, "Parameter 'size' expects a non-negative number below 2^64");
    error.hint =
        "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n"
        "and exabytes, respectively.";
    return error;
  }
  if (bytes == INSTAR_SIZE_RANGE)
    return fail(EINVAL, "Value '", digits, "' is out of range for parameter 'size'");
  // Beyond 2^63 no size is positive any more.
  size.amount = bytes < 0 ? uint64_t{1} << 63 : static_cast<uint64_t>(bytes);
  return size;
}

Result<instar_preallocation> parse_mode(std::string_view name) {
  constexpr std::string_view kModes[] = {"off", "metadata", "falloc", "full"};
  for (uint32_t i = 0; i < std::size(kModes); ++i)
    if (name == kModes[i]) return static_cast<instar_preallocation>(i);
  return fail(EINVAL, "Invalid preallocation mode '", name, "'");
}

struct Arguments {
  std::optional<std::string> format;
  std::string filename;
  NewSize size;
  instar_preallocation mode = INSTAR_PREALLOCATION_OFF;
  bool image_opts = false, shrink = false, quiet = false;
  ReportOptions report;
};

Status tell(const CommandContext& context, const Arguments& arguments, const Image& image,
            uint64_t before, uint64_t size) {
  if (!arguments.report.wanted()) return {};
  return Report(context, arguments.report, "resize")
      .field("filename", arguments.filename)
      .field("format", image.driver())
      .field("virtual-size", size)
      .field("previous-size", before)
      .print();
}

Status run_resize(const CommandContext& context, const Arguments& arguments) {
  const bool dry_run = arguments.report.dry_run;
  INSTAR_TRY(Image image,
             context.open(image_spec(arguments.filename, arguments.format, arguments.image_opts,
                                     dry_run ? 0 : INSTAR_OPEN_WRITE | INSTAR_OPEN_RESIZE)));
  const NodeRef node = image.node();
  auto current = node.size();
  if (!current)
    return fail(current.error().code,
                "Failed to inquire current image length: ", current.error().message);
  const int64_t wanted = arguments.size.from(*current);
  if (wanted <= 0) return fail(EINVAL, "New image size must be positive");
  const auto size = static_cast<uint64_t>(wanted);
  if (size <= *current && arguments.mode != INSTAR_PREALLOCATION_OFF)
    return fail(EINVAL, "Preallocation can only be used for growing images");
  if (size < *current && !arguments.shrink) {
    context.error("Use the --shrink option to perform a shrink operation.");
    context.warn(
        "Shrinking an image will delete all data beyond the shrunken image's end. Before "
        "performing such an operation, make sure there is no important data there.");
    return fail(ECANCELED, "");  // all has been said
  }
  void* self = nullptr;
  if (dry_run && node.interface<instar_resize_ops>(INSTAR_RESIZE_ID, &self) == nullptr)
    return fail(ENOTSUP, "Image format driver does not support resize");
  Result<uint64_t> now = size;
  if (!dry_run) {
    INSTAR_CHECK(node.resize(context.call(), size, arguments.mode, INSTAR_RESIZE_EXACT));
    now = node.size();  // some formats round it
    INSTAR_CHECK(image.flush(context.call()));
  }
  INSTAR_CHECK(tell(context, arguments, image, *current, now ? *now : size));
  return image.close();
}

}  // namespace

class Resize {
 public:
  static int run(CommandContext& context) {
    Arguments arguments;
    std::optional<std::string> mode;
    std::vector<std::string> operands;
    CommandLine line("resize", "[OPTIONS] FILE [+|-]SIZE",
                     "Changes the virtual size of an image: to SIZE, or by SIZE with + or -.");
    line.text('f', "format", "FMT", arguments.format, "format of FILE; without it FILE is probed")
        .flag(0, "image-opts", arguments.image_opts, "FILE is a list of key=value, not a name")
        .flag(0, "shrink", arguments.shrink, "SIZE may be smaller: what lies beyond it is lost")
        .text(0, "preallocation", "MODE", mode,
              "what grows is set aside: off (default), metadata, falloc, full")
        .flag('q', "quiet", arguments.quiet, "print nothing but errors")
        .action(
            '#', "", "", [](const char*) { return std::nullopt; }, "");
    add_object_option(line, context);
    arguments.report.declare(line, context);
    line.operands(operands).epilogue("Example: resize disk.qcow2 +10G\n");
    if (const auto status = line.parse(context)) return *status;
    if (mode) {
      const auto parsed = parse_mode(*mode);
      if (!parsed) return context.error(parsed.error());
      arguments.mode = *parsed;
    }
    if (operands.size() < 2) return line.usage_error(context, "Expecting image file name and size");
    if (operands.size() > 2) return line.usage_error(context, "Extra argument(s) in command line");
    arguments.filename = operands[0];
    const auto size = parse_new_size(context, operands[1]);
    if (!size) return context.error(size.error());
    arguments.size = *size;
    const auto done = run_resize(context, arguments);
    if (!done) return done.error().message.empty() ? 1 : context.error(done.error());
    if (!arguments.quiet && !arguments.report.wanted()) context.print("Image resized.\n");
    return 0;
  }
};

}  // namespace instar::resize

INSTAR_PLUGIN("command-resize", "1.0.0", instar::sdk::command<instar::resize::Resize>("resize"))
