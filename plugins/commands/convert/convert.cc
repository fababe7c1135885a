// SPDX-License-Identifier: Apache-2.0
/** @file convert.cc The command convert: copies images into a new or existing one, perhaps of
 * another format. */
#include <unistd.h>

#include <cstdio>

#include "plugins/commands/convert/arguments.hpp"
#include "plugins/commands/convert/bitmap_copy.hpp"
#include "plugins/commands/convert/content_check.hpp"
#include "plugins/commands/convert/creation_plan.hpp"
#include "plugins/commands/convert/standard_streams.hpp"
#include "sdk/abi/compress.h"
#include "sdk/abi/forward.h"
#include "sdk/cpp/new_image.hpp"
#include "sdk/cpp/plugin.hpp"

namespace instar::convert {

namespace {

/** One run of the command. */
class Conversion {
 public:
  Conversion(CommandContext& context, const Arguments& arguments)
      : context_(context),
        arguments_(arguments),
        new_image_(context),
        check_(context, arguments),
        source_names_(arguments.sources) {}

  int run() {
    if (arguments_.to_stdout())
      context_.output().set_mode(context_.host().abi(), INSTAR_OUTPUT_STDOUT_TAKEN);
    {
      const Progress progress(context_, arguments_.progress_style, 1);
      // A message stands behind the last progress line, whose end follows it.
      if (const auto done = run(progress); !done) return context_.error(done.error());
    }
    const auto told = tell();
    return told ? 0 : context_.error(told.error());
  }

 private:
  Status run(const Progress& progress) {
    INSTAR_CHECK(open_sources());
    // One that was there may be over anything: what it reads as is the caller's word.
    if (arguments_.target_is_zero && arguments_.backing)
      return fail(EINVAL,
                  "Cannot use --target-is-zero when the destination image has a backing file");
    CreationPlan plan;
    if (!arguments_.to_stdout()) {
      INSTAR_TRY(plan, plan_creation(context_, arguments_));
      INSTAR_CHECK(choose_order(plan));
    }
    INSTAR_CHECK(check_bitmaps());
    if (arguments_.target_cache && !is_cache_mode(*arguments_.target_cache))
      return fail(EINVAL, "Invalid cache option: ", *arguments_.target_cache);
    INSTAR_CHECK(check_.open());
    if (arguments_.to_stdout()) return stream(progress);
    if ((plan.abilities & INSTAR_TARGET_UPLOADS) != 0 && can_stream()) {
      auto done = upload(progress);
      if (done || done.error().code != ENOTSUP) return done;
    }
    if (!arguments_.skip_create) INSTAR_CHECK(create_target(plan));
    if (!arguments_.report.dry_run || arguments_.skip_create) {
      if (auto opened = open_target(); !opened) {
        if (!context_.call().cancelled()) new_image_.leave_if_strict();
        return new_image_.renamed(std::move(opened));
      }
    }
    if (arguments_.report.dry_run) return {};
    INSTAR_CHECK(new_image_.renamed(fill_target(progress)));
    INSTAR_CHECK(new_image_.finish());
    progress.report(1, 1);
    return {};
  }

  Status fill_target(const Progress& progress) {
    INSTAR_CHECK(copy(progress));
    if (arguments_.bitmaps)
      INSTAR_CHECK(copy_bitmaps(context_, sources_[0].node(), target_.node()));
    if (in_order()) {
      INSTAR_TRY(total_, (forward_ ? sources_[0] : target_).node().size());
    }
    INSTAR_TRY(made_size_, target_.node().size());
    INSTAR_CHECK(target_.flush(context_.call()));
    INSTAR_CHECK(target_.close(context_.call()));
    check_.finish();
    if (!arguments_.verify) return {};
    INSTAR_CHECK(open_target(0));
    INSTAR_CHECK(check_.verify(target_, sources_));
    return target_.close();
  }

  /** What is copied goes to stdout, as a whole image. */
  Status stream(const Progress& progress) {
    if (sources_.empty())
      return fail(EINVAL, "Standard input must be a file when the target is standard output");
    StdoutImage out;
    INSTAR_CHECK(out.open());
    if (arguments_.report.dry_run) return {};
    instar_stream_job job{};
    job.out = out.receiver();
    auto done = run_stream(job, progress);
    INSTAR_CHECK(out.status());
    INSTAR_CHECK(std::move(done));
    return out.finish();
  }

