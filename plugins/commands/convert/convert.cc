// SPDX-License-Identifier: Apache-2.0
/** @file convert.cc The command convert: copies images into a new or existing one, perhaps of
 * another format. */
#include "plugins/commands/convert/arguments.hpp"
#include "plugins/commands/convert/bitmap_copy.hpp"
#include "sdk/abi/compress.h"
#include "sdk/cpp/plugin.hpp"

namespace instar::convert {

namespace {

/** What creation would do, learned before anything is touched. */
struct CreationPlan {
  uint32_t abilities = 0;
  std::optional<std::string> backing, backing_format;
  bool preallocation = false, encryption = false, data_file = false;
  std::string key_secrets;  ///< key=value,… : what opens the new image

  static void receive(void* opaque, const instar_options* abi, uint32_t abilities) {
    auto& plan = *static_cast<CreationPlan*>(opaque);
    const Options options(*abi);
    plan.abilities = abilities;
    if (options.has("backing_file")) plan.backing = options.text("backing_file");
    if (options.has("backing_fmt")) plan.backing_format = options.text("backing_fmt");
    const auto preallocation = options.text("preallocation", "off");
    plan.preallocation = preallocation != "off";
    plan.encryption = options.flag("encryption") || options.has("encrypt.format");
    plan.data_file = options.has("data_file");
    for (const auto& option : options) {
      if (!std::string_view(option.name).ends_with("key-secret")) continue;
      if (!plan.key_secrets.empty()) plan.key_secrets += ',';
      plan.key_secrets += cat(option.name, '=');
      for (const char c : std::string_view(option.text))
        plan.key_secrets.append(c == ',' ? 2 : 1, c);
    }
  }
};

/** One run of the command. */
class Conversion {
 public:
  Conversion(CommandContext& context, const Arguments& arguments)
      : context_(context), arguments_(arguments) {}

  int run() {
    const Progress progress(context_, arguments_.progress_style, 1);
    const auto done = run(progress);
    // A message stands behind the last progress line, whose end follows it.
    return done ? 0 : context_.error(done.error());
  }

 private:
  Status run(const Progress& progress) {
    INSTAR_CHECK(open_sources());
    INSTAR_CHECK(check_bitmaps());
    CreationPlan plan;
    if (!arguments_.skip_create) INSTAR_CHECK(check_plan(plan));
    if (arguments_.target_cache && !is_cache_mode(*arguments_.target_cache))
      return fail(EINVAL, "Invalid cache option: ", *arguments_.target_cache);
    if (!arguments_.skip_create) INSTAR_CHECK(create_target(plan));
    INSTAR_CHECK(open_target());
    auto copied = copy(progress);
    if (copied && arguments_.bitmaps)
      copied = copy_bitmaps(context_, sources_[0].node(), target_.node());
    if (!copied) {
      (void)target_.close();
      discard_target();
      return copied;
    }
    INSTAR_CHECK(target_.close());
    progress.report(1, 1);
    return {};
  }

  /** Nobody writes to a source meanwhile, not even we: it may be the target too. */
  uint32_t source_flags() const {
    return arguments_.force_share ? uint32_t{INSTAR_OPEN_FORCE_SHARE}
                                  : uint32_t{INSTAR_OPEN_NO_SHARE};
  }

  Status open_sources() {
    if (arguments_.image_opts && arguments_.format)
      return fail(EINVAL, "--image-opts and --format are mutually exclusive");
    const bool several = arguments_.sources.size() > 1;
    const auto snapshot = several ? std::nullopt : arguments_.snapshot;
    for (const auto& name : arguments_.sources) {
      INSTAR_TRY(auto image,
                 context_.open(image_spec(name, arguments_.format, arguments_.image_opts,
                                          source_flags(), arguments_.source_cache, snapshot)));
      INSTAR_TRY(const uint64_t size, image.node().size());
      uint64_t sum = 0;
      if (add_overflows(total_, round_up(size, 512), &sum))
        return fail(EFBIG, "The images together are too large");
      total_ = sum;
      sources_.push_back(std::move(image));
    }
    if (arguments_.snapshot && several)
      return fail(EINVAL, "No support for concatenating multiple snapshot");
    return {};
  }

  Status check_bitmaps() const {
    if (!arguments_.bitmaps) return {};
    if (sources_.size() > 1)
      return fail(EINVAL, "Copying bitmaps only possible with single source");
    return convert::check_bitmaps(sources_[0].node(), arguments_.skip_broken_bitmaps);
  }

