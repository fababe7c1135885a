// SPDX-License-Identifier: Apache-2.0
// Creating images, measuring them, and the help on their options.
#include <algorithm>

#include "core/block/chain_view.hpp"
#include "core/block/creating.hpp"
#include "core/block/graph_private.hpp"
#include "core/block/upload.hpp"
#include "core/options/filename.hpp"
#include "sdk/abi/graph.h"
#include "sdk/abi/resize.h"

namespace instar::block {

namespace {

using options::BoundOptions;
using options::OptionTable;
using sdk::OutgoingCall;

/** Formats and protocols that create; a table without options is none. */
bool creates(const Driver& driver) {
  return !driver.provider->info().create_options.empty();
}

bool can_resize(const Driver& driver) {
  const auto& interfaces = driver.provider->info().interfaces;
  return std::find(interfaces.begin(), interfaces.end(), INSTAR_RESIZE_ID) != interfaces.end();
}

/** @param strict without backing files where the genuine tool knows none */
OptionTable create_table(const Driver& driver, bool strict) {
  auto specs = driver.provider->info().create_options.rows();
  std::erase_if(specs, [&](const auto& spec) {
    return strict && spec.extension && spec.name.starts_with("backing_");
  });
  return table_of(specs);
}

Status set_size(BoundOptions& bound, const CreateSpec& spec) {
  if (!spec.size) return {};
  if (bound.has("size") && !spec.size_wins)
    return fail(EINVAL, "The image size must be specified only once");
  return bound.set("size", std::to_string(*spec.size));
}

/** -b and -F win over what -o says. */
Status set_backing(BoundOptions& bound, const CreateSpec& spec) {
  if (spec.backing && !bound.set("backing_file", *spec.backing))
    return fail(EINVAL, "Backing file not supported for file format '", spec.format, "'");
  if (spec.backing_format && !bound.set("backing_fmt", *spec.backing_format))
    return fail(EINVAL, "Backing file format not supported for file format '", spec.format, "'");
  if (!bound.has("backing_file")) return {};
  const std::string backing = bound.text("backing_file");
  if (backing == spec.filename)
    return fail(EINVAL,
                "Error: Trying to create an image with the same filename as the backing file");
  if (backing.empty()) return fail(EINVAL, "Expected backing file name, got empty string");
  return {};
}

std::string full_backing_name(const std::string& image, const std::string& backing) {
  if (options::protocol_prefix(backing) || options::is_absolute_path(backing)) return backing;
  return options::combine_paths(image, backing);
}

/** The backing file has to be there; a missing size is taken from it. */
Status check_backing(Graph::Private& graph, BoundOptions& bound, const CreateSpec& spec) {
  if (!bound.has("backing_file")) return {};
  const std::string format = bound.text("backing_fmt");
  if (spec.backing_unsafe) {
    if (format.empty()) return fail(EINVAL, "Backing file specified without backing format");
    return {};
  }
  NodeRequest request;
  request.filename = full_backing_name(spec.filename, bound.text("backing_file"));
  request.flags = INSTAR_OPEN_NO_IO | INSTAR_OPEN_FORCE_SHARE;
  request.permissions = top_permissions(request.flags);
  if (!format.empty()) request.options["driver"] = format;
  auto opened = graph.open_node(std::move(request));
  if (!opened) {
    Error error = std::move(opened).error();
    error.hint = error.hint.empty() ? "Could not open backing image."
                                    : cat(error.hint, "\nCould not open backing image.");
    return error;
  }
  if (format.empty()) {
    Error error = fail(EINVAL, "Backing file specified without backing format");
    error.hint = cat("Detected format of ", (*opened)->driver(), ".");
    return error;
  }
  if (bound.has("size")) return {};
  const auto size = (*opened)->size();
  if (!size)
    return fail(size.error().code, "Could not get size of '", (*opened)->filename(),
                "': ", size.error().message);
  return bound.set("size", std::to_string(*size));
}

bool needs_size(const BoundOptions& bound) {
  return !bound.has("size") && bound.number("detached-header") == 0;
}

/** The image would name a format that no plugin, installed or not, has. */
Status check_backing_format(Graph::Private& graph, const BoundOptions& bound) {
  const std::string format = bound.text("backing_fmt");
  if (format.empty()) return {};
  const auto found = graph.find_driver(format);
  if (found || !found.error().hint.empty()) return {};
  return fail(EINVAL, "Parameter 'backing-fmt' does not accept value '", format, "'");
}

/** The same error whatever the layer that found the size too large. */
Error too_large(const Driver& format) {
  const auto& table = format.provider->info().create_options;
  const bool clusters = std::any_of(table.begin(), table.end(),
                                    [](const auto& spec) { return spec.name == "cluster_size"; });
  return fail(EFBIG, "The image size is too large for file format '", format.name(), "'",
              clusters ? " (try using a larger cluster size)" : "");
}

/** A format and the protocol below it, with all their options. */
struct Target {
  Driver format;
  Driver protocol;
  OptionTable table;
};

Result<Driver> find_creator(Graph::Private& graph, const std::string& format) {
  auto driver = graph.find_driver(format);
  if (!driver) {
    Error error = fail(EINVAL, "Unknown file format '", format, "'");
    error.hint = driver.error().hint;
    return error;
  }
  return driver;
}

Status check_creates(const Driver& format) {
  if (creates(format)) return {};
  return fail(ENOTSUP, "Format driver '", format.name(), "' does not support image creation");
}

Result<Target> find_target(Graph::Private& graph, const std::string& format,
                           const std::string& filename) {
  Target target;
  INSTAR_TRY(target.format, find_creator(graph, format));
  INSTAR_TRY(target.protocol, graph.find_protocol(filename));
  INSTAR_CHECK(check_creates(target.format));
  if (!creates(target.protocol))
    return fail(ENOTSUP, "Protocol driver '", target.protocol.name(),
                "' does not support image creation");
  const bool strict = graph.registry.strict();
  target.table = create_table(target.format, strict);
  target.table.append(create_table(target.protocol, strict));
  return target;
}

}  // namespace

Status Graph::create(const CreateSpec& spec) {
  INSTAR_TRY(const Target target, find_target(*private_, spec.format, spec.filename));
  BoundOptions bound(target.table);
  INSTAR_CHECK(bound.set_all(spec.options));
  INSTAR_CHECK(set_size(bound, spec));
  INSTAR_CHECK(set_backing(bound, spec));
  INSTAR_CHECK(check_backing(*private_, bound, spec));
  if (needs_size(bound)) return fail(EINVAL, "Image creation needs a size parameter");
  const auto& messages = private_->messages;
  if (!spec.quiet && messages.print != nullptr)
    messages.print(messages.opaque,
                   cat(spec.dry_run ? "Would format '" : "Formatting '", spec.filename,
                       "', fmt=", spec.format, bound.summary(), "\n"));
  INSTAR_CHECK(bound.check_values());
  INSTAR_CHECK(check_backing_format(*private_, bound));
  if (uploads(target.protocol) && !spec.dry_run) {
    const auto staged = private_->uploads.find(spec.staged);
    if (staged == private_->uploads.end())
      return fail(ENOTSUP, "Protocol driver '", target.protocol.name(),
                  "' only stores images that are whole");
    staged->second->keep(bound);
  }
  Status created = Creating(*private_, target.format, spec, bound).run();
  if (!created && created.error().code == EFBIG) return too_large(target.format);
  return created;
}

Status Graph::check_create(
    const std::string& format, const std::string& filename, const std::string& options,
    const std::function<void(const instar_options& given, uint32_t abilities)>& receive) {
  INSTAR_TRY(const Target target, find_target(*private_, format, filename));
  BoundOptions bound(target.table);
  INSTAR_CHECK(bound.set_all(options));
  const auto& info = target.format.provider->info();
  uint32_t abilities = INSTAR_FORMAT_CREATES;
  if (info.has_flag("compress")) abilities |= INSTAR_FORMAT_COMPRESSES;
  if (target.table.find("backing_file") != nullptr) abilities |= INSTAR_FORMAT_BACKING;
  if (info.has_flag("grows") && can_resize(target.protocol)) abilities |= INSTAR_FORMAT_GROWS;
  if (uploads(target.protocol)) abilities |= INSTAR_TARGET_UPLOADS;
  auto items = bound.to_abi();
  std::erase_if(items, [&](const instar_option& item) { return !bound.has(item.name); });
  receive({items.data(), items.size()}, abilities);
  return {};
}

Result<std::string> Graph::option_help(const std::string& format, const std::string& filename,
                                       bool amend) {
  INSTAR_TRY(const Driver driver, find_creator(*private_, format));
  const bool strict = private_->registry.strict();
  if (amend) {
    const auto& specs = driver.provider->info().amend_options;
    if (specs.empty())
      return fail(ENOTSUP, "Format driver '", format, "' does not support option amendment");
    return table_of(specs).help_text(cat("Amend options for '", format, "'"), strict);
  }
  INSTAR_CHECK(check_creates(driver));
  if (filename.empty())
    return cat(
        create_table(driver, strict).help_text(cat("Supported ", format, " options"), strict),
        "\nThe protocol level may support further options.\n"
        "Specify the target filename to include those options.\n");
  INSTAR_TRY(const Target target, find_target(*private_, format, filename));
  return target.table.help_text("Supported options", strict);
}

Result<instar_measure_result> Graph::measure(const std::string& format, const std::string& options,
                                             Node* source, std::optional<uint64_t> size) {
  INSTAR_TRY(const Driver driver, find_creator(*private_, format));
  INSTAR_CHECK(check_creates(driver));
  INSTAR_TRY(const Driver protocol, private_->find_driver("file"));
  const bool strict = private_->registry.strict();
  OptionTable table = create_table(driver, strict);
  table.append(create_table(protocol, strict));
  BoundOptions bound(std::move(table));
  if (auto set = bound.set_all(options); !set) {
    Error error = std::move(set).error();
    error.hint = cat(error.hint, error.hint.empty() ? "" : "\n",
                     "qemu-img: Invalid options for file format '", format, "'");
    return error;
  }
  if (source == nullptr) INSTAR_CHECK(bound.set("size", std::to_string(size.value_or(0))));
  for (const auto& spec : bound.table().specs())
    if (bound.has(spec.name) && !options::check_enum_value(spec, bound.text(spec.name)))
      return fail(EINVAL, "invalid parameter value: ", bound.text(spec.name));
  const auto unsupported = [&] {
    return fail(ENOTSUP, "Block driver '", format, "' does not support size measurement");
  };
  if (driver.kind() != NodeKind::kFormat) return unsupported();
  INSTAR_TRY(const auto loaded, driver.provider->load<instar_format_ops>());
  const void* found =
      loaded.ops->get_interface != nullptr ? loaded.ops->get_interface(INSTAR_MEASURE_ID) : nullptr;
  if (found == nullptr) return unsupported();
  const auto items = bound.to_abi();
  const instar_options abi_options{items.data(), items.size()};
  instar_measure_result result{};
  result.struct_size = sizeof result;
  OutgoingCall call;
  std::optional<ChainView> chain;
  if (source != nullptr) chain.emplace(*source);
  INSTAR_CHECK(call.status(static_cast<const instar_measure_ops*>(found)->measure(
      loaded.host, call.abi(), &abi_options, chain ? chain->abi() : nullptr, &result)));
  return result;
}

}  // namespace instar::block
