// SPDX-License-Identifier: Apache-2.0
#include "core/block/creating.hpp"

#include <algorithm>

#include "core/base/trace.hpp"
#include "core/loader/guard.hpp"
#include "core/options/filename.hpp"

namespace instar::block {

namespace {

using options::BoundOptions;
using sdk::OutgoingCall;

bool declares(const Driver& driver, std::string_view name) {
  const auto& table = driver.provider->info().create_options;
  return std::any_of(table.begin(), table.end(),
                     [&](const auto& spec) { return spec.name == name; });
}

Status remove_file(Graph::Private& graph, const Call& call, const std::string& filename) {
  INSTAR_TRY(const Driver protocol, graph.find_protocol(filename));
  INSTAR_TRY(const auto loaded, protocol.provider->load<instar_protocol_ops>());
  if (loaded.ops->remove == nullptr) return {};
  OutgoingCall inner(&call);
  const auto file = file_of(graph, protocol, filename);
  return inner.status(loaded.ops->remove(loaded.host, inner.abi(), file.c_str()));
}

}  // namespace

std::string file_of(const Graph::Private& graph, const Driver& protocol,
                    const std::string& filename) {
  const auto prefix = options::protocol_prefix(filename);
  if (!prefix || graph.registry.protocol_for_scheme(*prefix) != protocol.provider) return filename;
  const auto loaded = protocol.provider->load<instar_protocol_ops>();
  if (loaded && loaded->ops->parse_filename != nullptr) return filename;
  return filename.substr(prefix->size() + 1);
}

Status remove_files(Graph::Private& graph, const Call& call,
                    const std::vector<std::string>& filenames) {
  Status result;
  for (const auto& filename : filenames) {
    Status removed = remove_file(graph, call, filename);
    if (!removed && result) result = std::move(removed);
  }
  return result;
}

std::vector<instar_option> options_of(const Driver& driver, const BoundOptions& bound) {
  auto items = bound.to_abi();
  std::erase_if(items, [&](const instar_option& item) { return !declares(driver, item.name); });
  return items;
}

Creating::Creating(Graph::Private& graph, const Driver& format, const CreateSpec& spec,
                   const BoundOptions& bound)
    : graph_(graph),
      format_(format),
      spec_(spec),
      filename_(spec.staged.empty() ? spec.filename : spec.staged),
      bound_(bound) {
  creator_.struct_size = sizeof creator_;
  creator_.opaque = this;
  creator_.create_file = &create_file_of;
  creator_.open_file = &open_file_of;
}

Status Creating::run() {
  if (format_.is_protocol())
    return spec_.dry_run ? Status() : run_protocol(format_, filename_, options_of(format_, bound_));
  Status result = run_format();
  if (rehearsed_) return {};
  for (auto& node : open_) {
    OutgoingCall call;
    if (result && spec_.durable) result = flush(*node, Call(call.abi()));
    if (auto closed = node->close(Call(call.abi())); !closed && result) result = std::move(closed);
  }
  open_.clear();
  if (result) {
    graph_.made[filename_] = std::move(made_);
  } else if (const auto removed = remove_files(graph_, Call(nullptr), made_); !removed) {
    base::trace(base::Event::kNote, removed.error().message);
  }
  return result;
}

Status Creating::flush(Node& node, const Call& call) {
  auto done = node.flush(call);
  if (!done)
    done.error().message = cat("Could not flush '", node.filename(), "': ", done.error().message);
  return done;
}

Status Creating::run_format() {
  INSTAR_TRY(const auto loaded, format_.provider->load<instar_format_ops>());
  if (loaded.ops->create == nullptr)
    return fail(ENOTSUP, "Format driver '", format_.name(), "' does not support image creation");
  const auto options = options_of(format_, bound_);
  instar_create_args args{};
  args.struct_size = sizeof args;
  args.filename = spec_.filename.c_str();
  args.options = {options.data(), options.size()};
  args.creator = &creator_;
  instar_call messages = graph_.users_call();
  const Call parent(&messages);
  OutgoingCall call(&parent);
  return call.status(loader::call_plugin(Call(call.abi()), format_.provider->manifest().name, [&] {
    return loaded.ops->create(loaded.host, call.abi(), &args);
  }));
}

Status Creating::run_protocol(const Driver& protocol, const std::string& filename,
                              const std::vector<instar_option>& options) {
  INSTAR_TRY(const auto loaded, protocol.provider->load<instar_protocol_ops>());
  if (loaded.ops->create == nullptr)
    return fail(ENOTSUP, "Protocol driver '", protocol.name(), "' does not support image creation");
  const std::string file = file_of(graph_, protocol, filename);
  instar_create_args args{};
  args.struct_size = sizeof args;
  args.filename = file.c_str();
  args.options = {options.data(), options.size()};
  instar_call messages = graph_.users_call();
  const Call parent(&messages);
  OutgoingCall call(&parent);
  return call.status(loader::call_plugin(Call(call.abi()), protocol.provider->manifest().name, [&] {
    return loaded.ops->create(loaded.host, call.abi(), &args);
  }));
}

std::string Creating::full_name(const char* name) const {
  if (name == nullptr) return filename_;
  if (options::protocol_prefix(name) || options::is_absolute_path(name)) return name;
  return options::combine_paths(spec_.filename, name);
}

Status Creating::create_file(const char* name, uint64_t size, instar_node** out) {
  rehearsed_ = spec_.dry_run;
  if (rehearsed_) return fail(ECANCELED, errno_text(ECANCELED));
  const std::string filename = full_name(name);
  if (name != nullptr && spec_.keep_others) INSTAR_CHECK(expect_none(filename));
  INSTAR_TRY(const Driver protocol, graph_.find_protocol(filename));
  const std::string size_text = std::to_string(size);
  auto options = options_of(protocol, bound_);
  std::erase_if(options, [&](const instar_option& item) {
    const std::string_view option = item.name;
    // What the format declares too is the format's to carry out.
    return option == "size" || (option == "preallocation" && declares(format_, option));
  });
  options.push_back({"size", size_text.c_str(), size, INSTAR_OPTION_SIZE, 0});
  // Only afterwards: a file that could not be taken over belongs to somebody else.
  INSTAR_CHECK(run_protocol(protocol, filename, options));
  made_.push_back(filename);
  return open_file(filename, out);
}

Status Creating::expect_none(const std::string& filename) {
  NodeRequest request;
  request.filename = filename;
  request.protocol = true;
  const auto node = graph_.open_node(std::move(request));
  if (!node && node.error().code == ENOENT) return {};
  return fail(EEXIST, "Could not create '", filename, "': ", errno_text(EEXIST));
}

Status Creating::open_file(const std::string& filename, instar_node** out) {
  NodeRequest request;
  request.filename = filename;
  request.flags = INSTAR_OPEN_WRITE | INSTAR_OPEN_RESIZE | INSTAR_OPEN_UNMAP;
  request.permissions = top_permissions(request.flags);
  request.protocol = true;
  INSTAR_TRY(NodePtr node, graph_.open_node(std::move(request)));
  *out = const_cast<instar_node*>(node->abi());
  open_.push_back(std::move(node));
  return {};
}

int Creating::create_file_of(const instar_creator* creator, instar_call* abi, const char* name,
                             uint64_t size, instar_node** out) noexcept {
  return static_cast<int>(sdk::guard(abi, [&](const Call&) {
    return static_cast<Creating*>(creator->opaque)->create_file(name, size, out);
  }));
}

int Creating::open_file_of(const instar_creator* creator, instar_call* abi, const char* name,
                           instar_node** out) noexcept {
  return static_cast<int>(sdk::guard(abi, [&](const Call&) {
    auto* self = static_cast<Creating*>(creator->opaque);
    return self->open_file(self->full_name(name), out);
  }));
}

}  // namespace instar::block
