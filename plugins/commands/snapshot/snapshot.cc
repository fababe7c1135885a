// SPDX-License-Identifier: Apache-2.0
/** @file snapshot.cc The command snapshot: lists, creates, applies and deletes snapshots inside an
 * image. */
#include "sdk/abi/snapshot.h"

#include <ctime>

#include "sdk/abi/bitmap.h"
#include "sdk/cpp/image_arguments.hpp"
#include "sdk/cpp/json_reader.hpp"
#include "sdk/cpp/plugin.hpp"
#include "sdk/cpp/report.hpp"

namespace instar::snapshot {

using namespace instar::sdk;

enum class Action : uint8_t { kNone, kList, kCreate, kApply, kDelete };

struct Arguments {
  std::optional<std::string> format;
  std::vector<std::string> files;
  std::string name;
  Action action = Action::kNone;
  ReportOptions report;
  bool image_opts = false, force_share = false, quiet = false;

  std::optional<int> parse(CommandContext& context) {
    CommandLine line("snapshot", "[OPTIONS] [-l | -c NAME | -a NAME | -d NAME] FILE",
                     "Lists, creates, applies or deletes snapshots inside an image.");
    const auto act = [&](Action wanted) -> CommandLine::Handler {
      return [&, wanted](const char* value) -> std::optional<int> {
        if (action != Action::kNone)
          return line.usage_error(context, "Cannot mix '-l', '-a', '-c', '-d'");
        action = wanted;
        if (value != nullptr) name = value;
        return std::nullopt;
      };
    };
    line.action('l', "list", "", act(Action::kList), "list the snapshots (default)")
        .action('c', "create", "NAME", act(Action::kCreate), "create a snapshot")
        .action('a', "apply", "NAME", act(Action::kApply),
                "make the image's content that of a snapshot, by id or name")
        .action('d', "delete", "NAME", act(Action::kDelete), "delete a snapshot, by name")
        .text('f', "format", "FMT", format, "format of FILE; without it FILE is probed")
        .flag(0, "image-opts", image_opts, "FILE is a list of key=value, not a name")
        .flag('U', "force-share", force_share, "list an image that somebody has open for writing")
        .flag('q', "quiet", quiet, "print nothing but errors and the list");
    report.declare(line, context);
    add_object_option(line, context);
    line.operands(files);
    if (const auto status = line.parse(context)) return status;
    if (files.size() != 1) return line.usage_error(context, "Expecting one image file name");
    if (action == Action::kNone) action = Action::kList;
    return std::nullopt;
  }
};

class Snapshot {
 public:
  static int run(CommandContext& context) {
    Arguments arguments;
    if (const auto status = arguments.parse(context)) return *status;
    uint32_t flags = INSTAR_OPEN_UNMAP;
    if (arguments.force_share) flags |= INSTAR_OPEN_FORCE_SHARE;
    if (arguments.action != Action::kList && !arguments.report.dry_run) flags |= INSTAR_OPEN_WRITE;
    auto image =
        context.open(image_spec(arguments.files[0], arguments.format, arguments.image_opts, flags));
    if (!image) return context.error(image.error());
    Snapshot snapshot(context, arguments, *image);
    auto done = snapshot.act();
    if (done) done = image->close();
    if (done) done = snapshot.tell();
    return done ? 0 : context.error(done.error());
  }

 private:
  Snapshot(CommandContext& context, const Arguments& arguments, const Image& image)
      : context_(context),
        arguments_(arguments),
        call_(&context.call()),
        node_(image.node()),
        ops_(node_.interface<instar_snapshot_ops>(INSTAR_SNAPSHOT_ID, &self_)) {}

  Status act() {
    switch (arguments_.action) {
      case Action::kCreate:
        return create();
      case Action::kApply:
        return apply();
      case Action::kDelete:
        return remove();
      default: {
        INSTAR_TRY(const std::string all, list());
        return context_.document("snapshots", all, arguments_.report.style);
      }
    }
  }

