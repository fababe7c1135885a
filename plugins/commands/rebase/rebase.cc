// SPDX-License-Identifier: Apache-2.0
/** @file rebase.cc The command rebase: another backing file for an image. */
#include "sdk/abi/change_backing.h"
#include "sdk/abi/compress.h"
#include "sdk/abi/registry.h"
#include "sdk/cpp/plugin.hpp"
#include "sdk/cpp/report.hpp"

namespace instar::rebase {

using namespace instar::sdk;

namespace {

struct Arguments {
  std::optional<std::string> format, cache, source_cache, backing, backing_format;
  std::string filename;
  bool image_opts = false, unsafe = false, compress = false, force_share = false;
  bool quiet = false;
  instar_progress_style progress = INSTAR_PROGRESS_NONE;
  ReportOptions report;
};

class Rebase {
 public:
  Rebase(CommandContext& context, const Arguments& arguments)
      : context_(context), arguments_(arguments) {}

  int run() {
    if (arguments_.report.dry_run) return rehearse();
    const int status = carry_out();
    return status == 0 ? end(tell()) : status;
  }

 private:
  int end(const Status& done) const { return done ? 0 : context_.error(done.error()); }

  int carry_out() {
    const Progress progress(context_, arguments_.progress | uint32_t{INSTAR_PROGRESS_STEPS}, 1);
    if (const auto copied = open_and_copy(progress.abi()); !copied)
      return context_.error(copied.error());
    const auto changed = change_backing();
    if (!changed) context_.error(changed.error());
    progress.report(1, 1);  // whatever came of it: as qemu-img has it
    if (!changed) return 1;
    return end(image_.close());
  }

  int rehearse() {
    auto opened = open();
    if (opened && !removes() && !arguments_.backing_format)
      opened = refused("backing format must be specified");
    return end(opened ? tell() : opened);
  }

  Status tell() const {
    if (!arguments_.report.wanted()) return {};
    Report report(context_, arguments_.report, "rebase");
    report.field("filename", arguments_.filename);
    if (!removes()) report.field("backing-filename", *arguments_.backing);
    if (!removes() && arguments_.backing_format)
      report.field("backing-filename-format", *arguments_.backing_format);
    return report.field("unsafe", arguments_.unsafe).print();
  }

  Status open_and_copy(const instar_progress& progress) {
    INSTAR_CHECK(open());
    if (arguments_.unsafe) return {};
    return copy(progress);
  }

  /** The image, and what will be its backing file. */
  Status open() {
    INSTAR_CHECK(check_arguments());
    const uint32_t flags = (arguments_.report.dry_run ? 0u : uint32_t{INSTAR_OPEN_WRITE}) |
                           (arguments_.unsafe ? uint32_t{INSTAR_OPEN_NO_BACKING} : 0u);
    INSTAR_TRY(image_, context_.open(image_spec(arguments_.filename, arguments_.format,
                                                arguments_.image_opts, flags, arguments_.cache)));
    void* self = nullptr;
    if (arguments_.compress &&
        image_.node().interface<instar_compress_ops>(INSTAR_COMPRESS_ID, &self) == nullptr)
      return fail(ENOTSUP, "Compression not supported for this file format");
    INSTAR_CHECK(check_format());
    if (arguments_.unsafe) return {};
    return open_backing();
  }

  Status check_arguments() const {
    if (arguments_.cache && !is_cache_mode(*arguments_.cache))
      return fail(EINVAL, "Invalid cache option: ", *arguments_.cache);
    if (arguments_.source_cache && !is_cache_mode(*arguments_.source_cache))
      return fail(EINVAL, "Invalid source cache option: ", *arguments_.source_cache);
    return {};
  }

  Status check_format() const {
    if (!arguments_.backing_format) return {};
    const auto* registry = context_.host().service<instar_registry_ops>(INSTAR_REGISTRY_ID);
    // The name of any driver will do.
    for (const uint32_t kind : {INSTAR_KIND_FORMAT, INSTAR_KIND_PROTOCOL, INSTAR_KIND_FILTER}) {
      OutgoingCall call;
      if (registry->find(context_.host().abi(), call.abi(), kind,
                         arguments_.backing_format->c_str()) != nullptr)
        return {};
    }
    return fail(EINVAL, "Invalid format name: '", *arguments_.backing_format, "'");
  }

  bool removes() const { return !arguments_.backing || arguments_.backing->empty(); }

