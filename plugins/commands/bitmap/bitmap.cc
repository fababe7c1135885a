// SPDX-License-Identifier: Apache-2.0
/** @file bitmap.cc The command bitmap: changes a persistent dirty bitmap of an image, in several steps
 * if asked for. */
#include "sdk/abi/bitmap.h"

#include <bit>

#include "sdk/cpp/plugin.hpp"
#include "sdk/cpp/report.hpp"

namespace instar::bitmap {

using namespace instar::sdk;

/** One of the steps, which are done in the order in which they stand on the command line. */
struct Step {
  enum class Kind : uint8_t { kAdd, kRemove, kClear, kEnable, kDisable, kMerge } kind;
  std::string source = {};  ///< kMerge: the bitmap
  const char* name() const {
    constexpr const char* kNames[] = {"add", "remove", "clear", "enable", "disable", "merge"};
    return kNames[static_cast<size_t>(kind)];
  }
};

struct Arguments {
  std::optional<std::string> format, source_file, source_format;
  std::optional<uint64_t> granularity;
  std::vector<Step> steps;
  std::vector<std::string> operands;
  bool image_opts = false;
  ReportOptions report;

  bool has(Step::Kind kind) const {
    return std::any_of(steps.begin(), steps.end(), [&](const Step& s) { return s.kind == kind; });
  }

  std::optional<int> parse(CommandContext& context) {
    CommandLine line("bitmap", "[OPTIONS] STEP... FILE BITMAP",
                     "Changes a persistent dirty bitmap of an image. The steps are done in their "
                     "order.");
    const auto step = [&](Step::Kind kind) -> CommandLine::Handler {
      return [&, kind](const char* value) -> std::optional<int> {
        steps.push_back({kind, value != nullptr ? value : ""});
        return std::nullopt;
      };
    };
    line.action(0, "add", "", step(Step::Kind::kAdd), "add BITMAP, enabled")
        .action(0, "remove", "", step(Step::Kind::kRemove), "remove BITMAP")
        .action(0, "clear", "", step(Step::Kind::kClear), "make all of BITMAP clean")
        .action(0, "enable", "", step(Step::Kind::kEnable), "BITMAP records what is written")
        .action(0, "disable", "", step(Step::Kind::kDisable), "BITMAP stays as it is")
        .action(0, "merge", "SOURCE", step(Step::Kind::kMerge),
                "what is dirty in the bitmap SOURCE becomes so in BITMAP")
        .action('g', "granularity", "SIZE", size_handler(context, "granularity", granularity),
                "bytes for which a bit of an added bitmap stands")
        .text('b', "source-file", "FILE", source_file, "the image that has SOURCE")
        .text('F', "source-format", "FMT", source_format, "format of the image of -b")
        .text('f', "format", "FMT", format, "format of FILE; without it FILE is probed")
        .flag(0, "image-opts", image_opts, "FILE is a list of key=value, not a name");
    add_object_option(line, context);
    report.declare(line, context);
    line.operands(operands);
    if (const auto status = line.parse(context)) return status;
    return check(context);
  }

 private:
  std::optional<int> check(CommandContext& context) const {
    if (steps.empty())
      return context.error(
          "Need at least one of --add, --remove, --clear, --enable, --disable, or --merge");
    if (granularity && !has(Step::Kind::kAdd))
      return context.error("granularity only supported with --add");
    if (source_format && !source_file) return context.error("-F only supported with -b");
    if (source_file && !has(Step::Kind::kMerge))
      return context.error("Merge bitmap source file only supported with --merge");
    if (operands.size() != 2) return context.error("Expecting filename and bitmap name");
    return std::nullopt;
  }
};

/** The bitmaps of an open image; none where its driver has none. */
struct Target {
  Target() = default;
  explicit Target(NodeRef image)
      : node(image), ops(image.interface<instar_bitmap_ops>(INSTAR_BITMAP_ID, &self)) {}
  NodeRef node;
  void* self = nullptr;
  const instar_bitmap_ops* ops = nullptr;
};

class Bitmap {
 public:
  static int run(CommandContext& context) {
    Arguments arguments;
    if (const auto status = arguments.parse(context)) return *status;
    const uint32_t use = arguments.report.dry_run ? 0u : uint32_t{INSTAR_OPEN_WRITE};
    auto image = context.open(image_spec(arguments.operands[0], arguments.format,
                                         arguments.image_opts, use | INSTAR_OPEN_NO_BACKING));
    if (!image) return context.error(image.error());
    Image source;
    if (arguments.source_file) {
      // FILE may be its backing file, as when bitmaps are kept through a commit.
      auto opened = context.open(image_spec(*arguments.source_file, arguments.source_format, false,
                                            INSTAR_OPEN_NO_IO | INSTAR_OPEN_NO_BACKING));
      if (!opened) return context.error(opened.error());
      source = *std::move(opened);
    }
    Bitmap bitmap(context, arguments, *image, source);
    const auto done = bitmap.all_steps();
    if (!done) context.error(done.error());
    const auto closed = image->close();  // what was done before a step failed stays done
    if (!closed) context.error(closed.error());
    if (!done || !closed) return 1;
    const auto told = tell(context, arguments);
    return told ? 0 : context.error(told.error());
  }

 private:
  static Status tell(const CommandContext& context, const Arguments& arguments) {
    if (!arguments.report.wanted()) return {};
    Report report(context, arguments.report, "bitmap");
    report.field("filename", arguments.operands[0]).field("bitmap", arguments.operands[1]);
    report.json().key("steps").begin_array();
    for (const auto& step : arguments.steps)
      report.json().value(step.name());
    report.json().end_array();
    return report.print();
  }