  /** Nothing asks for what is done with an image that is there. */
  bool can_stream() const {
    return !sources_.empty() && !arguments_.open_options && !arguments_.backing &&
           !arguments_.bitmaps && !arguments_.verify && !arguments_.no_clobber;
  }

  /** What is copied goes to where files are only stored whole, from their beginning to their end. ENOTSUP,
   * before any of it went: the format, or an option, needs the image in a file first. */
  Status upload(const Progress& progress) {
    if (arguments_.report.dry_run) return {};
    instar_stream_job job{};
    job.filename = arguments_.target.c_str();
    return run_stream(job, progress);
  }

  Status run_stream(instar_stream_job& job, const Progress& progress) {
    const auto sources = source_images();
    job.struct_size = sizeof job;
    job.flags = source_job_flags() | (arguments_.compress ? uint32_t{INSTAR_COPY_COMPRESSED} : 0u);
    job.sources = sources.data();
    job.source_count = sources.size();
    job.format = arguments_.target_format.c_str();
    job.options = arguments_.options ? arguments_.options->c_str() : nullptr;
    job.content = check_.receiver();
    job.rate = arguments_.rate;
    job.progress = progress.abi();
    OutgoingCall call(&context_.call());
    INSTAR_CHECK(call.status(context_.engine().stream(context_.host().abi(), call.abi(), &job)));
    check_.finish();
    progress.report(1, 1);
    return {};
  }

  /** Nobody writes to a source meanwhile, not even we: it may be the target too. */
  uint32_t source_flags() const {
    return arguments_.force_share ? uint32_t{INSTAR_OPEN_FORCE_SHARE}
                                  : uint32_t{INSTAR_OPEN_NO_SHARE};
  }

  Result<Image> open_source(const std::string& name, const std::optional<std::string>& snapshot,
                            uint32_t flags = 0) const {
    return context_.open(image_spec(name, arguments_.format, arguments_.image_opts,
                                    source_flags() | flags, arguments_.source_cache, snapshot));
  }

  Status open_sources() {
    if (arguments_.from_stdin()) {
      const auto name = name_of_stdin();
      if (!name) return check_pipe();
      source_names_[0] = *name;
    }
    const bool several = source_names_.size() > 1;
    for (const auto& name : source_names_) {
      INSTAR_TRY(auto image, open_source(name, several ? std::nullopt : arguments_.snapshot));
      sources_.push_back(std::move(image));
    }
    if (!reads_forward()) INSTAR_CHECK(find_total());
    if (!arguments_.snapshot || !several) return {};
    // As in QEMU: one that is told by snapshot.id or snapshot.name is the first source's.
    if (!arguments_.snapshot->starts_with("snapshot."))
      return fail(EINVAL, "No support for concatenating multiple snapshot");
    INSTAR_TRY(sources_[0], open_source(source_names_[0], arguments_.snapshot));
    return {};
  }

  Status find_total() {
    for (const auto& source : sources_) {
      INSTAR_TRY(const uint64_t size, source.node().size());
      if (add_overflows(total_, round_up(size, 512), &total_))
        return fail(EFBIG, "The images together are too large");
    }
    return {};
  }

  /** The only source has no size yet, and nothing that is asked for needs it before the copy. */
  bool reads_forward() const {
    void* self = nullptr;
    return sources_.size() == 1 && !arguments_.to_stdout() && !arguments_.snapshot &&
           !arguments_.bitmaps && !arguments_.backing && !arguments_.offload &&
           !arguments_.skip_create && !arguments_.salvage && !arguments_.report.dry_run &&
           sources_[0].node().interface<instar_forward_ops>(INSTAR_FORWARD_ID, &self) != nullptr;
  }
  /** What is copied is read from its beginning to its end, and makes the target grow. */
  bool in_order() const { return sources_.empty() || forward_; }

  /** Whether the target can be made before its size is known; else that is found now. */
  Status choose_order(const CreationPlan& plan) {
    if (!reads_forward()) return {};
    constexpr uint32_t kFit = INSTAR_FORMAT_GROWS | INSTAR_TARGET_UPLOADS;
    forward_ = (plan.abilities & kFit) == INSTAR_FORMAT_GROWS && !plan.backing &&
               !plan.preallocation && !plan.data_file;
    return forward_ ? Status{} : find_total();
  }

