// SPDX-License-Identifier: Apache-2.0
/** @file hash.cc The command hash: a digest of what an image reads as, whatever its format. */
#include "sdk/cpp/digest.hpp"
#include "sdk/cpp/image_arguments.hpp"
#include "sdk/cpp/json_writer.hpp"
#include "sdk/cpp/plugin.hpp"

namespace instar::hash {

using namespace sdk;

namespace {

struct Arguments {
  std::optional<std::string> format, algorithm, cache, snapshot;
  std::string filename;
  instar_output_style style = INSTAR_OUTPUT_HUMAN;
  bool image_opts = false, force_share = false;
  instar_progress_style progress = INSTAR_PROGRESS_NONE;
};

Status print(const CommandContext& context, const Image& image, const Arguments& arguments,
             const std::string& algorithm, const std::string& digest) {
  if (arguments.style == INSTAR_OUTPUT_HUMAN) {
    context.print(cat(digest, "  ", arguments.filename, "\n"));
    return {};
  }
  INSTAR_TRY(const uint64_t size, image.node().size());
  JsonWriter json;
  json.begin_object().field("filename", arguments.filename).field("format", image.driver());
  json.field("virtual-size", round_up(size, 512)).field("algorithm", algorithm);
  json.field("digest", digest).end_object();
  return context.document("hash", json.text(), INSTAR_OUTPUT_JSON);
}

Status run_hash(CommandContext& context, const Arguments& arguments) {
  const std::string algorithm = arguments.algorithm.value_or("sha256");
  const uint32_t flags = arguments.force_share ? uint32_t{INSTAR_OPEN_FORCE_SHARE} : 0u;
  INSTAR_TRY(Image image,
             context.open(image_spec(arguments.filename, arguments.format, arguments.image_opts,
                                     flags, arguments.cache, arguments.snapshot)));
  INSTAR_TRY(const auto digest, ContentDigest::open(context.host(), context.call(), algorithm));
  std::string text;
  {
    const Progress progress(context, arguments.progress, 1);
    instar_image* const sources[] = {image.abi()};
    instar_read_job job{};
    job.struct_size = sizeof job;
    job.sources = sources;
    job.source_count = 1;
    job.progress = progress.abi();
    job.content = digest->receiver();
    OutgoingCall call(&context.call());
    INSTAR_CHECK(call.status(context.engine().read(context.host().abi(), call.abi(), &job)));
    text = digest->finish();
    progress.report(1, 1);
  }
  INSTAR_CHECK(print(context, image, arguments, algorithm, text));
  return image.close();
}

class Hash {
 public:
  static int run(CommandContext& context) {
    Arguments arguments;
    std::vector<std::string> operands;
    CommandLine line("hash", "[OPTIONS] FILE",
                     "Hashes what an image reads as: the same in every format, and the same as "
                     "sha256sum of the raw image.");
    line.text('f', "format", "FMT", arguments.format, "format of FILE; without it FILE is probed")
        .flag(0, "image-opts", arguments.image_opts, "FILE is a list of key=value, not a name")
        .text('a', "algorithm", "NAME", arguments.algorithm,
              "sha256 (default), sha512, blake2b-512, or what else digest plugins have")
        .action('l', "snapshot", "SNAPSHOT", snapshot_handler(context, arguments.snapshot),
                "hash an internal snapshot, by name or id")
        .action(
            'T', "cache", "MODE",
            [&](const char* text) -> std::optional<int> {
              if (!is_cache_mode(text))
                return context.error(cat("Invalid source cache option: ", text));
              arguments.cache = text;
              return std::nullopt;
            },
            "cache mode: none, writeback (default), writethrough, directsync, unsafe")
        .flag('U', "force-share", arguments.force_share,
              "read FILE even where another program writes to it");
    add_progress_option(line, context, arguments.progress, "progress");
    add_output_option(line, context, arguments.style);
    add_object_option(line, context);
    line.operands(operands).epilogue("Example: hash -p disk.qcow2\n");
    if (const auto status = line.parse(context)) return *status;
    if (operands.size() != 1) return line.usage_error(context, "Expecting one image file name");
    arguments.filename = operands[0];
    const auto done = run_hash(context, arguments);
    return done ? 0 : context.error(done.error());
  }
};

}  // namespace

}  // namespace instar::hash

INSTAR_PLUGIN("command-hash", "1.0.0", instar::sdk::command<instar::hash::Hash>("hash"))
