// SPDX-License-Identifier: Apache-2.0
/** @file create.cc The command create: makes a new, empty image. */
#include "sdk/cpp/image_arguments.hpp"
#include "sdk/cpp/plugin.hpp"

namespace instar::create {

using namespace instar::sdk;

class Create {
 public:
  static int run(CommandContext& context) {
    std::optional<std::string> format, options, backing, backing_format;
    bool quiet = false, unsafe = false;
    std::vector<std::string> operands;

    CommandLine line(
        "create", "[OPTIONS] FILE [SIZE]",
        "Makes a new image. An existing FILE is overwritten. SIZE takes the suffixes k, M, G, T, "
        "P, E;\n"
        "with a backing file it may be left out, and is then that of the backing file.");
    add_object_option(line, context);
    line.text('f', "format", "FMT", format, "format of the new image (default raw)")
        .action('o', "options", "OPTS", accumulate(context, options),
                "creation options, key=value,…; 'help' lists them")
        .text('b', "backing", "FILE", backing, "file that holds what the new image does not")
        .text('F', "backing-format", "FMT", backing_format,
              "format of the backing file; needed with -b")
        .text('B', "", "FMT", backing_format, "")
        .flag('u', "backing-unsafe", unsafe, "do not open the backing file; SIZE is needed then")
        .flag('q', "quiet", quiet, "print nothing");
    line.operands(operands).epilogue(
        "Example: create -f qcow2 -b base.qcow2 -F qcow2 overlay.qcow2\n");
    if (const auto status = line.parse(context)) return *status;

    if (options && asks_for_help(*options))
      return print_options(context, format.value_or("raw"),
                           operands.empty() ? nullptr : operands[0].c_str());
    if (operands.empty()) return line.usage_error(context, "Expecting image file name");
    std::optional<uint64_t> size;
    if (operands.size() > 1)
      if (const auto status = size_handler(context, "image size", size)(operands[1].c_str()))
        return *status;
    if (operands.size() > 2)
      return line.usage_error(context, cat("Unexpected argument: ", operands[2]));
    return create(context, operands[0], format.value_or("raw"), options, backing, backing_format,
                  size,
                  (quiet ? uint32_t{INSTAR_CREATE_QUIET} : 0u) |
                      (unsafe ? uint32_t{INSTAR_CREATE_BACKING_UNSAFE} : 0u));
  }

 private:
  static int print_options(CommandContext& context, const std::string& format,
                           const char* filename) {
    OutgoingCall call(&context.call());
    const int result = context.graph().print_options(context.host().abi(), call.abi(),
                                                     format.c_str(), filename, 0);
    return result < 0 ? context.error(call.error(result)) : 0;
  }
  static int create(CommandContext& context, const std::string& filename, const std::string& format,
                    const std::optional<std::string>& options,
                    const std::optional<std::string>& backing,
                    const std::optional<std::string>& backing_format, std::optional<uint64_t> size,
                    uint32_t flags) {
    const auto text = [](const std::optional<std::string>& s) { return s ? s->c_str() : nullptr; };
    const instar_create_spec spec{
        sizeof spec,   flags,         filename.c_str(),     format.c_str(),
        text(options), text(backing), text(backing_format), size.value_or(UINT64_MAX)};
    OutgoingCall call(&context.call());
    const int result = context.graph().create(context.host().abi(), call.abi(), &spec);
    if (result >= 0) return 0;
    auto error = call.error(result);
    error.message = cat(filename, ": ", error.message);
    return context.error(error);
  }
};

}  // namespace instar::create

INSTAR_PLUGIN("command-create", "1.0.0", instar::sdk::command<instar::create::Create>("create"))
