// SPDX-License-Identifier: Apache-2.0
/** @file plugin.cc Proxmox's dialect of qemu-img. */
#include "sdk/cpp/plugin.hpp"

#include "plugins/vendor/proxmox/dd.hpp"
#include "plugins/vendor/proxmox/zeroinit.hpp"

namespace instar::proxmox {

using namespace sdk;

namespace {

int run(const instar_host* host, instar_call* call, const instar_command_args* args) noexcept;

constexpr instar_command_ops kDd = {sizeof(instar_command_ops), 0, &run};

Result<int> run_command(CommandContext& context, instar_call* call) {
  DdArguments arguments;
  std::vector<std::string> operands, objects;
  CommandLine line("dd", "[OPTIONS] [NAME=VALUE]...",
                   "Copies an image, or a part of it, from a file or stdin to a file or stdout.");
  line.text('f', "format", "FMT", arguments.format, "format of the input; raw for stdin")
      .flag(0, "image-opts", arguments.image_opts, "if= is a list of key=value, not a name")
      .text('O', "output-format", "FMT", arguments.target_format,
            "format of the output (default: raw)")
      .flag('n', "", arguments.no_create, "of= is there already; it keeps its size")
      .action('l', "", "SNAPSHOT", snapshot_handler(context, arguments.snapshot),
              "copy an internal snapshot of if=, by name or id")
      .flag('U', "force-share", arguments.force_share,
            "read if= even where another program writes to it");
  line.action(
      0, "object", "OBJDEF",
      [&](const char* text) {
        objects.emplace_back(text);
        return std::nullopt;
      },
      "define an object, such as secret,id=s0,file=PATH; 'help' lists the types");
  line.operands(operands).epilogue(
      "Operands:\n"
      "  if=FILE     image to read (default: stdin)\n"
      "  of=FILE     image to write (default: stdout)\n"
      "  bs=SIZE     size of a block in bytes (default 512)\n"
      "  count=N     end the copy behind block N of the input\n"
      "  skip=N      begin the copy behind block N of the input\n"
      "  isize=SIZE  bytes to read; 0: stdin may end at any place\n"
      "  osize=SIZE  size of the output\n\n"
      "Example: dd -f raw -O qcow2 osize=4M isize=0 of=state.qcow2 <state\n");
  if (const auto status = line.parse(context)) return *status;
  for (const auto& operand : operands)
    if (!arguments.take(context, operand)) return 1;
  if (arguments.image_opts && arguments.format)
    return context.error("--image-opts and --format are mutually exclusive");
  if (arguments.plain())
    if (const auto* original = context.host().next(call, INSTAR_KIND_COMMAND, "dd", &kDd))
      return original->run(context.host().abi(), call, &context.args());
  for (const auto& object : objects)  // not before: the dd behind this one defines them itself
    if (const auto status = define_object(context, object.c_str())) return *status;
  return run_dd(context, arguments);
}

int run(const instar_host* host, instar_call* abi, const instar_command_args* args) noexcept {
  const int64_t status = guard(abi, [&](const Call&) -> Result<int> {
    CommandContext context(host, abi, args);
    return run_command(context, abi);
  });
  return status < 0 ? 1 : static_cast<int>(status);
}

}  // namespace

}  // namespace instar::proxmox

INSTAR_PLUGIN("proxmox", "1.0.0",
              instar_provide{INSTAR_KIND_COMMAND, 0, "dd", &instar::proxmox::kDd},
              instar::sdk::filter<instar::proxmox::ZeroInit>("zeroinit"))
