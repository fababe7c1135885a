// SPDX-License-Identifier: Apache-2.0
/** @file measure.cc The command measure: the space that a new image would need. */
#include "sdk/cpp/image_arguments.hpp"
#include "sdk/cpp/plugin.hpp"

namespace instar::measure {

using namespace instar::sdk;

class Measure {
 public:
  static int run(CommandContext& context) {
    std::optional<std::string> format, output_format, options, snapshot;
    std::optional<uint64_t> size;
    bool image_opts = false, force_share = false;
    auto style = INSTAR_OUTPUT_HUMAN;
    std::vector<std::string> files;

    CommandLine line(
        "measure", "[OPTIONS] [--size SIZE | FILE]",
        "Tells the file size that an image of SIZE, or a conversion of FILE, would need.");
    line.text('f', "format|+source-format", "FMT", format,
              "format of FILE; without it FILE is probed")
        .flag(0, "image-opts|+source-image-opts", image_opts,
              "FILE is a list of key=value, not a name")
        .text('O', "target-format", "FMT", output_format, "format of the new image (default raw)")
        .action('o', "options|+target-format-options", "OPTS", accumulate(context, options),
                "creation options of the new image; 'help' lists them")
        .action('l', "snapshot", "SNAPSHOT", snapshot_handler(context, snapshot),
                "measure this internal snapshot of FILE")
        .action('s', "size", "SIZE", size_handler(context, "image size", size),
                "measure an empty image")
        .flag('U', "force-share", force_share,
              "measure an image that somebody has open for writing");
    add_object_option(line, context);
    add_output_option(line, context, style);
    line.operands(files);
    if (const auto status = line.parse(context)) return *status;
    if (files.size() > 1) return context.error("At most one filename argument is allowed.");
    if (files.empty() && (format || image_opts || snapshot))
      return context.error("--image-opts, -f, and -l require a filename argument.");
    if (files.empty() && !size)
      return context.error("Either --size N or one filename must be specified.");
    if (!files.empty() && size)
      return context.error("--size N cannot be used together with a filename.");

    Image source;
    if (!files.empty()) {
      const uint32_t flags = force_share ? static_cast<uint32_t>(INSTAR_OPEN_FORCE_SHARE) : 0u;
      auto opened = context.open(image_spec(files[0], format, image_opts, flags, {}, snapshot));
      if (!opened) return context.error(opened.error());
      source = *std::move(opened);
    }
    instar_measure_result measured{};
    measured.struct_size = sizeof measured;
    OutgoingCall call(&context.call());
    const int result = context.graph().measure(
        context.host().abi(), call.abi(), output_format.value_or("raw").c_str(),
        options ? options->c_str() : nullptr, source.abi(), size.value_or(0), &measured);
    if (result < 0) return context.error(call.error(result));
    return print(context, measured, style);
  }

 private:
  static int print(CommandContext& context, const instar_measure_result& measured,
                   instar_output_style style) {
    JsonWriter json;
    json.begin_object();
    if (measured.has_bitmaps != 0) json.field("bitmaps", measured.bitmaps);
    json.field("required", measured.required)
        .field("fully-allocated", measured.fully_allocated)
        .end_object();
    const auto printed = context.document("measure", json.text(), style);
    return printed ? 0 : context.error(printed.error());
  }
};

}  // namespace instar::measure

INSTAR_PLUGIN("command-measure", "1.0.0", instar::sdk::command<instar::measure::Measure>("measure"))
