// SPDX-License-Identifier: Apache-2.0
/** @file bench.cc The command bench: how long an image takes for many requests of one size. */
#include <chrono>
#include <cstdio>

#include "plugins/commands/bench/requests.hpp"
#include "sdk/cpp/plugin.hpp"
#include "sdk/cpp/report.hpp"

namespace instar::bench {

namespace {

constexpr Range kCount{1, INT32_MAX, false};
constexpr Range kBytes{1, INT32_MAX};

struct Arguments {
  std::optional<std::string> format, cache, aio;
  std::optional<uint64_t> count, depth, buffer_size, step, offset, pattern, flush_interval;
  bool native = false, write = false, no_drain = false, image_opts = false, quiet = false,
       force_share = false;
  ReportOptions report;
};

/** False: it is wrong, and that has been reported. */
bool check(const CommandContext& context, const Arguments& arguments) {
  const uint64_t flush_interval = arguments.flush_interval.value_or(0);
  std::string_view problem;
  if (!arguments.write && flush_interval != 0)
    problem = "--flush-interval is only available in write tests";
  else if (flush_interval != 0 && flush_interval < arguments.depth.value_or(kUsualDepth))
    problem = "Flush interval can't be smaller than depth";
  if (!problem.empty()) context.error(problem);
  return problem.empty();
}

void announce(const CommandContext& context, const Workload& work) {
  context.print(cat("Sending ", work.count, " ", work.write ? "write" : "read", " requests, ",
                    work.buffer_size, " bytes each, ", work.depth,
                    " in parallel (starting at offset ", work.offset, ", step size ", work.step,
                    ")\n"));
  if (work.flush_interval != 0)
    context.print(cat("Sending flush every ", work.flush_interval, " requests\n"));
}

Status tell(const CommandContext& context, const ReportOptions& report, const Image& image,
            const Workload& work, double seconds) {
  return Report(context, report, "bench")
      .field("filename", image.filename())
      .field("requests", work.count)
      .field("request-size", work.buffer_size)
      .field("depth", work.depth)
      .field("write", work.write)
      .field("seconds", seconds)
      .print();
}

int run_requests(const CommandContext& context, Image& image, Workload work,
                 const ReportOptions& report) {
  const auto size = image.node().size();
  if (!size) return context.error(size.error());
  work.image_size = *size;
  if (!report.wanted()) announce(context, work);
  const auto start = std::chrono::steady_clock::now();
  if (const auto done = send_requests(context.call(), image.node(), work); !done)
    return context.error(cat("Failed request: ", errno_text(done.error().code)));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (report.wanted()) {
    const auto told = tell(context, report, image, work, seconds.count());
    if (!told) return context.error(told.error());
  } else {
    char text[32];
    std::snprintf(text, sizeof text, "%.3f", seconds.count());
    context.print(cat("Run completed in ", text, " seconds.\n"));
  }
  const auto closed = image.close();
  return closed ? 0 : context.error(closed.error());
}

class Bench {
 public:
  static int run(CommandContext& context) {
    Arguments arguments;
    std::vector<std::string> operands;
    CommandLine line("bench", "[OPTIONS] FILE",
                     "Sends many requests of one size to an image and says how long they took.");
    declare(line, context, arguments);
    add_object_option(line, context);
    line.operands(operands).epilogue(
        "With -w the content of FILE is overwritten.\n\n"
        "Example: bench -c 10000 -d 16 -s 64k -t none disk.qcow2\n");
    if (const auto status = line.parse(context)) return *status;
    if (operands.size() != 1) return line.usage_error(context, "Expecting one image file name");
    if (!check(context, arguments)) return 1;

    auto image = open(context, arguments, operands[0]);
    if (!image) return context.error(image.error());
    Workload work;
    work.count = arguments.count.value_or(work.count);
    work.depth = arguments.depth.value_or(work.depth);
    work.buffer_size = arguments.buffer_size.value_or(work.buffer_size);
    work.step = arguments.step.value_or(work.buffer_size);
    if (work.step == 0) work.step = work.buffer_size;
    work.offset = arguments.offset.value_or(0);
    work.pattern = static_cast<uint8_t>(arguments.pattern.value_or(0));
    work.flush_interval = arguments.flush_interval.value_or(0);
    work.drain = !arguments.no_drain;
    work.write = arguments.write;
    return run_requests(context, *image, work, arguments.report);
  }