  /** What comes through a pipe can't be probed, and must not be taken for something else. */
  Status check_pipe() const {
    if (arguments_.format == "raw") return {};
    return fail(EINVAL, "Standard input is a pipe: only raw can be read from it, with -f raw");
  }

  Status check_bitmaps() const {
    if (!arguments_.bitmaps) return {};
    if (sources_.size() > 1)
      return fail(EINVAL, "Copying bitmaps only possible with single source");
    return convert::check_bitmaps(sources_[0].node(), arguments_.skip_broken_bitmaps);
  }

  Status create_target(const CreationPlan& plan) {
    has_backing_ = plan.backing.has_value();
    target_options_ = plan.key_secrets;
    const auto text = [](const std::optional<std::string>& s) { return s ? s->c_str() : nullptr; };
    instar_create_spec spec{};
    spec.flags = INSTAR_CREATE_QUIET | INSTAR_CREATE_BACKING_UNSAFE | INSTAR_CREATE_SIZE_WINS |
                 (arguments_.report.dry_run ? uint32_t{INSTAR_CREATE_DRY_RUN} : 0u);
    spec.filename = arguments_.target.c_str();
    spec.format = arguments_.target_format.c_str();
    spec.options = text(arguments_.options);
    spec.backing = text(plan.backing);
    spec.backing_format = text(plan.backing_format);
    spec.size = total_;
    new_image_.keep_existing(arguments_.no_clobber);
    auto created = new_image_.create(spec);
    if (created) return {};
    auto error = std::move(created).error();
    error.message = cat(arguments_.target, ": error while converting ", arguments_.target_format,
                        ": ", error.message);
    return error;
  }

  uint32_t target_flags() const {
    if (arguments_.report.dry_run) return 0;
    const bool grows = in_order() && !arguments_.skip_create;
    return INSTAR_OPEN_WRITE | INSTAR_OPEN_UNMAP | (grows ? uint32_t{INSTAR_OPEN_RESIZE} : 0u);
  }

  Status open_target(uint32_t flags) {
    const std::optional<std::string> format =
        arguments_.target_image_opts && !arguments_.target_format_given
            ? std::nullopt
            : std::optional(arguments_.target_format);
    const std::string& name = arguments_.skip_create ? arguments_.target : new_image_.name();
    auto spec =
        image_spec(name, format, arguments_.target_image_opts, flags, arguments_.target_cache);
    std::string options = target_options_;
    if (arguments_.open_options) options += (options.empty() ? "" : ",") + *arguments_.open_options;
    if (!options.empty()) spec.options = options.c_str();
    INSTAR_TRY(target_, context_.open(spec));
    return {};
  }

  Status open_target() {
    INSTAR_CHECK(open_target(target_flags()));
    if (arguments_.bitmaps && !has_bitmaps(target_.node()))
      return fail(ENOTSUP, "Format driver '", target_.driver(), "' does not support bitmaps");
    void* self = nullptr;
    if (arguments_.compress &&
        target_.node().interface<instar_compress_ops>(INSTAR_COMPRESS_ID, &self) == nullptr)
      return fail(ENOTSUP, "Compression not supported for this file format");
    INSTAR_TRY(const uint64_t size, target_.node().size());
    if (arguments_.skip_create && size < total_)
      return fail(EINVAL, "output file is smaller than input file");
    return {};
  }

  Status copy(const Progress& progress) {
    INSTAR_TRY(const instar_node_limits limits, target_.node().limits());
    const bool reads_zero =
        arguments_.target_is_zero ||
        (!arguments_.skip_create && !has_backing_ && (limits.flags & INSTAR_NODE_ZERO_INIT) != 0);
    const auto sources = source_images();

    instar_copy_job job{};
    job.struct_size = sizeof job;
    const bool compress = arguments_.compress || (limits.flags & INSTAR_NODE_COMPRESSED_MUST) != 0;
    job.flags = (compress ? uint32_t{INSTAR_COPY_COMPRESSED} : 0u) |
                (arguments_.unordered ? uint32_t{INSTAR_COPY_UNORDERED} : 0u) |
                (arguments_.offload ? uint32_t{INSTAR_COPY_OFFLOAD} : 0u) | source_job_flags() |
                (reads_zero ? uint32_t{INSTAR_COPY_TARGET_ZERO} : 0u);
    if (in_order()) {
      // A new image with a size is a device, which has that of its own.
      INSTAR_TRY(const uint64_t room, target_.node().size());
      const bool fixed = arguments_.skip_create || room != 0;
      job.flags |= INSTAR_COPY_STREAM | (fixed ? 0u : uint32_t{INSTAR_COPY_RESIZE});
      job.source_fd = STDIN_FILENO;
    }
    job.sources = sources.data();
    job.source_count = sources.size();
    job.target = target_.abi();
    // A target that was there may be over anything: only -B says that it shows what the source does.
    const bool shared = arguments_.skip_create ? arguments_.backing.has_value() : has_backing_;
    job.target_backing = shared ? context_.graph().backing(target_.abi()) : nullptr;
    job.min_sparse = arguments_.min_sparse;
    job.rate = arguments_.rate;
    job.workers = arguments_.workers;
    job.progress = progress.abi();
    job.content = check_.receiver();
    OutgoingCall call(&context_.call());
    return call.status(context_.engine().copy(context_.host().abi(), call.abi(), &job));
  }