  Status open_backing() {
    if (removes()) return {};
    const auto& graph = context_.graph();
    common_ = graph.find_backing(image_.abi(), arguments_.backing->c_str());
    if (common_ != nullptr) return {};
    OutgoingCall call(&context_.call());
    instar_image* opened = nullptr;
    const auto* format = arguments_.backing_format ? arguments_.backing_format->c_str() : nullptr;
    const auto* cache = arguments_.source_cache ? arguments_.source_cache->c_str() : nullptr;
    const int result = graph.open_backing(
        context_.host().abi(), call.abi(), image_.abi(), arguments_.backing->c_str(), format, cache,
        arguments_.force_share ? uint32_t{INSTAR_OPEN_FORCE_SHARE} : 0u, &opened);
    if (result < 0) return call.error(result);
    new_backing_ = Image(&graph, opened);
    return {};
  }

  Status copy(const instar_progress& progress) const {
    instar_rebase_job job{};
    job.struct_size = sizeof job;
    job.flags = arguments_.compress ? uint32_t{INSTAR_COPY_COMPRESSED} : 0u;
    job.image = image_.abi();
    job.new_backing = common_ != nullptr ? common_ : new_backing_.abi();
    job.common = common_;
    job.progress = progress;
    OutgoingCall call(&context_.call());
    INSTAR_CHECK(call.status(context_.engine().rebase(context_.host().abi(), call.abi(), &job)));
    return image_.node().flush(context_.call());
  }

  Error refused(std::string_view why) const {
    return fail(EINVAL, "Could not change the backing file to '",
                arguments_.backing.value_or("(null)"), "': ", why);
  }

  Status change_backing() const {
    void* self = nullptr;
    const auto* ops =
        image_.node().interface<instar_change_backing_ops>(INSTAR_CHANGE_BACKING_ID, &self);
    if (!removes() && !arguments_.backing_format)
      return refused("backing format must be specified");
    if (ops == nullptr) return refused(errno_text(ENOTSUP));
    OutgoingCall call(&context_.call());
    const auto* name = removes() ? nullptr : arguments_.backing->c_str();
    const auto* format = name != nullptr ? arguments_.backing_format->c_str() : nullptr;
    const int result = ops->change_backing(self, call.abi(), name, format);
    if (result == -ENOSPC) return refused("No space left in the file header");
    if (result < 0) return refused(errno_text(result));
    return {};
  }

  CommandContext& context_;
  const Arguments& arguments_;
  Image image_;
  Image new_backing_;
  instar_image* common_ = nullptr;  ///< of the old chain, what will be the backing file
};

class Command {
 public:
  static int run(CommandContext& context) {
    Arguments arguments;
    std::vector<std::string> files;
    CommandLine line(
        "rebase", "[OPTIONS] FILE",
        "Gives FILE another backing file, or with -b '' none. What FILE reads as stays "
        "the same, unless -u.");
    line.flag('U', "force-share", arguments.force_share,
              "use a new backing file that somebody has open for writing")
        .text('f', "format", "FMT", arguments.format, "format of FILE; without it FILE is probed")
        .flag(0, "image-opts", arguments.image_opts, "FILE is a list of key=value, not a name")
        .text('t', "cache", "MODE", arguments.cache,
              "cache mode: none, writeback (default), writethrough, directsync, unsafe")
        .text('b', "backing", "FILE", arguments.backing,
              "the new backing file as FILE is to record it; '' for none")
        .text('F', "backing-format", "FMT", arguments.backing_format,
              "format of the new backing file")
        .text('B', "", "FMT", arguments.backing_format, "")
        .text('T', "backing-cache", "MODE", arguments.source_cache,
              "cache mode of the new backing file")
        .flag('u', "backing-unsafe", arguments.unsafe,
              "change the record only; the content may change with it")
        .flag('c', "compress", arguments.compress, "compress what is copied into FILE");
    add_progress_option(line, context, arguments.progress);
    line.flag('q', "quiet", arguments.quiet, "print nothing but errors");
    add_object_option(line, context);
    arguments.report.declare(line, context);
    line.operands(files).epilogue("Example: rebase -b base.qcow2 -F qcow2 overlay.qcow2\n");
    if (const auto status = line.parse(context)) return *status;
    if (files.size() != 1) return line.usage_error(context, "Expecting one image file name");
    if (!arguments.unsafe && !arguments.backing)
      return line.usage_error(context, "Must specify backing file (-b) or use unsafe mode (-u)");
    if (arguments.quiet) arguments.progress = INSTAR_PROGRESS_NONE;
    arguments.filename = files[0];
    return Rebase(context, arguments).run();
  }
};

}  // namespace

}  // namespace instar::rebase

INSTAR_PLUGIN("command-rebase", "1.0.0", instar::sdk::command<instar::rebase::Command>("rebase"))
