// SPDX-License-Identifier: Apache-2.0
/** @file dd.cc The command dd: copies a part of an image into a new one, with dd's operands. */
#include "sdk/cpp/new_image.hpp"
#include "sdk/cpp/plugin.hpp"
#include "sdk/cpp/report.hpp"

namespace instar::dd {

using namespace instar::sdk;

namespace {

constexpr uint64_t kSector = 512;
constexpr uint64_t kMinSparse = 4096;
constexpr Range kBlocks{0, INT64_MAX, false};

struct Arguments {
  std::optional<std::string> format, source, target;
  std::string target_format = "raw";
  uint64_t block_size = kSector;
  std::optional<uint64_t> count;  ///< blocks
  uint64_t skip = 0;              ///< blocks
  bool image_opts = false, force_share = false, no_clobber = false;
  instar_progress_style progress = INSTAR_PROGRESS_NONE;
  ReportOptions report;

  /** NAME=VALUE; false: it is wrong, and that has been reported. */
  bool take(CommandContext& context, const std::string& operand) {
    const size_t equals = std::min(operand.find('='), operand.size());
    const auto name = std::string_view(operand).substr(0, equals);
    const bool has_value = equals < operand.size();
    const char* value = operand.c_str() + (has_value ? equals + 1 : 0);
    std::optional<uint64_t> number;
    if (has_value && name == "if") {
      source = value;
    } else if (has_value && name == "of") {
      target = value;
    } else if (has_value && name == "bs") {
      number = parse_number(context, "bs", value, {1, INT32_MAX});
      block_size = number.value_or(0);
      return number.has_value();
    } else if (has_value && name == "count") {
      count = parse_number(context, "count", value, kBlocks);
      return count.has_value();
    } else if (has_value && name == "skip") {
      number = parse_number(context, "skip", value, kBlocks);
      skip = number.value_or(0);
      return number.has_value();
    } else {
      context.error(cat("unrecognized operand ", name));
      return false;
    }
    return true;
  }
};

/** What is copied, in bytes of the source. */
struct Window {
  uint64_t offset = 0;
  uint64_t length = 0;
};

/** As the genuine tool has it: `count` limits where the copy ends, not how long it is. */
Window choose_window(CommandContext& context, const Arguments& arguments, uint64_t size) {
  uint64_t end = size;
  uint64_t bytes = 0;
  if (arguments.count && !mul_overflows(*arguments.count, arguments.block_size, &bytes))
    end = std::min(size, bytes);
  Window window;
  const bool beyond =
      mul_overflows(arguments.skip, arguments.block_size, &window.offset) || window.offset > end;
  if (beyond) {
    context.error(cat(*arguments.source, ": cannot skip to specified offset"));
    return {};
  }
  window.length = end - std::min(end, window.offset);
  return window;
}

/** One run of the command. */
class Copy {
 public:
  Copy(CommandContext& context, const Arguments& arguments)
      : context_(context), arguments_(arguments), new_image_(context) {}

  Status run() {
    // Nobody writes to the source meanwhile, not even we: it may be the target too.
    const uint32_t flags =
        arguments_.force_share ? uint32_t{INSTAR_OPEN_FORCE_SHARE} : uint32_t{INSTAR_OPEN_NO_SHARE};
    INSTAR_TRY(source_, context_.open(image_spec(*arguments_.source, arguments_.format,
                                                 arguments_.image_opts, flags)));
    INSTAR_TRY(const uint64_t size, source_.node().size());
    INSTAR_CHECK(check_format());
    window_ = choose_window(context_, arguments_, round_up(size, kSector));
    INSTAR_CHECK(create());
    if (arguments_.report.dry_run) return tell();
    INSTAR_CHECK(new_image_.renamed(fill()));
    INSTAR_CHECK(new_image_.finish());
    return tell();
  }

 private:
  Status check_format() const {
    OutgoingCall call(&context_.call());
    const auto ignore = [](void*, const instar_options*, uint32_t) {};
    const int result = context_.graph().check_create(
        context_.host().abi(), call.abi(), arguments_.target_format.c_str(),
        arguments_.target->c_str(), nullptr, nullptr, ignore);
    if (result >= 0) return {};
    auto error = call.error(result);
    if (error.message.starts_with("Unknown file format")) error.message = "Unknown file format";
    return error;
  }