  std::vector<instar_image*> source_images() const {
    std::vector<instar_image*> images;
    for (const auto& source : sources_)
      images.push_back(source.abi());
    return images;
  }

  uint32_t source_job_flags() const {
    return (arguments_.salvage ? uint32_t{INSTAR_COPY_SALVAGE} : 0u) |
           (arguments_.quiet ? uint32_t{INSTAR_COPY_QUIET} : 0u);
  }

  Status tell() const {
    if (arguments_.report.wanted()) return report();
    if (!arguments_.hash) return {};
    const std::string line = cat(check_.digest(), "  ", arguments_.target, "\n");
    if (arguments_.to_stdout())
      std::fputs(line.c_str(), stderr);
    else
      context_.print(line);
    return {};
  }

  Status report() const {
    Report report(context_, arguments_.report, "convert");
    report.field("filename", arguments_.target).field("format", arguments_.target_format);
    if (arguments_.skip_create) report.field("create", false);
    report.json().key("sources").begin_array();
    for (const auto& name : arguments_.sources)
      report.json().value(name);
    report.json().end_array();
    if (!sources_.empty() || !arguments_.report.dry_run)
      report.field("virtual-size", made_size_.value_or(total_));
    if (arguments_.report.dry_run)
      add_estimate(report);
    else if (check_.wanted())
      report.field("algorithm", check_.algorithm()).field("digest", check_.digest());
    if (arguments_.verify) report.field("verified", !arguments_.report.dry_run);
    return report.print();
  }

  /** What goes into the target: not what both show of one backing file. */
  Result<Image> own_content() const {
    auto* const source = sources_[0].abi();
    const auto* below = context_.graph().backing(source);
    const bool shared = below != nullptr && arguments_.backing &&
                        context_.graph().find_backing(source, arguments_.backing->c_str()) == below;
    return open_source(source_names_[0], arguments_.snapshot,
                       shared ? uint32_t{INSTAR_OPEN_NO_BACKING} : 0u);
  }

  /** The space that it would take at most, where the format can tell. */
  void add_estimate(Report& report) const {
    if (arguments_.skip_create || sources_.size() != 1) return;
    const auto content = own_content();
    if (!content) return;
    instar_measure_result measured{};
    measured.struct_size = sizeof measured;
    OutgoingCall call(&context_.call());
    const auto* options = arguments_.options ? arguments_.options->c_str() : nullptr;
    if (context_.graph().measure(context_.host().abi(), call.abi(),
                                 arguments_.target_format.c_str(), options, content->abi(), 0,
                                 &measured) >= 0)
      report.field("required", measured.required);
  }

  CommandContext& context_;
  const Arguments& arguments_;
  NewImage new_image_;  ///< closed before it is removed
  ContentCheck check_;
  std::vector<std::string> source_names_;
  std::vector<Image> sources_;  ///< none: a pipe
  bool forward_ = false;        ///< the only source's size is known once all of it was read
  Image target_;
  uint64_t total_ = 0;
  std::optional<uint64_t> made_size_;  ///< of the target, when it is filled: some formats round it
  bool has_backing_ = false;
  std::string target_options_;  ///< what opens the target, besides its name
};

class Convert {
 public:
  static int run(CommandContext& context) {
    Arguments arguments;
    if (const auto status = arguments.parse(context)) return *status;
    return Conversion(context, arguments).run();
  }
};

}  // namespace

}  // namespace instar::convert

INSTAR_PLUGIN("command-convert", "1.0.0", instar::sdk::command<instar::convert::Convert>("convert"))
