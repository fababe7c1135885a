// SPDX-License-Identifier: Apache-2.0
/** @file info.cc The command info: describes an image, or with its backing files the whole chain.
 */
#include "sdk/cpp/image_arguments.hpp"
#include "sdk/cpp/plugin.hpp"

namespace instar::info {

using namespace instar::sdk;

class Info {
 public:
  static int run(CommandContext& context) {
    std::optional<std::string> format;
    bool image_opts = false, force_share = false, chain = false;
    auto style = INSTAR_OUTPUT_HUMAN;
    std::vector<std::string> files;

    CommandLine line(
        "info", "[OPTIONS] FILE",
        "Describes an image: format, sizes, backing file, snapshots, what the format records.\n"
        "Nothing that the image names is opened, unless --backing-chain asks for it.");
    line.text('f', "format", "FMT", format, "format of FILE; without it FILE is probed")
        .flag(0, "image-opts", image_opts, "FILE is a list of key=value, not a name")
        .flag('b', "backing-chain", chain, "describe the backing files too")
        .flag('U', "force-share", force_share,
              "describe an image that somebody has open for writing");
    add_output_option(line, context, style);
    add_object_option(line, context);
    line.operands(files).epilogue("Exit status: 0, or 1 when the image can't be described.\n");
    if (const auto status = line.parse(context)) return *status;
    if (files.size() != 1) return line.usage_error(context, "Expecting one image file name");

    const uint32_t flags = INSTAR_OPEN_NO_IO | INSTAR_OPEN_NO_BACKING |
                           (force_share ? uint32_t{INSTAR_OPEN_FORCE_SHARE} : 0u);
    const auto spec = image_spec(files[0], format, image_opts, flags);
    StringSink json;
    OutgoingCall call(&context.call());
    const int result =
        context.graph().describe(context.host().abi(), call.abi(), &spec, chain, json.abi());
    if (result < 0) return context.error(call.error(result));
    if (const auto printed = context.document("image-info", json.text, style); !printed)
      return context.error(printed.error());
    return 0;
  }
};

}  // namespace instar::info

INSTAR_PLUGIN("command-info", "1.0.0", instar::sdk::command<instar::info::Info>("info"))