  /** Of what was changed; the list has been printed. */
  Status tell() const {
    if (!arguments_.report.wanted() || arguments_.action == Action::kList) return {};
    constexpr const char* kNames[] = {"", "list", "create", "apply", "delete"};
    return Report(context_, arguments_.report, "snapshot")
        .field("action", kNames[static_cast<size_t>(arguments_.action)])
        .field("filename", arguments_.files[0])
        .field("name", arguments_.name)
        .print();
  }

  Result<std::string> list() {
    if (ops_ == nullptr) return std::string("[]");
    StringSink text;
    INSTAR_CHECK(call_.status(ops_->list(self_, call_.abi(), text.abi())));
    return std::move(text.text);
  }

  /** What the driver says, or under QEMU's name just the error's. */
  std::string reason(const Error& error) const {
    return context_.strict() ? errno_text(error.code) : error.message;
  }

  bool rehearses() const { return arguments_.report.dry_run && ops_ != nullptr; }

  Status create() {
    if (rehearses()) return {};
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    const int result = ops_ == nullptr
                           ? -ENOTSUP
                           : ops_->create(self_, call_.abi(), arguments_.name.c_str(), now.tv_sec,
                                          static_cast<int32_t>(now.tv_nsec));
    if (result >= 0) return {};
    const Error error = call_.error(result);
    return fail(error.code, "Could not create snapshot '", arguments_.name, "': ", reason(error));
  }

  Status apply() {
    const auto failed = [&](int code, std::string_view why) {
      return fail(code, "Could not apply snapshot '", arguments_.name, "': ", why);
    };
    if (ops_ == nullptr) return failed(ENOTSUP, "Block driver does not support snapshots");
    if (rehearses()) {
      INSTAR_TRY(const auto id, find("id"));
      INSTAR_TRY(const auto name, find("name"));
      if (!id && !name) return failed(ENOENT, cat("Failed to load snapshot: ", errno_text(ENOENT)));
      INSTAR_TRY(const bool bitmaps, has_bitmaps());
      if (bitmaps) return failed(EBUSY, "Device has active dirty bitmaps");
      return {};
    }
    const int result = ops_->apply(self_, call_.abi(), arguments_.name.c_str());
    if (result >= 0) return {};
    const Error error = call_.error(result);
    if (error.code == EBUSY) return failed(EBUSY, error.message);
    return failed(error.code, cat("Failed to load snapshot: ", reason(error)));
  }

  /** The id of the first snapshot in the table whose field is what the user said. */
  Result<std::optional<std::string>> find(const char* field) {
    INSTAR_TRY(const std::string all, list());
    std::optional<std::string> id;
    JsonObject::each_item(all, [&](std::string_view item) {
      const JsonObject snapshot(item);
      if (!id && snapshot.string(field) == arguments_.name) id = snapshot.string("id");
    });
    return id;
  }

  Result<bool> has_bitmaps() {
    void* self = nullptr;
    const auto* ops = node_.interface<instar_bitmap_ops>(INSTAR_BITMAP_ID, &self);
    if (ops == nullptr) return false;
    StringSink text;
    INSTAR_CHECK(call_.status(ops->list(self, call_.abi(), text.abi())));
    return text.text != "[]";
  }

  Status remove() {
    INSTAR_TRY(const auto id, find("name"));
    if (!id)
      return fail(ENOENT, "Could not delete snapshot '", arguments_.name, "': snapshot not found");
    if (rehearses()) return {};
    const int result = ops_->remove(self_, call_.abi(), id->c_str(), arguments_.name.c_str());
    if (result >= 0) return {};
    const Error error = call_.error(result);
    return fail(error.code, "Could not delete snapshot '", arguments_.name, "': ", error.message);
  }

  CommandContext& context_;
  const Arguments& arguments_;
  OutgoingCall call_;
  NodeRef node_;
  void* self_ = nullptr;
  const instar_snapshot_ops* ops_;
};

}  // namespace instar::snapshot

INSTAR_PLUGIN("command-snapshot", "1.0.0",
              instar::sdk::command<instar::snapshot::Snapshot>("snapshot"))