  /** All that can be told to be wrong without touching the target, in QEMU's order and words. */
  Status check_plan(CreationPlan& plan) const {
    OutgoingCall call(&context_.call());
    const auto* options = arguments_.options ? arguments_.options->c_str() : nullptr;
    INSTAR_CHECK(call.status(context_.graph().check_create(
        context_.host().abi(), call.abi(), arguments_.target_format.c_str(),
        arguments_.target.c_str(), options, &plan, &CreationPlan::receive)));
    if (arguments_.backing) plan.backing = arguments_.backing;
    if (arguments_.backing_format) plan.backing_format = arguments_.backing_format;
    if (plan.backing && sources_.size() > 1)
      return fail(EINVAL,
                  "Having a backing file for the target makes no sense when concatenating multiple "
                  "input images");
    if (plan.backing && (plan.abilities & INSTAR_FORMAT_BACKING) == 0)
      return fail(ENOTSUP, "Backing file not supported for file format '", arguments_.target_format,
                  "'");
    if (plan.backing && !plan.backing_format)
      return fail(EINVAL, "Use of backing file requires explicit backing format");
    if (!arguments_.compress) return {};
    if ((plan.abilities & INSTAR_FORMAT_COMPRESSES) == 0)
      return fail(ENOTSUP, "Compression not supported for this file format");
    if (plan.encryption)
      return fail(ENOTSUP, "Compression and encryption not supported at the same time");
    if (plan.preallocation)
      return fail(ENOTSUP, "Compression and preallocation not supported at the same time");
    if (plan.data_file)
      return fail(ENOTSUP, "Compression and data-file not supported at the same time");
    return {};
  }

  Status create_target(const CreationPlan& plan) {
    has_backing_ = plan.backing.has_value();
    target_options_ = plan.key_secrets;
    const auto text = [](const std::optional<std::string>& s) { return s ? s->c_str() : nullptr; };
    const instar_create_spec spec{
        sizeof spec,
        INSTAR_CREATE_QUIET | INSTAR_CREATE_BACKING_UNSAFE | INSTAR_CREATE_SIZE_WINS,
        arguments_.target.c_str(),
        arguments_.target_format.c_str(),
        text(arguments_.options),
        text(plan.backing),
        text(plan.backing_format),
        total_};
    OutgoingCall call(&context_.call());
    const int result = context_.graph().create(context_.host().abi(), call.abi(), &spec);
    if (result >= 0) {
      created_ = true;
      return {};
    }
    auto error = call.error(result);
    error.message = cat(arguments_.target, ": error while converting ", arguments_.target_format,
                        ": ", error.message);
    return error;
  }

  Status open_target() {
    const std::optional<std::string> format =
        arguments_.target_image_opts ? std::nullopt : std::optional(arguments_.target_format);
    auto spec = image_spec(arguments_.target, format, arguments_.target_image_opts,
                           INSTAR_OPEN_WRITE | INSTAR_OPEN_UNMAP, arguments_.target_cache);
    if (arguments_.open_options) {
      if (!target_options_.empty()) target_options_ += ',';
      target_options_ += *arguments_.open_options;
    }
    if (!target_options_.empty()) spec.options = target_options_.c_str();
    INSTAR_TRY(target_, context_.open(spec));
    INSTAR_TRY(const uint64_t size, target_.node().size());
    if (arguments_.skip_create && size < total_)
      return fail(EINVAL, "output file is smaller than input file");
    if (arguments_.target_is_zero && context_.graph().backing(target_.abi()) != nullptr)
      return fail(EINVAL,
                  "Cannot use --target-is-zero when the destination image has a backing file");
    void* self = nullptr;
    if (arguments_.compress &&
        target_.node().interface<instar_compress_ops>(INSTAR_COMPRESS_ID, &self) == nullptr)
      return fail(ENOTSUP, "Compression not supported for this file format");
    if (arguments_.bitmaps && !has_bitmaps(target_.node()))
      return fail(ENOTSUP, "Format driver '", target_.driver(), "' does not support bitmaps");
    return {};
  }

  Status copy(const Progress& progress) {
    INSTAR_TRY(const instar_node_limits limits, target_.node().limits());
    const bool reads_zero =
        arguments_.target_is_zero ||
        (created_ && !has_backing_ && (limits.flags & INSTAR_NODE_ZERO_INIT) != 0);
    std::vector<instar_image*> sources;
    for (const auto& source : sources_)
      sources.push_back(source.abi());

    instar_copy_job job{};
    job.struct_size = sizeof job;
    const bool compress = arguments_.compress || (limits.flags & INSTAR_NODE_COMPRESSED_MUST) != 0;
    job.flags = (compress ? uint32_t{INSTAR_COPY_COMPRESSED} : 0u) |
                (arguments_.unordered ? uint32_t{INSTAR_COPY_UNORDERED} : 0u) |
                (arguments_.offload ? uint32_t{INSTAR_COPY_OFFLOAD} : 0u) |
                (arguments_.salvage ? uint32_t{INSTAR_COPY_SALVAGE} : 0u) |
                (arguments_.quiet ? uint32_t{INSTAR_COPY_QUIET} : 0u) |
                (reads_zero ? uint32_t{INSTAR_COPY_TARGET_ZERO} : 0u);
    job.sources = sources.data();
    job.source_count = sources.size();
    job.target = target_.abi();
    job.target_backing = context_.graph().backing(target_.abi());
    job.min_sparse = arguments_.min_sparse;
    job.rate = arguments_.rate;
    job.workers = arguments_.workers;
    job.progress = progress.abi();
    OutgoingCall call(&context_.call());
    return call.status(context_.engine().copy(context_.host().abi(), call.abi(), &job));
  }

  /** A target of ours that is not whole must not look as if it were. */
  void discard_target() const {
    if (!created_) return;
    OutgoingCall call;
    context_.graph().remove(context_.host().abi(), call.abi(), arguments_.target.c_str());
  }

  CommandContext& context_;
  const Arguments& arguments_;
  std::vector<Image> sources_;
  Image target_;
  uint64_t total_ = 0;
  bool created_ = false;
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
