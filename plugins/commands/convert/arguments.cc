// SPDX-License-Identifier: Apache-2.0
#include "plugins/commands/convert/arguments.hpp"

#include <algorithm>
#include <cstdlib>

namespace instar::convert {

/** What needs looking at after all options are known. */
struct Arguments::Raw {
  std::optional<std::string> target_format;
  std::optional<uint64_t> min_sparse, rate;
  std::vector<std::string> operands;
};

namespace {

constexpr uint64_t kSectorSize = 512;
constexpr uint64_t kMaxSparse = 16777216;

CommandLine::Handler sparse_handler(CommandContext& context, std::optional<uint64_t>& target) {
  return [&](const char* text) -> std::optional<int> {
    const int64_t size = context.cli().parse_size(text);
    if (size == INSTAR_SIZE_INVALID)
      return context.error(cat("Invalid buffer size for sparse output specified: '", text, "'."));
    if (size == INSTAR_SIZE_RANGE || size == INSTAR_SIZE_LARGE)
      return context.error(
          "Invalid buffer size for sparse output specified. Must be between 0 and "
          "9223372036854775807.");
    if (size < 0 || size % kSectorSize != 0 || static_cast<uint64_t>(size) > kMaxSparse)
      return context.error(
          cat("Invalid buffer size for sparse output specified. Valid sizes are multiples of ",
              kSectorSize, " up to ", kMaxSparse,
              ". Select 0 to disable sparse detection (fully allocates output)."));
    target = static_cast<uint64_t>(size);
    return std::nullopt;
  };
}

CommandLine::Handler workers_handler(CommandContext& context, uint32_t& target) {
  return [&](const char* text) -> std::optional<int> {
    char* end = nullptr;
    errno = 0;
    const long number = std::strtol(text, &end, 0);
    if ((errno != 0 && errno != ERANGE) || end == text || *end != '\0')
      return context.error(cat("Invalid number of coroutines specified: '", text, "'."));
    if (number < 1 || number > 16)
      return context.error("Invalid number of coroutines specified. Must be between 1 and 16.");
    target = static_cast<uint32_t>(number);
    return std::nullopt;
  };
}

}  // namespace

std::optional<int> Arguments::parse(CommandContext& context) {
  Raw raw;
  std::optional<std::string> level;
  CommandLine line(
      "convert", "[OPTIONS] SOURCE... TARGET",
      "Copies SOURCE (several are joined) into a new image TARGET, or with -n into an\n"
      "existing one. Holes and zeroes take no space in the target.");
  line.flag(0, "source-image-opts|image-opts", image_opts,
            "the sources are lists of key=value, not names; also --image-opts")
      .text('f', "source-format", "FMT", format,
            "format of the sources; without it they are probed")
      .text('T', "source-cache", "MODE", source_cache,
            "cache mode of the sources (default writeback)")
      .action('l', "snapshot", "SNAPSHOT", snapshot_handler(context, snapshot),
              "copy this internal snapshot: id, name, or snapshot.name=…")
      .flag('U', "force-share", force_share, "read sources that somebody has open for writing");
  add_object_option(line, context);
  declare_target(line, context, raw);
  add_progress_option(line, context, progress_style);
  line.flag('q', "quiet", quiet, "print nothing but errors");
  if (!context.strict())
    line.text(0, "+compression-level", "N", level, "how hard -c works; 0: the format's default")
        .text(0, "+hash", "NAME", hash, "print this hash (sha256, …) of what is copied")
        .flag(0, "+verify", verify, "read TARGET again and compare it with what was copied")
        .flag(0, "+no-clobber", no_clobber, "fail if TARGET exists");
  report.declare(line, context);
  line.operands(raw.operands)
      .epilogue(context.strict()
                    ? "Example: convert -p -c -O qcow2 disk.raw disk.qcow2\n"
                    : "SOURCE - is standard input (raw), TARGET - standard output (raw, qcow2,\n"
                      "vmdk with -o subformat=streamOptimized).\n\n"
                      "Example: convert -p -c -O qcow2 disk.raw disk.qcow2\n");
  if (const auto status = line.parse(context)) return *status;
  if (level) open_options = "compression_level=" + *level;
  return check(context, raw);
}

/** The target, and how it is filled. */
void Arguments::declare_target(CommandLine& line, CommandContext& context, Raw& raw) {
  line.text('O', "output-format|+target-format", "FMT", raw.target_format,
            "format of TARGET (default raw)")
      .flag(0, "target-image-opts", target_image_opts, "TARGET is a list of key=value; needs -n")
      .action('o', "options|+target-format-options", "OPTS", accumulate(context, options),
              "creation options of TARGET; 'help' lists them")
      .text('t', "output-cache|+target-cache", "MODE", target_cache,
            "cache mode of TARGET (default unsafe)")
      .text('B', "backing", "FILE", backing,
            "backing file of TARGET (also -b): only what differs from it is stored")
      .text('b', "", "FILE", backing, "")
      .text('F', "backing-format", "FMT", backing_format, "format of the backing file")
      .flag('c', "+compress", compress, "compress TARGET (formats that can)")
      .flag('n', "+no-create", skip_create, "TARGET exists; do not create it")
      .flag(0, "target-is-zero", target_is_zero, "TARGET reads as zeroes already; needs -n")
      .action('S', "sparse-size", "SIZE", sparse_handler(context, raw.min_sparse),
              "least run of zeroes that becomes a hole (default 4k; 0: none)")
      .action('m', "parallel", "N", workers_handler(context, workers),
              "work on N pieces at once (1 to 16)")
      .flag('W', "oob-writes", unordered, "write TARGET out of order, which can be faster")
      .flag('C', "copy-range-offloading", offload, "let the storage copy where it can")
      .action('r', "rate|+rate-limit", "BYTES", size_handler(context, "rate limit", raw.rate),
              "at most so many bytes a second")
      .flag(0, "salvage", salvage, "read errors become zeroes, with a warning each")
      .flag(0, "bitmaps", bitmaps, "copy persistent dirty bitmaps too")
      .flag(0, "skip-broken-bitmaps", skip_broken_bitmaps,
            "leave inconsistent bitmaps out; needs --bitmaps");
}

std::optional<int> Arguments::check(CommandContext& context, const Raw& raw) {
  target_format = raw.target_format.value_or("raw");
  target_format_given = raw.target_format.has_value();
  min_sparse = raw.min_sparse.value_or(min_sparse);
  rate = raw.rate.value_or(0);
  if (quiet) progress_style = INSTAR_PROGRESS_NONE;

  if (skip_broken_bitmaps && !bitmaps)
    return context.error("Use of --skip-broken-bitmaps requires --bitmaps");
  if (offload && compress) return context.error("Cannot enable copy offloading when -c is used");
  if (offload && raw.min_sparse)
    return context.error("Cannot enable copy offloading when -S is used");
  if (offload && salvage) return context.error("Cannot use copy offloading in salvaging mode");
  if (target_image_opts && !skip_create)
    return context.error("--target-image-opts requires use of -n flag");
  if (skip_create && options) return context.error("-o has no effect when skipping image creation");
  if (target_is_zero && !skip_create)
    return context.error("--target-is-zero requires use of -n flag");
  if (options && asks_for_help(*options)) {
    const char* target_name = raw.operands.size() > 1 ? raw.operands.back().c_str() : nullptr;
    OutgoingCall call(&context.call());
    const int result = context.graph().print_options(context.host().abi(), call.abi(),
                                                     target_format.c_str(), target_name, 0);
    return result < 0 ? context.error(call.error(result)) : 0;
  }
  if (raw.operands.size() < 2) return context.error("Must specify image file name");
  if (source_cache && !is_cache_mode(*source_cache))
    return context.error(cat("Invalid source cache option: ", *source_cache));
  if (!target_cache) target_cache = "unsafe";
  sources.assign(raw.operands.begin(), raw.operands.end() - 1);
  target = raw.operands.back();
  if (no_clobber && skip_create) return context.error("--no-clobber has no effect with -n");
  reads_stdin_ =
      !context.strict() && std::find(sources.begin(), sources.end(), "-") != sources.end();
  writes_stdout_ = target == "-" ? !context.strict() : streams_to_file_of_stdout();
  return check_streams(context);
}

/** A raw image for /dev/stdout is written as a stream: opened by that name, a pipe would be refused, and
 * what is in a file already overwritten. */
bool Arguments::streams_to_file_of_stdout() const {
  if (target != "/dev/stdout" && target != "/dev/fd/1" && target != "/proc/self/fd/1") return false;
  return target_format == "raw" && !options && !skip_create && !compress && !backing && !bitmaps &&
         !verify && !no_clobber && report.style != INSTAR_OUTPUT_JSON;
}

std::optional<int> Arguments::check_streams(const CommandContext& context) const {
  if (reads_stdin_ && sources.size() > 1)
    return context.error("Standard input can only be the only source");
  if (reads_stdin_ && (image_opts || snapshot || bitmaps || offload))
    return context.error("Standard input can't be used with --image-opts, -l, --bitmaps or -C");
  if (!writes_stdout_) return std::nullopt;
  if (skip_create || backing || bitmaps || open_options || verify || no_clobber)
    return context.error(
        "Standard output can't be used with -n, -B, --bitmaps, --compression-level, --verify or "
        "--no-clobber");
  if (report.style == INSTAR_OUTPUT_JSON)
    return context.error("Standard output is the image; --output=json has no place there");
  return std::nullopt;
}

}  // namespace instar::convert
