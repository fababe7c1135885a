// SPDX-License-Identifier: Apache-2.0
/** @file commit.cc The command commit: what an image changed goes down into a backing file. */
#include "sdk/abi/change_backing.h"
#include "sdk/abi/make_empty.h"
#include "sdk/cpp/plugin.hpp"
#include "sdk/cpp/report.hpp"

namespace instar::commit {

using namespace instar::sdk;

namespace {

struct Arguments {
  std::optional<std::string> format, cache, base;
  std::optional<uint64_t> rate;
  std::string filename;
  bool image_opts = false, keep = false, quiet = false;
  instar_progress_style progress = INSTAR_PROGRESS_NONE;
  ReportOptions report;
};

/** As qemu-img tells of what it does in the background. */
Status job_status(const Status& done) {
  if (done) return {};
  return fail(done.error().code, "Block job failed: ", errno_text(done.error().code));
}

class Commit {
 public:
  Commit(CommandContext& context, const Arguments& arguments)
      : context_(context), arguments_(arguments) {}

  Status run() {
    auto opened = context_.open(image_spec(
        arguments_.filename, arguments_.format, arguments_.image_opts,
        arguments_.report.dry_run ? 0 : INSTAR_OPEN_WRITE | INSTAR_OPEN_UNMAP, arguments_.cache));
    if (!opened) {
      context_.error(opened.error());
      return std::move(opened).error();
    }
    top_ = *std::move(opened);
    const Progress progress(context_, arguments_.progress, 1);
    // A message stands behind the last progress line, whose end follows it.
    auto done = run(progress.abi());
    if (!done) context_.error(done.error());
    return done;
  }

 private:
  Status run(const instar_progress& progress) {
    INSTAR_CHECK(find_base());
    base_name_ = context_.graph().filename(base_);
    if (arguments_.report.dry_run) return {};
    INSTAR_CHECK(open_target());
    INSTAR_CHECK(copy(progress));
    // The base has all before the image forgets it.
    INSTAR_CHECK(target_.close());
    progress.report(progress.opaque, 1, 1);
    if (!arguments_.keep) INSTAR_CHECK(make_empty());
    return top_.close();
  }

 public:
  /** To be called after run. */
  Status tell() const {
    return Report(context_, arguments_.report, "commit")
        .field("filename", arguments_.filename)
        .field("base", base_name_)
        .field("emptied", arguments_.report.dry_run ? !arguments_.keep : emptied_)
        .print();
  }

 private:
  Status find_base() {
    if (arguments_.base) {
      base_ = context_.graph().find_backing(top_.abi(), arguments_.base->c_str());
      if (base_ == nullptr)
        return fail(EINVAL, "Did not find '", *arguments_.base, "' in the backing chain of '",
                    arguments_.filename, "'");
      return {};
    }
    base_ = context_.graph().backing(top_.abi());
    if (base_ == nullptr) return fail(EINVAL, "Image does not have a backing file");
    return {};
  }

  Status open_target() {
    OutgoingCall call(&context_.call());
    instar_image* target = nullptr;
    const int result =
        context_.graph().open_writable(context_.host().abi(), call.abi(), base_, &target);
    if (result < 0) return call.error(result);
    target_ = Image(&context_.graph(), target);
    INSTAR_CHECK(announce());
    INSTAR_TRY(const uint64_t size, top_.node().size());
    INSTAR_TRY(const uint64_t room, target_.node().size());
    if (room >= size) return {};
    return job_status(target_.node().resize(context_.call(), size));
  }

  /** An image that knows its backing file by what a write changes knows it at every time from now on:
   * a commit that does not come to its end can be made again. */
  Status announce() {
    if (base_ != context_.graph().backing(top_.abi())) return {};
    INSTAR_TRY(const std::string identity, target_.node().next_identity());
    void* self = nullptr;
    const auto* ops =
        top_.node().interface<instar_change_backing_ops>(INSTAR_CHANGE_BACKING_ID, &self);
    if (identity.empty() || ops == nullptr || ops->expect_backing == nullptr) return {};
    OutgoingCall call(&context_.call());
    return call.status(ops->expect_backing(self, call.abi(), identity.c_str()));
  }

  Status copy(const instar_progress& progress) {
    instar_commit_job job{};
    job.struct_size = sizeof job;
    job.source = top_.abi();
    job.base = base_;
    job.target = target_.abi();
    job.rate = arguments_.rate.value_or(0);
    job.progress = progress;
    OutgoingCall call(&context_.call());
    INSTAR_CHECK(
        job_status(call.status(context_.engine().commit(context_.host().abi(), call.abi(), &job))));
    return job_status(target_.node().flush(context_.call()));
  }

  /** Formats that can't are left as they are. */
  Status make_empty() {
    void* self = nullptr;
    const auto* ops = top_.node().interface<instar_make_empty_ops>(INSTAR_MAKE_EMPTY_ID, &self);
    if (ops == nullptr) return {};
    OutgoingCall call(&context_.call());
    const int result = ops->make_empty(self, call.abi());
    emptied_ = result >= 0;
    if (emptied_ || result == -ENOTSUP) return {};
    const Error error = call.error(result);
    return fail(error.code, "Failed to empty ", arguments_.filename, ": ", error.message);
  }

  CommandContext& context_;
  bool emptied_ = false;
  const Arguments& arguments_;
  Image top_;
  Image target_;
  instar_image* base_ = nullptr;
  std::string base_name_;
};

class Command {
 public:
  static int run(CommandContext& context) {
    Arguments arguments;
    std::vector<std::string> files;
    CommandLine line("commit", "[OPTIONS] FILE",
                     "Writes what FILE changed into its backing file, then empties FILE.");
    line.text('f', "format", "FMT", arguments.format, "format of FILE; without it FILE is probed")
        .flag(0, "image-opts", arguments.image_opts, "FILE is a list of key=value, not a name")
        .text('t', "cache", "MODE", arguments.cache,
              "cache mode: none, writeback (default), writethrough, directsync, unsafe")
        .text('b', "base", "BASE", arguments.base,
              "an image further down the chain to write into; implies -d")
        .flag('d', "+drop", arguments.keep, "leave FILE as it is, for it is going to be deleted")
        .action('r', "rate|+rate-limit", "BYTES",
                size_handler(context, "rate limit", arguments.rate),
                "at most so many bytes a second");
    add_progress_option(line, context, arguments.progress);
    line.flag('q', "quiet", arguments.quiet, "print nothing but errors");
    add_object_option(line, context);
    arguments.report.declare(line, context);
    line.operands(files).epilogue("Example: commit -p overlay.qcow2\n");
    if (const auto status = line.parse(context)) return *status;
    if (files.size() != 1) return line.usage_error(context, "Expecting one image file name");
    if (arguments.cache && !is_cache_mode(*arguments.cache))
      return context.error(cat("Invalid cache option: ", *arguments.cache));
    if (arguments.base) arguments.keep = true;
    if (arguments.quiet) arguments.progress = INSTAR_PROGRESS_NONE;
    arguments.filename = files[0];
    Commit commit(context, arguments);
    if (!commit.run()) return 1;
    if (arguments.report.wanted()) {
      const auto told = commit.tell();
      return told ? 0 : context.error(told.error());
    }
    if (!arguments.quiet) context.print("Image committed.\n");
    return 0;
  }
};

}  // namespace

}  // namespace instar::commit

INSTAR_PLUGIN("command-commit", "1.0.0", instar::sdk::command<instar::commit::Command>("commit"))