  Status create() {
    instar_create_spec spec{};
    spec.flags =
        INSTAR_CREATE_QUIET | (arguments_.report.dry_run ? uint32_t{INSTAR_CREATE_DRY_RUN} : 0u);
    spec.filename = arguments_.target->c_str();
    spec.format = arguments_.target_format.c_str();
    spec.size = window_.length;
    new_image_.keep_existing(arguments_.no_clobber);
    auto created = new_image_.create(spec);
    if (created) return {};
    auto error = std::move(created).error();
    error.message = cat(*arguments_.target, ": error while creating output image: ", error.message);
    return error;
  }

  Status fill() {
    INSTAR_TRY(Image target, context_.open(image_spec(new_image_.name(), arguments_.target_format,
                                                      false, INSTAR_OPEN_WRITE)));
    if (window_.length != 0) INSTAR_CHECK(copy(target));
    INSTAR_CHECK(target.flush(context_.call()));
    return target.close(context_.call());
  }

  Status copy(const Image& target) {
    INSTAR_TRY(const instar_node_limits limits, target.node().limits());
    instar_image* const sources[] = {source_.abi()};
    instar_copy_job job{};
    job.struct_size = sizeof job;
    if ((limits.flags & INSTAR_NODE_ZERO_INIT) != 0) job.flags |= INSTAR_COPY_TARGET_ZERO;
    job.sources = sources;
    job.source_count = 1;
    job.target = target.abi();
    job.min_sparse = kMinSparse;
    job.source_offset = window_.offset;
    job.length = window_.length;
    std::optional<Progress> progress;
    if (arguments_.progress != INSTAR_PROGRESS_NONE) {
      progress.emplace(context_, arguments_.progress, 1);
      job.progress = progress->abi();
    }
    OutgoingCall call(&context_.call());
    auto done = call.status(context_.engine().copy(context_.host().abi(), call.abi(), &job));
    if (!done) return context_.strict() ? without_place(std::move(done).error()) : std::move(done);
    if (progress) progress->report(1, 1);
    return {};
  }

  /** As qemu-img says it. */
  static Error without_place(Error error) {
    for (const auto& [start, file] : {std::pair("error while reading", " from input image file: "),
                                      std::pair("error while writing", " to output image file: ")})
      if (error.message.starts_with(start))
        error.message = cat(start, file, errno_text(error.code));
    return error;
  }

  Status tell() const {
    if (!arguments_.report.wanted()) return {};
    return Report(context_, arguments_.report, "dd")
        .field("filename", *arguments_.target)
        .field("format", arguments_.target_format)
        .field("virtual-size", window_.length)
        .field("source", *arguments_.source)
        .field("source-offset", window_.offset)
        .print();
  }

  CommandContext& context_;
  const Arguments& arguments_;
  NewImage new_image_;
  Image source_;
  Window window_;
};

class Dd {
 public:
  static int run(CommandContext& context) {
    Arguments arguments;
    std::optional<std::string> target_format;
    std::vector<std::string> operands;
    CommandLine line("dd", "[OPTIONS] [bs=SIZE] [count=N] [skip=N] if=FILE of=FILE",
                     "Copies an image, or a part of it, into a new image.");
    line.text('f', "format", "FMT", arguments.format, "format of if=; without it if= is probed")
        .flag(0, "image-opts", arguments.image_opts, "if= is a list of key=value, not a name")
        .text('O', "output-format", "FMT", target_format, "format of of= (default: raw)")
        .flag('U', "force-share", arguments.force_share,
              "read if= even where another program writes to it");
    add_object_option(line, context);
    if (!context.strict()) {
      add_progress_option(line, context, arguments.progress, "progress");
      line.flag(0, "no-clobber", arguments.no_clobber, "fail if of= exists");
    }
    arguments.report.declare(line, context);
    line.operands(operands).epilogue(
        "Operands:\n"
        "  if=FILE     image to read\n"
        "  of=FILE     image to make; what it was is lost\n"
        "  bs=SIZE     size of a block in bytes (default 512)\n"
        "  count=N     end the copy behind block N of if=\n"
        "  skip=N      begin the copy behind block N of if=\n\n"
        "Example: dd -f raw -O qcow2 bs=1M skip=4 if=disk.img of=rest.qcow2\n");
    if (const auto status = line.parse(context)) return *status;
    if (target_format) arguments.target_format = *target_format;
    for (const auto& operand : operands)
      if (!arguments.take(context, operand)) return 1;
    if (!arguments.source || !arguments.target)
      return context.error("Must specify both input and output files");
    const auto done = Copy(context, arguments).run();
    return done ? 0 : context.error(done.error());
  }
};

}  // namespace

}  // namespace instar::dd

INSTAR_PLUGIN("command-dd", "1.0.0", instar::sdk::command<instar::dd::Dd>("dd"))
