// SPDX-License-Identifier: Apache-2.0
#include "core/block/opening.hpp"

#include <algorithm>
#include <array>

#include "core/base/trace.hpp"
#include "core/loader/guard.hpp"
#include "core/options/filename.hpp"
#include "core/options/json_text.hpp"

namespace instar::block {

namespace {

using sdk::OutgoingCall;
using sdk::StringSink;

int open_child_of(const instar_opener* opener, instar_call* abi,
                  const instar_child_request* request, instar_node** out, uint32_t* id) noexcept {
  return static_cast<int>(sdk::guard(abi, [&](const Call&) -> Status {
    *out = nullptr;
    INSTAR_TRY(const uint32_t number,
               static_cast<Opening*>(opener->opaque)->open_child(*request, out));
    if (id != nullptr) *id = number;
    return {};
  }));
}

/** A tar archive that is packed, with a disk in it that is packed. */
constexpr unsigned kMaxPackings = 3;

/** Values that are tables or null are not texts. */
std::optional<std::string> text_of(const json::object& options, std::string_view name) {
  const auto* value = options.if_contains(name);
  if (value == nullptr || value->is_structured() || value->is_null()) return std::nullopt;
  return options::scalar_text(*value);
}

bool knows_filename(const Provider& provider) {
  const auto& table = provider.info().open_options;
  return std::any_of(table.begin(), table.end(),
                     [](const auto& spec) { return spec.name == "filename"; });
}

Status run_driver_open(const Provider& provider, OutgoingCall& call, const instar_open_args& args,
                       instar_node* out) {
  const auto run = [&](auto loaded) -> Status {
    if (!loaded) return std::move(loaded).error();
    return call.status(loader::call_plugin(
        Call(call.abi()), provider.manifest().name,
        [&]() -> int { return loaded->ops->open(loaded->host, call.abi(), &args, out); }));
  };
  switch (provider.kind()) {
    case INSTAR_KIND_PROTOCOL:
      return run(provider.load<instar_protocol_ops>());
    case INSTAR_KIND_FILTER:
      return run(provider.load<instar_filter_ops>());
    default:
      return run(provider.load<instar_format_ops>());
  }
}

}  // namespace

Opening::Opening(Graph::Private& graph, NodeRequest request)
    : graph_(graph), request_(std::move(request)), options_(request_.options) {
  opener_.struct_size = sizeof opener_;
  opener_.opaque = this;
  opener_.open_child = &open_child_of;
}

/** Each level takes stack: names such as "blkdebug::blkdebug::…" must not use all of it. */
Result<NodePtr> Graph::Private::open_node(NodeRequest request) {
  constexpr unsigned kMaxNesting = 2 * kMaxChainDepth;
  if (nesting >= kMaxNesting)
    return fail(ELOOP, "More than ", kMaxNesting, " nodes stand one above the other");
  ++nesting;
  auto node = std::make_shared<Opening>(*this, std::move(request))->run();
  --nesting;
  return node;
}

Result<NodePtr> Opening::run() {
  INSTAR_CHECK(read_name());
  if (driver_.provider != nullptr || request_.protocol) INSTAR_CHECK(name_protocol());
  INSTAR_CHECK(take_backing_override());
  // Children inherit what these options change, so they come first.
  INSTAR_CHECK(take_writing_options());
  INSTAR_CHECK(take_cache_options());
  const bool stands_on_file = driver_.provider == nullptr || !driver_.takes_names();
  if (stands_on_file) INSTAR_CHECK(open_file());
  INSTAR_CHECK(driver_.provider == nullptr ? choose_format() : unpack_for_format());
  INSTAR_CHECK(take_common_options());
  INSTAR_CHECK(check_driver());
  INSTAR_TRY(const instar_node driver_node, open_driver());
  INSTAR_TRY(NodePtr node, wrap(driver_node));
  INSTAR_CHECK(check_leftovers());
  INSTAR_CHECK(check_alignment(*node));
  if (must_not_write_) return fail(EACCES, "Block node is read-only");
  if (request_.top) INSTAR_CHECK(apply_permissions(*node, request_.permissions));
  return node;
}

/** json: names become options; a driver that the user names is found. */
Status Opening::read_name() {
  if (request_.filename) {
    if (const auto text = options::json_name_text(*request_.filename)) {
      INSTAR_TRY(json::object read, options::read_json_name(*text));
      for (auto& [key, value] : read)
        options_.emplace(key, std::move(value));  // options said aside from the name win
      request_.filename.reset();
    }
  }
  const auto* name = options_.if_contains("driver");
  if (name == nullptr || !name->is_string()) return {};
  INSTAR_TRY(driver_, graph_.find_driver(options::scalar_text(*name)));
  options_.erase("driver");
  request_.protocol = driver_.takes_names();
  return {};
}

/** The protocol's file name becomes its options. */
Status Opening::name_protocol() {
  if (driver_.provider != nullptr && !driver_.takes_names()) return {};
  const bool chosen = driver_.provider != nullptr;
  if (!request_.filename) {
    if (chosen) return {};
    const auto filename = text_of(options_, "filename");
    if (!filename) return fail(EINVAL, "Must specify either driver or file");
    INSTAR_TRY(driver_, graph_.find_protocol(*filename, false));
    return {};
  }
  if (options_.contains("filename"))
    return fail(EINVAL, "Can't specify 'file' and 'filename' options at the same time");
  if (!chosen) {
    INSTAR_TRY(driver_, graph_.find_protocol(*request_.filename));
  }
  return parse_filename(*request_.filename);
}

Status Opening::read_parsed(FilenameParser parse, const instar_host* host,
                            const std::string& filename) {
  OutgoingCall call;
  StringSink sink;
  INSTAR_CHECK(call.status(parse(host, call.abi(), filename.c_str(), sink.abi())));
  INSTAR_TRY(json::value parsed, options::parse_driver_json(sink.text));
  if (!parsed.is_object()) return fail(EIO, "Driver '", driver_.name(), "' misread the name");
  for (auto& [key, value] : parsed.as_object())
    options_.emplace(key, std::move(value));
  return {};
}

Status Opening::parse_filename(const std::string& filename) {
  if (driver_.is_named_filter()) {
    INSTAR_TRY(const auto filter, driver_.provider->load<instar_filter_ops>());
    if (filter.ops->parse_filename == nullptr)
      return fail(EINVAL, "Driver '", driver_.name(), "' reads no names");
    return read_parsed(filter.ops->parse_filename, filter.host, filename);
  }
  INSTAR_TRY(const auto loaded, driver_.provider->load<instar_protocol_ops>());
  if (loaded.ops->parse_filename != nullptr)
    return read_parsed(loaded.ops->parse_filename, loaded.host, filename);
  if (!knows_filename(*driver_.provider)) return {};
  const auto prefix = options::protocol_prefix(filename);
  const bool strip = prefix && graph_.registry.protocol_for_scheme(*prefix) == driver_.provider;
  std::string file = strip ? filename.substr(prefix->size() + 1) : filename;
  // Printed back, what is left must not be taken for a name with a scheme of its own.
  if (strip && options::protocol_prefix(file)) file.insert(0, "./");
  options_["filename"] = file;
  return {};
}

/** "backing": null or "" means: no backing file. */
Status Opening::take_backing_override() {
  const auto* backing = options_.if_contains("backing");
  if (backing == nullptr) return {};
  const auto text = text_of(options_, "backing");
  if (!backing->is_null() && (!text || !text->empty())) return {};
  if (text) graph_.warn("Use of \"backing\": \"\" is deprecated; use \"backing\": null instead");
  request_.flags |= INSTAR_OPEN_NO_BACKING;
  backing_overridden_ = true;
  options_.erase("backing");
  return {};
}

Result<bool> Opening::take_bool(const char* name, bool fallback) {
  const auto text = text_of(options_, name);
  if (!text) return fallback;
  options_.erase(name);
  const auto value = options::parse_bool(*text);
  if (!value) return fail(EINVAL, "Parameter '", name, "' expects 'on' or 'off'");
  return *value;
}

std::string Opening::take_text(const char* name) {
  const auto text = text_of(options_, name);
  options_.erase(name);
  return text.value_or("");
}

Status Opening::take_cache_options() {
  const auto set = [&](uint32_t flag, bool on) {
    request_.flags = on ? request_.flags | flag : request_.flags & ~flag;
  };
  INSTAR_TRY(const bool direct,
             take_bool("cache.direct", (request_.flags & INSTAR_OPEN_NO_CACHE) != 0));
  set(INSTAR_OPEN_NO_CACHE, direct);
  INSTAR_TRY(const bool no_flush,
             take_bool("cache.no-flush", (request_.flags & INSTAR_OPEN_NO_FLUSH) != 0));
  set(INSTAR_OPEN_NO_FLUSH, no_flush);
  INSTAR_TRY(const bool share,
             take_bool("force-share", (request_.flags & INSTAR_OPEN_FORCE_SHARE) != 0));
  set(INSTAR_OPEN_FORCE_SHARE, share);
  return {};
}

Status Opening::take_writing_options() {
  const bool wanted = (request_.flags & INSTAR_OPEN_WRITE) != 0;
  INSTAR_TRY(const bool read_only, take_bool("read-only", !wanted));
  // Accepted without effect: what is opened for reading is never opened wider here, and there is no
  // other user to wait for.
  INSTAR_CHECK(take_bool("auto-read-only", false));
  INSTAR_CHECK(take_bool("active", true));
  must_not_write_ = wanted && read_only;
  if (must_not_write_) request_.flags &= ~uint32_t{INSTAR_OPEN_WRITE};
  const auto discard = text_of(options_, "discard");
  if (discard == "on" || discard == "unmap") request_.flags |= INSTAR_OPEN_UNMAP;
  if (discard == "off" || discard == "ignore") request_.flags &= ~uint32_t{INSTAR_OPEN_UNMAP};
  return {};
}

Status Opening::take_common_options() {
  const bool writes = (request_.flags & INSTAR_OPEN_WRITE) != 0;
  if (writes && (request_.flags & INSTAR_OPEN_FORCE_SHARE) != 0)
    return fail(EINVAL, "force-share=on can only be used with read-only images");
  constexpr std::array<std::string_view, 5> kDiscards = {"", "on", "unmap", "off", "ignore"};
  if (std::find(kDiscards.begin(), kDiscards.end(), take_text("discard")) == kDiscards.end())
    return fail(EINVAL, "Invalid discard option");
  const std::string detect = take_text("detect-zeroes");
  if (detect == "on")
    policy_.detect_zeroes = DetectZeroes::kOn;
  else if (detect == "unmap")
    policy_.detect_zeroes = DetectZeroes::kUnmap;
  else if (!detect.empty() && detect != "off")
    return fail(EINVAL, "invalid parameter value: ", detect);
  if (policy_.detect_zeroes == DetectZeroes::kUnmap && (request_.flags & INSTAR_OPEN_UNMAP) == 0)
    return fail(EINVAL,
                "setting detect-zeroes to unmap is not allowed without setting discard operation "
                "to unmap");
  INSTAR_TRY(node_name_, graph_.pick_node_name(take_text("node-name")));
  return {};
}

Status Opening::choose_format() {
  guessed_ = true;
  for (unsigned packings = 0;; ++packings) {
    Node* file = opened_file();
    if (file == nullptr) return fail(EINVAL, "Must specify either driver or file");
    INSTAR_TRY(driver_, graph_.probe(*file, file->filename(), packings > 0));
    if (driver_.kind() != NodeKind::kFilter) return {};
    if (packings == kMaxPackings)
      return fail(ELOOP, "It is packed more than ", kMaxPackings, " times");
    INSTAR_CHECK(unpack_file());
  }
}

/** What the user names is the format of what is packed: but for raw, none begins as a packed file. */
Status Opening::unpack_for_format() {
  Node* file = opened_file();
  const bool writes = (request_.flags & INSTAR_OPEN_WRITE) != 0;
  if (!request_.top || writes || file == nullptr || file->kind() != NodeKind::kProtocol ||
      driver_.kind() != NodeKind::kFormat || driver_.name() == "raw" || graph_.registry.strict())
    return {};
  const auto probed = graph_.probe(*file, file->filename());
  // What is wrong with the file, the format's driver says.
  if (!probed || probed->kind() != NodeKind::kFilter) return {};
  const Driver named = driver_;
  auto unpacked = choose_format();
  driver_ = named;
  guessed_ = false;
  return unpacked;
}

/** The packing's filter between the file and what is in there. */
Status Opening::unpack_file() {
  if ((request_.flags & INSTAR_OPEN_WRITE) != 0)
    return fail(EACCES, "It is packed (", driver_.name(), "), which can only be read");
  Child& edge = children_.front();
  NodeRequest below;
  below.options["driver"] = driver_.name();
  below.options["file"] = edge.node->names().node_name;
  below.flags = child_flags(INSTAR_CHILD_FILE, true);
  below.permissions = child_permissions(request_.permissions, request_.flags, INSTAR_CHILD_FILE);
  below.top = false;
  below.implied = true;
  INSTAR_TRY(edge.node, graph_.open_node(std::move(below)));
  return {};
}

Node* Opening::opened_file() const {
  if (node_ != nullptr) return node_->child("file");
  for (const auto& child : children_)
    if (child.name == "file") return child.node.get();
  return nullptr;
}

std::string Opening::find_own_filename() const {
  if (const Node* file = opened_file()) return file->filename();
  return text_of(options_, "filename").value_or(request_.filename.value_or(""));
}

Status Opening::check_driver() {
  if (driver_.is_protocol() && knows_filename(*driver_.provider) &&
      text_of(options_, "filename").value_or("").empty())
    return fail(EINVAL, "The '", driver_.name(), "' block driver requires a file name");
  return {};
}

/** The options that the driver declares by how their names begin, each in full. */
std::vector<std::pair<std::string, std::string>> Opening::take_prefixed() {
  std::vector<std::pair<std::string, std::string>> taken;
  for (const auto& spec : driver_.provider->info().open_options) {
    if (!spec.is_prefix()) continue;
    for (const auto& [key, value] : options::take_subtree(options_, spec.name))
      if (!value.is_structured() && !value.is_null())
        taken.emplace_back(cat(spec.name, std::string_view(key.data(), key.size())),
                           options::scalar_text(value));
  }
  return taken;
}

Result<instar_node> Opening::open_driver() {
  // What the name shows must outlive the driver's taking of it.
  given_ = options_;
  own_filename_ = find_own_filename();
  const std::string& filename = own_filename_;
  options::BoundOptions bound(table_of(driver_.provider->info().open_options));
  INSTAR_CHECK(options::absorb(options_, bound));
  INSTAR_CHECK(bound.check_values());
  prefixed_ = take_prefixed();
  auto abi_options = bound.to_abi();
  for (const auto& [name, text] : prefixed_)
    abi_options.push_back({name.c_str(), text.c_str(), 0, INSTAR_OPTION_STRING, 0});
  instar_open_args args{};
  args.struct_size = sizeof args;
  args.flags = request_.flags;
  if (driver_.is_protocol()) args.flags |= INSTAR_OPEN_DEFER_LOCKS;
  args.filename = filename.c_str();
  args.options = {abi_options.data(), abi_options.size()};
  args.opener = &opener_;
  args.node_name = node_name_.c_str();
  instar_call messages = graph_.users_call();
  const Call parent(&messages);
  OutgoingCall call(&parent);
  instar_node out{};
  const Status opened = run_driver_open(*driver_.provider, call, args, &out);
  if (opened) return out;
  Error error = opened.error();
  if (error.message == errno_text(error.code) && error.code != ECANCELED)
    error.message = filename.empty() ? cat("Could not open image: ", error.message)
                                     : cat("Could not open '", filename, "': ", error.message);
  return error;
}

Result<NodePtr> Opening::wrap(instar_node driver_node) {
  NodeNames names;
  names.node_name = node_name_;
  INSTAR_TRY(NodePtr node, Node::make(driver_.kind(), driver_.name(), names, request_.flags,
                                      driver_node, std::move(children_)));
  node_ = node.get();
  node->keep(shared_from_this());
  // Without I/O nobody looks at backing files, and names leave them out.
  const bool other_backing = backing_overridden_ && (request_.flags & INSTAR_OPEN_NO_IO) == 0;
  names = make_names(driver_, given_, *node, own_filename_, other_backing);
  if (const Node* file = node->file(); request_.implied && !file->names().exact_filename.empty())
    names.exact_filename = names.filename = file->names().exact_filename;
  names.node_name = node_name_;
  node->set_names(std::move(names));
  if (guessed_) guard_guessed_raw(*node, policy_);
  policy_.cancelled = graph_.messages.cancelled;
  node->set_policy(std::move(policy_));
  graph_.nodes[node_name_] = node;
  if (base::trace_enabled(base::Event::kOpen))
    base::write_trace(
        base::Event::kOpen,
        cat("bs ", base::hex_number(node.get()), " filename \"", node->filename(), "\" flags ",
            base::hex_number(request_.flags), " format_name \"", driver_.name(), "\""));
  return node;
}

void Opening::guard_guessed_raw(Node& node, NodePolicy& policy) {
  if (driver_.name() != "raw" || !node.writable()) return;
  const std::string name = node.file() != nullptr ? node.file()->filename() : node.filename();
  graph_.caution(
      cat("Image format was not specified for '", name, "' and probing guessed raw."),
      "Automatically detecting the format is dangerous for raw images, write operations on block 0 "
      "will be restricted.\n"
      "Specify the 'raw' format explicitly to remove the restrictions.");
  policy.admits_first_block = [&registry = graph_.registry, name](const uint8_t* block) {
    const auto probed = registry.probe({block, 512}, name);
    return probed.provider == nullptr || probed.provider->name() == "raw";
  };
}

/** Who may write and not resize can't write a part of the last block. */
Status Opening::check_alignment(const Node& node) const {
  constexpr uint32_t kBoth = INSTAR_PERMISSION_WRITE | INSTAR_PERMISSION_RESIZE;
  const uint32_t unit = node.driver_limits().request_alignment;
  if ((request_.permissions.used & kBoth) != INSTAR_PERMISSION_WRITE || unit <= 512) return {};
  INSTAR_TRY(const uint64_t size, node.size());
  if (size % unit == 0) return {};
  return fail(EINVAL,
              "Cannot get 'write' permission without 'resize': Image size is not a multiple of "
              "request alignment");
}

/** Anything that neither the host nor the driver nor a child understood. */
Status Opening::check_leftovers() const {
  const bool backing_said = std::any_of(options_.begin(), options_.end(), [](const auto& entry) {
    const std::string_view key(entry.key().data(), entry.key().size());
    return key.starts_with("backing.") || (key == "backing" && entry.value().is_string());
  });
  if (backing_said && (request_.flags & INSTAR_OPEN_NO_BACKING) == 0 && !driver_.supports_backing())
    return fail(EINVAL, "Driver doesn't support backing files");
  const auto left = options::in_printed_order(options_);
  if (left.empty()) return {};
  const std::string_view name(left[0]->key().data(), left[0]->key().size());
  if (driver_.takes_names())
    return fail(EINVAL, "Block protocol '", driver_.name(), "' doesn't support the option '", name,
                "'");
  return fail(EINVAL, "Block format '", driver_.name(), "' does not support the option '", name,
              "'");
}

}  // namespace instar::block