  Bitmap(CommandContext& context, const Arguments& arguments, const Image& image,
         const Image& source)
      : call_(&context.call()),
        arguments_(arguments),
        name_(arguments.operands[1]),
        node_name_(image.node_name()),
        target_(image.node()),
        source_(source ? Target(source.node()) : target_) {}

  Status all_steps() {
    for (const auto& step : arguments_.steps) {
      auto done = take(step);
      if (done) continue;
      Error error = std::move(done).error();
      error.message =
          cat("Operation ", step.name(), " on bitmap ", name_, " failed: ", error.message);
      return error;
    }
    return {};
  }

  static Error not_found(const std::string& name) {
    return fail(ENOENT, "Dirty bitmap '", name, "' not found");
  }

  Status take(const Step& step) {
    if (step.kind == Step::Kind::kAdd) return add();
    if (target_.ops == nullptr) return not_found(name_);
    if (arguments_.report.dry_run) return rehearse(step);
    switch (step.kind) {
      case Step::Kind::kRemove:
        return call_.status(target_.ops->remove(target_.self, call_.abi(), name_.c_str()));
      case Step::Kind::kClear:
        return call_.status(target_.ops->clear(target_.self, call_.abi(), name_.c_str()));
      case Step::Kind::kMerge:
        return merge(step.source);
      default:
        return call_.status(target_.ops->set_enabled(target_.self, call_.abi(), name_.c_str(),
                                                     step.kind == Step::Kind::kEnable));
    }
  }

  /** A step, when the ones before it would have been taken. */
  Status rehearse(const Step& step) {
    if (rehearsed_ == Rehearsed::kNothing) INSTAR_CHECK(check_usable(target_, name_));
    if (rehearsed_ == Rehearsed::kRemoved) return not_found(name_);
    const bool itself = !arguments_.source_file && step.source == name_;
    if (step.kind == Step::Kind::kMerge && !itself) INSTAR_CHECK(check_source(step.source));
    if (step.kind == Step::Kind::kRemove) rehearsed_ = Rehearsed::kRemoved;
    return {};
  }

  Status rehearse_add() {
    const bool there = rehearsed_ == Rehearsed::kAdded ||
                       (rehearsed_ == Rehearsed::kNothing && check_usable(target_, name_));
    if (there) return fail(EEXIST, "Bitmap already exists: ", name_);
    rehearsed_ = Rehearsed::kAdded;
    return {};
  }

  Status add() {
    if (name_.empty()) return fail(EINVAL, "Bitmap name cannot be empty");
    constexpr uint64_t kLeast = 512;
    const uint64_t granularity = arguments_.granularity.value_or(0);
    const bool good = granularity >= kLeast && std::has_single_bit(granularity);
    if (granularity != 0 && (!good || granularity > UINT32_MAX))
      return fail(EINVAL, "Granularity must be power of 2 and at least 512");
    if (target_.ops == nullptr)
      return fail(ENOTSUP, "Can't store persistent bitmaps to ", node_name_, ": ",
                  errno_text(ENOTSUP));
    if (arguments_.report.dry_run) return rehearse_add();
    return call_.status(target_.ops->add(target_.self, call_.abi(), name_.c_str(),
                                         static_cast<uint32_t>(granularity), 1));
  }

  Status merge(const std::string& source) {
    // Even what is clean must be a bitmap that may be changed.
    INSTAR_CHECK(check_usable(target_, name_));
    INSTAR_CHECK(check_source(source));
    struct Copy {
      const Target& target;
      const std::string& name;
      OutgoingCall call = OutgoingCall();
    } copy{target_, name_};
    const auto run = [](void* opaque, uint64_t offset, uint64_t length) noexcept -> int {
      auto& to = *static_cast<Copy*>(opaque);
      return to.target.ops->set_dirty(to.target.self, to.call.abi(), to.name.c_str(), offset,
                                      length);
    };
    return call_.status(source_.ops->walk(source_.self, call_.abi(), source.c_str(), &copy, run));
  }

  Status check_source(const std::string& source) {
    if (source_.ops == nullptr) return not_found(source);
    INSTAR_CHECK(check_usable(source_, source));
    INSTAR_TRY(const uint64_t size, target_.node.size());
    INSTAR_TRY(const uint64_t source_size, source_.node.size());
    if (size == source_size) return {};
    return fail(EINVAL, "Bitmaps are of different sizes (destination size is ", size,
                ", source size is ", source_size, ") and can't be merged");
  }

  /** Whether there is such a bitmap that may be used. */
  Status check_usable(const Target& target, const std::string& name) {
    const auto stop = [](void*, uint64_t, uint64_t) noexcept -> int { return -ECANCELED; };
    const int result = target.ops->walk(target.self, call_.abi(), name.c_str(), nullptr, stop);
    if (result >= 0 || result == -ECANCELED) return {};
    return call_.error(result);
  }

  /** What --dry-run has come to: a bitmap that was not there before, or is not any more. */
  enum class Rehearsed : uint8_t { kNothing, kAdded, kRemoved };

  OutgoingCall call_;
  const Arguments& arguments_;
  Rehearsed rehearsed_ = Rehearsed::kNothing;
  const std::string& name_;
  const std::string node_name_;
  Target target_;
  Target source_;
};

}  // namespace instar::bitmap

INSTAR_PLUGIN("command-bitmap", "1.0.0", instar::sdk::command<instar::bitmap::Bitmap>("bitmap"))
