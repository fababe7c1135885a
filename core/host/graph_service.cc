// SPDX-License-Identifier: Apache-2.0
/** @file graph_service.cc The service "instar.graph/1". */
#include <string>

#include "core/block/status.hpp"
#include "core/host/image.hpp"
#include "core/host/map_joiner.hpp"
#include "core/host/services.hpp"
#include "core/host/session.hpp"
#include "core/options/json_options.hpp"
#include "sdk/cpp/call.hpp"

namespace instar::host {

namespace {

using block::Graph;
using sdk::Call;
using sdk::guard;

Graph& graph() {
  return Session::current().graph();
}

std::string text(const char* s) {
  return s != nullptr ? s : "";
}

Result<block::OpenSpec> open_spec(const instar_image_spec& abi) {
  block::OpenSpec spec;
  spec.filename = text(abi.filename);
  if (abi.format != nullptr) spec.format = abi.format;
  spec.image_opts = (abi.spec_flags & INSTAR_IMAGE_OPTS) != 0;
  if (spec.image_opts && spec.format)
    return fail(EINVAL, "--image-opts and --format are mutually exclusive");
  spec.flags = abi.open_flags;
  if (spec.image_opts && (spec.flags & INSTAR_OPEN_FORCE_SHARE) != 0) {
    const auto said = options::read_image_options(spec.filename).flat;
    const auto* share = said.if_contains("force-share");
    if (share != nullptr && *share != "on")
      return fail(EINVAL, "--force-share/-U conflicts with image options");
  }
  if (abi.snapshot != nullptr) spec.snapshot = abi.snapshot;
  spec.options = text(abi.options);
  if (abi.cache != nullptr) {
    const auto mode = block::parse_cache_mode(abi.cache);
    if (!mode) return fail(EINVAL, "Invalid cache option: ", abi.cache);
    spec.cache = *mode;
  }
  return spec;
}

/** An image that its caller closes. */
instar_image* hand_over(block::NodePtr node) {
  auto image = std::make_unique<instar_image>();
  image->node = std::move(node);
  return image.release();
}

int open(const instar_host*, instar_call* abi, const instar_image_spec* spec,
         instar_image** out) noexcept {
  return static_cast<int>(guard(abi, [&](const Call&) -> Status {
    INSTAR_TRY(const auto wanted, open_spec(*spec));
    INSTAR_TRY(auto node, graph().open(wanted));
    *out = hand_over(std::move(node));
    return {};
  }));
}

int close(instar_image* image, instar_call* abi) noexcept {
  return static_cast<int>(guard(abi, [&](const Call& call) -> Status {
    const std::unique_ptr<instar_image> owner(image);
    return owner->node->close(call);
  }));
}

const instar_node* node(instar_image* image) noexcept {
  return image->node->abi();
}
const char* driver(instar_image* image) noexcept {
  return image->node->driver().c_str();
}
const char* filename(instar_image* image) noexcept {
  return image->node->filename().c_str();
}

const char* node_name(instar_image* image) noexcept {
  return image->node->names().node_name.c_str();
}

int describe(const instar_host*, instar_call* abi, const instar_image_spec* spec, int chain,
             const instar_sink* json) noexcept {
  return static_cast<int>(guard(abi, [&](const Call& call) -> Status {
    INSTAR_TRY(const auto wanted, open_spec(*spec));
    if (chain != 0) return sdk::send(json, graph().describe_chain(wanted));
    INSTAR_TRY(const auto image, graph().open(wanted));
    INSTAR_CHECK(sdk::send(json, graph().describe(*image)));
    return image->close(call);
  }));
}

int create(const instar_host*, instar_call* abi, const instar_create_spec* spec) noexcept {
  return static_cast<int>(guard(abi, [&](const Call&) {
    block::CreateSpec wanted;
    wanted.filename = text(spec->filename);
    wanted.format = text(spec->format);
    wanted.options = text(spec->options);
    if (spec->backing != nullptr) wanted.backing = spec->backing;
    if (spec->backing_format != nullptr) wanted.backing_format = spec->backing_format;
    if (spec->size != UINT64_MAX) wanted.size = spec->size;
    wanted.backing_unsafe = (spec->flags & INSTAR_CREATE_BACKING_UNSAFE) != 0;
    wanted.quiet = (spec->flags & INSTAR_CREATE_QUIET) != 0;
    wanted.size_wins = (spec->flags & INSTAR_CREATE_SIZE_WINS) != 0;
    wanted.keep_others = (spec->flags & INSTAR_CREATE_KEEP_OTHERS) != 0;
    wanted.dry_run = (spec->flags & INSTAR_CREATE_DRY_RUN) != 0;
    wanted.durable = (spec->flags & INSTAR_CREATE_DURABLE) != 0;
    if (spec->struct_size >= sizeof *spec) wanted.staged = text(spec->staged);
    return graph().create(wanted);
  }));
}

int print_options(const instar_host* host, instar_call* abi, const char* format,
                  const char* filename, int amend) noexcept {
  return static_cast<int>(guard(abi, [&](const Call&) -> Status {
    INSTAR_TRY(const auto help, graph().option_help(format, text(filename), amend != 0));
    output_service()->print(host, help.data(), help.size());
    return {};
  }));
}

int map(instar_image* image, instar_call* abi, uint64_t start, uint64_t length, void* opaque,
        instar_map_fn each) noexcept {
  return static_cast<int>(guard(abi, [&](const Call& call) -> Status {
    MapJoiner joiner(opaque, each);
    block::StatusOptions options;
    options.resolve_file = false;  // qemu-img names the child that the driver means
    INSTAR_CHECK(block::walk_status(call, *image->node, start, length, options,
                                    [&](const auto& batch) { return joiner.add(batch); }));
    return joiner.finish();
  }));
}

int measure(const instar_host*, instar_call* abi, const char* format, const char* options,
            instar_image* source, uint64_t size, instar_measure_result* result) noexcept {
  return static_cast<int>(guard(abi, [&](const Call&) -> Status {
    const uint32_t struct_size = result->struct_size;
    INSTAR_TRY(*result, graph().measure(format, text(options),
                                        source != nullptr ? source->node.get() : nullptr,
                                        source != nullptr ? std::nullopt : std::optional(size)));
    result->struct_size = struct_size;
    return {};
  }));
}

instar_image* backing(instar_image* image) noexcept {
  try {
    if (image->backing == nullptr) {
      auto* below = image->node->backing();
      if (below == nullptr) return nullptr;
      image->backing.reset(new instar_image{below->shared_from_this(), nullptr});
    }
    return image->backing.get();
  } catch (...) {
    return nullptr;
  }
}

int check_create(const instar_host*, instar_call* abi, const char* format, const char* filename,
                 const char* options, void* opaque, instar_options_fn receive) noexcept {
  return static_cast<int>(guard(abi, [&](const Call&) {
    return graph().check_create(format, text(filename), text(options),
                                [&](const instar_options& given, uint32_t abilities) {
                                  receive(opaque, &given, abilities);
                                });
  }));
}

int remove(const instar_host*, instar_call* abi, const char* filename) noexcept {
  return static_cast<int>(
      guard(abi, [&](const Call& call) { return graph().remove(call, text(filename)); }));
}

instar_image* find_backing(instar_image* image, const char* name) noexcept {
  try {
    const block::Node* found = graph().find_backing(*image->node, name);
    for (instar_image* at = image; found != nullptr && at != nullptr;) {
      at = backing(at);
      if (at != nullptr && at->node.get() == found) return at;
    }
    return nullptr;
  } catch (...) {
    return nullptr;
  }
}

int open_backing(const instar_host*, instar_call* abi, instar_image* image, const char* filename,
                 const char* format, const char* cache, uint32_t open_flags,
                 instar_image** out) noexcept {
  return static_cast<int>(guard(abi, [&](const Call&) -> Status {
    instar_image_spec spec{};
    spec.filename = filename;
    spec.format = format;
    spec.cache = cache;
    spec.open_flags = open_flags;
    INSTAR_TRY(const auto wanted, open_spec(spec));
    INSTAR_TRY(auto node, graph().open_backing(*image->node, wanted));
    *out = hand_over(std::move(node));
    return {};
  }));
}

int open_writable(const instar_host*, instar_call* abi, instar_image* below,
                  instar_image** out) noexcept {
  return static_cast<int>(guard(abi, [&](const Call&) -> Status {
    INSTAR_TRY(auto node, graph().open_writable(*below->node));
    *out = hand_over(std::move(node));
    return {};
  }));
}

int amend(const instar_host*, instar_call* abi, instar_image* image, const char* options, int force,
          const instar_progress* progress) noexcept {
  return static_cast<int>(guard(abi, [&](const Call&) {
    return graph().amend(*image->node, text(options), force != 0,
                         progress != nullptr ? *progress : instar_progress{});
  }));
}

int walk_chain(const instar_host*, instar_call* abi, const instar_image_spec* spec, void* opaque,
               instar_chain_fn each) noexcept {
  return static_cast<int>(guard(abi, [&](const Call&) -> Status {
    INSTAR_TRY(const auto wanted, open_spec(*spec));
    uint32_t depth = 0;
    return graph().walk_chain(wanted, [&](const block::ChainLink& found) -> Status {
      const auto given = [](const std::string& s) { return s.empty() ? nullptr : s.c_str(); };
      instar_image image{found.image, nullptr};
      const instar_chain_link link{
          sizeof(instar_chain_link), depth++,
          found.filename.c_str(),    given(found.format),
          given(found.probed),       given(found.error),
          given(found.info),         found.image != nullptr ? &image : nullptr};
      const int done = each(opaque, &link);
      return done < 0 ? Status(fail(-done, errno_text(-done))) : Status();
    });
  }));
}

int stage(const instar_host*, instar_call* abi, const char* filename, uint32_t flags,
          const instar_sink* name) noexcept {
  return static_cast<int>(
      guard(abi, [&](const Call&) { return sdk::send(name, graph().stage(filename, flags)); }));
}

int settle(const instar_host*, instar_call* abi, const char* staged, const char* filename,
           uint32_t flags) noexcept {
  return static_cast<int>(
      guard(abi, [&](const Call&) { return graph().settle(staged, filename, flags); }));
}

int check_amend(const instar_host*, instar_call* abi, instar_image* image,
                const char* options) noexcept {
  return static_cast<int>(
      guard(abi, [&](const Call&) { return graph().check_amend(*image->node, text(options)); }));
}

constexpr instar_graph_ops kOps = {sizeof(instar_graph_ops),
                                   0,
                                   &open,
                                   &close,
                                   &node,
                                   &driver,
                                   &filename,
                                   &describe,
                                   &create,
                                   &print_options,
                                   &map,
                                   &measure,
                                   &backing,
                                   &check_create,
                                   &remove,
                                   &find_backing,
                                   &open_backing,
                                   &open_writable,
                                   &amend,
                                   &walk_chain,
                                   &node_name,
                                   &stage,
                                   &settle,
                                   &check_amend};

}  // namespace

const instar_graph_ops* graph_service() {
  return &kOps;
}

}  // namespace instar::host
