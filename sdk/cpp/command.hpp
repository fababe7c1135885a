// SPDX-License-Identifier: Apache-2.0
/**
 * @file command.hpp
 * Commands as ordinary classes: T has `static int run(CommandContext&)`, the result is the exit
 * status.
 */
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "../abi/cli.h"
#include "../abi/command.h"
#include "../abi/engine.h"
#include "../abi/graph.h"
#include "../abi/output.h"
#include "host.hpp"
#include "node_ref.hpp"

namespace instar::sdk {

/** An image that a command opened; closed with the object, or by close() to learn of errors. */
class Image {
 public:
  Image() = default;
  Image(const instar_graph_ops* ops, instar_image* abi) : ops_(ops), abi_(abi) {}
  Image(Image&& other) noexcept : ops_(other.ops_), abi_(std::exchange(other.abi_, nullptr)) {}
  Image& operator=(Image&& other) noexcept {
    std::swap(ops_, other.ops_);
    std::swap(abi_, other.abi_);
    return *this;
  }
  ~Image() {
    if (abi_ != nullptr) (void)close();
  }

  explicit operator bool() const { return abi_ != nullptr; }
  instar_image* abi() const { return abi_; }
  NodeRef node() const { return NodeRef(ops_->node(abi_)); }
  std::string driver() const { return ops_->driver(abi_); }
  std::string filename() const { return ops_->filename(abi_); }
  std::string node_name() const { return ops_->node_name(abi_); }

  /** All that was written is on stable storage then, unless the cache mode does without. Before close(). */
  Status flush(const Call& call) const {
    Status done = node().flush(call);
    if (done) return done;
    auto error = std::move(done).error();
    error.message = cat("error while flushing: ", error.message);
    return error;
  }
  /** @param parent calls it off, where it waits for a server; nothing: it is closed at any price */
  Status close(const Call& parent = Call(nullptr)) {
    OutgoingCall call(&parent);
    return call.status(ops_->close(std::exchange(abi_, nullptr), call.abi()));
  }

 private:
  const instar_graph_ops* ops_ = nullptr;
  instar_image* abi_ = nullptr;
};

/** What a command works with: its arguments, and the host's services. */
class CommandContext {
 public:
  CommandContext(const instar_host* host, instar_call* call, const instar_command_args* args)
      : host_(host),
        call_(call),
        args_(args),
        graph_(host_.service<instar_graph_ops>(INSTAR_GRAPH_ID)),
        engine_(host_.service<instar_engine_ops>(INSTAR_ENGINE_ID)),
        cli_(host_.service<instar_cli_ops>(INSTAR_CLI_ID)),
        output_(host_.service<instar_output_ops>(INSTAR_OUTPUT_ID)) {}

  Host host() const { return host_; }
  const Call& call() const { return call_; }
  const instar_command_args& args() const { return *args_; }
  /** Called as qemu-img. */
  bool strict() const { return (args_->flags & INSTAR_COMMAND_STRICT) != 0; }
  const instar_graph_ops& graph() const { return *graph_; }
  const instar_engine_ops& engine() const { return *engine_; }
  const instar_cli_ops& cli() const { return *cli_; }
  const instar_output_ops& output() const { return *output_; }

  /** Walks the command line; false: it was wrong and that has been reported (exit with 1). */
  bool parse(const std::vector<instar_arg_spec>& specs,
             const std::function<bool(int32_t id, const char* value)>& each) const {
    using Each = std::function<bool(int32_t, const char*)>;
    const auto forward = [](void* opaque, int32_t id, const char* value) noexcept -> int {
      try {
        return (*static_cast<const Each*>(opaque))(id, value) ? 0 : -EINVAL;
      } catch (...) {
        return -ENOMEM;
      }
    };
    return cli_->parse(host_.abi(), args_->argc, args_->argv, specs.data(), specs.size(),
                       const_cast<Each*>(&each), forward) >= 0;
  }

  Result<Image> open(const instar_image_spec& spec) const {
    instar_image* image = nullptr;
    OutgoingCall call(&call_);
    const int result = graph_->open(host_.abi(), call.abi(), &spec, &image);
    if (result < 0) return call.error(result);
    return Image(graph_, image);
  }

  /** Shows the images of a backing chain one after another; each is open while it is shown. */
  Status walk_chain(const instar_image_spec& spec,
                    const std::function<void(const instar_chain_link&)>& each) const {
    using Each = std::function<void(const instar_chain_link&)>;
    const auto forward = [](void* opaque, const instar_chain_link* link) noexcept -> int {
      try {
        (*static_cast<const Each*>(opaque))(*link);
        return 0;
      } catch (...) {
        return -ENOMEM;
      }
    };
    OutgoingCall call(&call_);
    return call.status(
        graph_->walk_chain(host_.abi(), call.abi(), &spec, const_cast<Each*>(&each), forward));
  }

  /** From now on stdout is for one document, and messages are JSON too. Not as qemu-img. */
  void print_for_programs() const {
    if (!strict())
      output_->set_mode(host_.abi(), INSTAR_OUTPUT_JSON_MESSAGES | INSTAR_OUTPUT_STDOUT_TAKEN);
  }
  void print(std::string_view text) const { output_->print(host_.abi(), text.data(), text.size()); }
  /** Prints the error and gives the exit status 1. */
  int error(const Error& error) const {
    output_->error(host_.abi(), error.message.data(), error.message.size(), error.hint.data(),
                   error.hint.size());
    return 1;
  }
  int error(std::string_view text, std::string_view hint = {}) const {
    return this->error(Error{EINVAL, std::string(text), std::string(hint)});
  }
  void warn(std::string_view text) const { output_->warn(host_.abi(), text.data(), text.size()); }
  Status document(const char* kind, std::string_view json, instar_output_style style) const {
    OutgoingCall call(&call_);
    return call.status(
        output_->document(host_.abi(), call.abi(), kind, json.data(), json.size(), style));
  }

 private:
  Host host_;
  Call call_;
  const instar_command_args* args_;
  const instar_graph_ops* graph_;
  const instar_engine_ops* engine_;
  const instar_cli_ops* cli_;
  const instar_output_ops* output_;
};

/** instar_command_ops of T. */
template <class T>
class CommandTable {
 public:
  static const instar_command_ops* ops() { return &kOps; }

 private:
  static constexpr instar_command_ops kOps = {
      sizeof(instar_command_ops), 0,
      [](const instar_host* host, instar_call* abi, const instar_command_args* args) noexcept {
        const int64_t status = guard(abi, [&](const Call&) {
          CommandContext context(host, abi, args);
          return Result<int>(T::run(context));
        });
        return status < 0 ? 1 : static_cast<int>(status);
      }};
};

}  // namespace instar::sdk
