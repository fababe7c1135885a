// SPDX-License-Identifier: Apache-2.0
/** @file map.cc The command map: which file of the chain holds what of an image, and where. */
#include "plugins/commands/map/picture.hpp"
#include "sdk/cpp/image_arguments.hpp"
#include "sdk/cpp/plugin.hpp"

namespace instar::map {

using namespace instar::sdk;

class Map {
 public:
  static int run(CommandContext& context) {
    std::optional<std::string> format;
    std::optional<uint64_t> start, length;
    bool image_opts = false, force_share = false, svg = false;
    auto style = INSTAR_OUTPUT_HUMAN;
    std::vector<std::string> files;

    CommandLine line(
        "map", "[OPTIONS] FILE",
        "Lists the runs of an image: where they lie and in which file of the backing chain.\n"
        "The human table has data only; JSON covers the whole range.");
    line.text('f', "format", "FMT", format, "format of FILE; without it FILE is probed")
        .flag(0, "image-opts", image_opts, "FILE is a list of key=value, not a name")
        .action('s', "start-offset", "OFFSET", size_handler(context, "start offset", start),
                "begin at this byte, suffixes allowed")
        .action('l', "max-length", "LENGTH", size_handler(context, "max length", length),
                "end after this many bytes")
        .flag('U', "force-share", force_share, "map an image that somebody has open for writing");
    add_output_option(line, context, style, context.strict() ? nullptr : &svg);
    add_object_option(line, context);
    line.operands(files);
    if (const auto status = line.parse(context)) return *status;
    if (files.size() != 1) return line.usage_error(context, "Expecting one image file name");

    const auto spec = image_spec(files[0], format, image_opts,
                                 force_share ? static_cast<uint32_t>(INSTAR_OPEN_FORCE_SHARE) : 0u);
    auto image = context.open(spec);
    if (!image) return context.error(image.error());
    const auto size = image->node().size();
    if (!size) return context.error(size.error());
    const uint64_t first = start.value_or(0);
    const uint64_t rest = *size > first ? *size - first : 0;
    const uint64_t wanted = std::min(rest, length.value_or(rest));
    if (svg) return draw(context, *image, files[0], first, wanted);
    return print(context, *image, first, wanted, style);
  }

 private:
  /** Hands runs to the printer; keeps the error that ended the walk. */
  struct Printer {
    CommandContext& context;
    OutgoingCall call;

    static int rows(void* opaque, const instar_map_extent* extents, size_t count) noexcept {
      auto& self = *static_cast<Printer*>(opaque);
      return self.context.output().map_rows(self.context.host().abi(), self.call.abi(), extents,
                                            count);
    }
  };

  static int unreadable(const CommandContext& context, const Error& error) {
    return context.error(cat("Could not read file metadata: ", errno_text(error.code)));
  }

  static int draw(CommandContext& context, const Image& image, const std::string& name,
                  uint64_t start, uint64_t length) {
    if (length == 0) return context.error("There is nothing to draw: the range is empty");
    Picture picture(cat(name, " (", image.driver(), ")"), start, length);
    const auto add = [](void* opaque, const instar_map_extent* extents, size_t count) noexcept {
      for (size_t i = 0; i < count; ++i)
        static_cast<Picture*>(opaque)->add(extents[i]);
      return 0;
    };
    OutgoingCall walk(&context.call());
    const int result = context.graph().map(image.abi(), walk.abi(), start, length, &picture, add);
    if (result < 0) return unreadable(context, walk.error(result));
    context.print(picture.svg());
    return 0;
  }

  static int print(CommandContext& context, const Image& image, uint64_t start, uint64_t wanted,
                   instar_output_style style) {
    const auto& output = context.output();
    output.map_begin(context.host().abi(), style);
    Printer printer{context, OutgoingCall(&context.call())};
    OutgoingCall walk(&context.call());
    int result = 0;
    if (wanted > 0) {
      result =
          context.graph().map(image.abi(), walk.abi(), start, wanted, &printer, &Printer::rows);
    } else {
      const instar_map_extent nothing{start, 0, 0, 0, 0, nullptr};
      result = Printer::rows(&printer, &nothing, 1);
    }
    if (result < 0) {
      const auto refused = printer.call.error(result);
      if (refused.message != errno_text(result)) return context.error(refused);
      return unreadable(context, walk.error(result));
    }
    output.map_end(context.host().abi());
    return 0;
  }
};

}  // namespace instar::map

INSTAR_PLUGIN("command-map", "1.0.0", instar::sdk::command<instar::map::Map>("map"))
