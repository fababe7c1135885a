// SPDX-License-Identifier: Apache-2.0
/** @file create.cc The command create: makes a new, empty image. */
#include "sdk/cpp/new_image.hpp"
#include "sdk/cpp/plugin.hpp"
#include "sdk/cpp/report.hpp"

namespace instar::create {

using namespace instar::sdk;

namespace {

struct Arguments {
  std::optional<std::string> format, options, backing, backing_format;
  std::optional<uint64_t> size;
  std::string filename;
  bool quiet = false, unsafe = false, no_clobber = false;
  ReportOptions report;
};

/** As far as it can be known: that of a backing file is taken over, and some formats round it. */
std::optional<uint64_t> size_of(const CommandContext& context, const Arguments& arguments,
                                const NewImage& image) {
  if (arguments.report.dry_run) return arguments.size;
  const auto made = context.open(image_spec(image.name(), arguments.format.value_or("raw"), false,
                                            INSTAR_OPEN_NO_IO | INSTAR_OPEN_NO_BACKING));
  if (!made) return arguments.size;
  const auto size = made->node().size();
  return size ? std::optional(*size) : arguments.size;
}

Status run_create(const CommandContext& context, const Arguments& arguments) {
  const auto text = [](const std::optional<std::string>& s) { return s ? s->c_str() : nullptr; };
  const std::string format = arguments.format.value_or("raw");
  const auto& report = arguments.report;
  instar_create_spec spec{};
  spec.flags = INSTAR_CREATE_DURABLE |
               (arguments.quiet || report.wanted() ? uint32_t{INSTAR_CREATE_QUIET} : 0u) |
               (arguments.unsafe ? uint32_t{INSTAR_CREATE_BACKING_UNSAFE} : 0u) |
               (report.dry_run ? uint32_t{INSTAR_CREATE_DRY_RUN} : 0u);
  spec.filename = arguments.filename.c_str();
  spec.format = format.c_str();
  spec.options = text(arguments.options);
  spec.backing = text(arguments.backing);
  spec.backing_format = text(arguments.backing_format);
  spec.size = arguments.size.value_or(UINT64_MAX);
  NewImage image(context);
  image.keep_existing(arguments.no_clobber);
  INSTAR_CHECK(image.create(spec));
  const auto size = report.wanted() ? size_of(context, arguments, image) : std::nullopt;
  INSTAR_CHECK(image.finish());
  if (!report.wanted()) return {};
  Report document(context, report, "create");
  document.field("filename", arguments.filename).field("format", format);
  if (size) document.field("virtual-size", *size);
  if (arguments.options) document.field("options", *arguments.options);
  if (arguments.backing) document.field("backing-filename", *arguments.backing);
  return document.print();
}

}  // namespace

class Create {
 public:
  static int run(CommandContext& context) {
    Arguments arguments;
    std::vector<std::string> operands;
    CommandLine line(
        "create", "[OPTIONS] FILE [SIZE]",
        "Makes a new image. An existing FILE is overwritten. SIZE takes the suffixes k, M, G, T, "
        "P, E;\n"
        "with a backing file it may be left out, and is then that of the backing file.");
    declare(line, context, arguments);
    line.operands(operands).epilogue(
        "Example: create -f qcow2 -b base.qcow2 -F qcow2 overlay.qcow2\n");
    if (const auto status = line.parse(context)) return *status;

    if (arguments.options && asks_for_help(*arguments.options))
      return print_options(context, arguments.format.value_or("raw"),
                           operands.empty() ? nullptr : operands[0].c_str());
    if (operands.empty()) return line.usage_error(context, "Expecting image file name");
    if (operands.size() > 1)
      if (const auto status =
              size_handler(context, "image size", arguments.size)(operands[1].c_str()))
        return *status;
    if (operands.size() > 2)
      return line.usage_error(context, cat("Unexpected argument: ", operands[2]));
    arguments.filename = operands[0];
    auto done = run_create(context, arguments);
    if (done) return 0;
    done.error().message = cat(arguments.filename, ": ", done.error().message);
    return context.error(done.error());
  }

 private:
  static void declare(CommandLine& line, CommandContext& context, Arguments& arguments) {
    add_object_option(line, context);
    line.text('f', "format", "FMT", arguments.format, "format of the new image (default raw)")
        .action('o', "options", "OPTS", accumulate(context, arguments.options),
                "creation options, key=value,…; 'help' lists them")
        .text('b', "backing", "FILE", arguments.backing,
              "file that holds what the new image does not")
        .text('F', "backing-format", "FMT", arguments.backing_format,
              "format of the backing file; needed with -b")
        .text('B', "", "FMT", arguments.backing_format, "")
        .flag('u', "backing-unsafe", arguments.unsafe,
              "do not open the backing file; SIZE is needed then")
        .flag('q', "quiet", arguments.quiet, "print nothing");
    if (!context.strict()) line.flag(0, "+no-clobber", arguments.no_clobber, "fail if FILE exists");
    arguments.report.declare(line, context);
  }
  static int print_options(CommandContext& context, const std::string& format,
                           const char* filename) {
    OutgoingCall call(&context.call());
    const int result = context.graph().print_options(context.host().abi(), call.abi(),
                                                     format.c_str(), filename, 0);
    return result < 0 ? context.error(call.error(result)) : 0;
  }
};

}  // namespace instar::create

INSTAR_PLUGIN("command-create", "1.0.0", instar::sdk::command<instar::create::Create>("create"))