 private:
  static void declare(CommandLine& line, CommandContext& context, Arguments& arguments) {
    line.action('c', "count", "N",
                number_handler(context, "request count", kCount, arguments.count),
                "how many requests (default 75000)")
        .action('d', "depth", "N", number_handler(context, "queue depth", kCount, arguments.depth),
                "how many of them at a time (default 64)")
        .text('f', "format", "FMT", arguments.format, "format of FILE; without it FILE is probed")
        .flag(0, "image-opts", arguments.image_opts, "FILE is a list of key=value, not a name")
        .action('s', "buffer-size", "SIZE",
                number_handler(context, "buffer size", kBytes, arguments.buffer_size),
                "bytes of a request (default 4k)")
        .action('S', "step-size", "SIZE",
                number_handler(context, "step size", {0, INT32_MAX}, arguments.step),
                "from a request's beginning to the next one's (default: its size)")
        .action('o', "offset", "OFFSET", number_handler(context, "offset", {}, arguments.offset),
                "where the first request begins (default 0)")
        .flag('w', "write", arguments.write, "write instead of reading")
        .action(0, "pattern", "BYTE",
                number_handler(context, "pattern byte", {0, 255, false}, arguments.pattern),
                "what is written (default 0)")
        .action(0, "flush-interval", "N",
                number_handler(context, "flush interval", {0, INT32_MAX, false},
                               arguments.flush_interval),
                "flush after each N writes, when they are done")
        .flag(0, "no-drain", arguments.no_drain, "flush while other writes are under way")
        .action(
            't', "cache", "MODE",
            [&](const char* text) -> std::optional<int> {
              if (!is_cache_mode(text)) return context.error("Invalid cache mode");
              arguments.cache = text;
              return std::nullopt;
            },
            "cache mode: writeback (default), none, writethrough, directsync, unsafe")
        .action(
            'i', "aio", "MODE",
            [&](const char* text) -> std::optional<int> {
              const std::string_view mode = text;
              if (mode != "threads" && mode != "native" && mode != "io_uring")
                return context.error(cat("Invalid aio option: ", mode));
              arguments.aio = text;
              return std::nullopt;
            },
            "threads, native or io_uring; accepted, requests are always made by threads")
        .flag('n', "native", arguments.native, "the same as --aio native")
        .flag('q', "quiet", arguments.quiet, "accepted")
        .flag('U', "force-share", arguments.force_share,
              "read FILE even where another program writes to it");
    arguments.report.declare(line, context, ReportOptions::Rehearses::kNo);
  }

  static Result<Image> open(const CommandContext& context, const Arguments& arguments,
                            const std::string& filename) {
    uint32_t flags = arguments.write ? uint32_t{INSTAR_OPEN_WRITE} : 0u;
    if (arguments.force_share) flags |= INSTAR_OPEN_FORCE_SHARE;
    const bool native = arguments.native || arguments.aio == "native";
    const bool direct = arguments.cache == "none" || arguments.cache == "directsync";
    if (native && !direct)
      return fail(EINVAL, "Could not open '", filename,
                  "': aio=native was specified, but it requires cache.direct=on, which was not "
                  "specified.");
    return context.open(
        image_spec(filename, arguments.format, arguments.image_opts, flags, arguments.cache));
  }
};

}  // namespace

}  // namespace instar::bench

INSTAR_PLUGIN("command-bench", "1.0.0", instar::sdk::command<instar::bench::Bench>("bench"))
