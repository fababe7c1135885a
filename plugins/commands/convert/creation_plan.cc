// SPDX-License-Identifier: Apache-2.0
#include "plugins/commands/convert/creation_plan.hpp"

#include "sdk/cpp/options.hpp"

namespace instar::convert {

namespace {

void receive(void* opaque, const instar_options* abi, uint32_t abilities) {
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

Status read_plan(const CommandContext& context, const Arguments& arguments, CreationPlan& plan) {
  OutgoingCall call(&context.call());
  const auto* options = arguments.options ? arguments.options->c_str() : nullptr;
  INSTAR_CHECK(call.status(context.graph().check_create(
      context.host().abi(), call.abi(), arguments.target_format.c_str(), arguments.target.c_str(),
      options, &plan, &receive)));
  const bool can_back = (plan.abilities & INSTAR_FORMAT_BACKING) != 0;
  if (arguments.backing && !can_back)
    return fail(ENOTSUP, "Backing file not supported for file format '", arguments.target_format,
                "'");
  if (arguments.backing_format && !can_back)
    return fail(ENOTSUP, "Backing file format not supported for file format '",
                arguments.target_format, "'");
  return {};
}

Status check_backing(const Arguments& arguments, const CreationPlan& plan) {
  if (!plan.backing) return {};
  if (arguments.sources.size() > 1)
    return fail(EINVAL,
                "Having a backing file for the target makes no sense when concatenating multiple "
                "input images");
  if (!plan.backing_format && !arguments.skip_create)
    return fail(EINVAL, "Use of backing file requires explicit backing format");
  return {};
}

Status check_compression(const CreationPlan& plan) {
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

}  // namespace

Result<CreationPlan> plan_creation(const CommandContext& context, const Arguments& arguments) {
  CreationPlan plan;
  if (!arguments.skip_create) INSTAR_CHECK(read_plan(context, arguments, plan));
  if (arguments.backing) plan.backing = arguments.backing;
  if (arguments.backing_format) plan.backing_format = arguments.backing_format;
  INSTAR_CHECK(check_backing(arguments, plan));
  if (!arguments.skip_create && arguments.compress) INSTAR_CHECK(check_compression(plan));
  return plan;
}

}  // namespace instar::convert
