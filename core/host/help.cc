// SPDX-License-Identifier: Apache-2.0
#include "core/host/help.hpp"

#include <algorithm>

#include "sdk/cpp/result.hpp"

namespace instar::host {

namespace {

using sdk::cat;

constexpr const char* kStandardOptions =
    "Standard options, before the command:\n"
    "  -h, --help           show this help and exit\n"
    "  -V, --version        show the version and exit\n"
    "  -T, --trace PATTERN  write what happens inside to stderr\n";

constexpr const char* kOwnOptions =
    "      --plugin FILE    use this plugin too\n"
    "      --references P   open what images name inside themselves: all (default),\n"
    "                       same-folder or none\n";

std::string command_list(Session& session) {
  auto commands = session.registry().all(INSTAR_KIND_COMMAND);
  if (session.invocation().strict)
    std::erase_if(commands,
                  [](const auto* command) { return command->info().has_flag("extension"); });
  std::string out = "Commands:\n";
  size_t width = 0;
  for (const auto* command : commands)
    width = std::max(width, command->name().size());
  for (const auto* command : commands)
    out += cat("  ", command->name(), std::string(width - command->name().size() + 2, ' '),
               command->info().summary, "\n");
  return out;
}

std::string wrapped(const std::vector<std::string>& words, size_t columns) {
  std::string out, line;
  for (const auto& word : words) {
    if (line.size() + 1 + word.size() > columns) {
      out += line + "\n";
      line = " ";
    }
    line += (line.empty() ? "" : " ") + word;
  }
  return out + line + "\n";
}

}  // namespace

std::string version_text(const Invocation& invocation) {
  if (invocation.strict)
    return cat("qemu-img version 10.0.2 (instar ", kVersion,
               ")\nCopyright (c) 2026 the instar authors\n");
  return cat("instar version ", kVersion,
             " (does what qemu-img 10.0.2 does)\nCopyright (c) 2026 the instar authors\n");
}

std::string help_text(Session& session) {
  const auto& invocation = session.invocation();
  const auto& name = invocation.base_name;
  std::string out = version_text(invocation);
  out += cat("Usage: ", name, " [STANDARD OPTIONS] COMMAND [OPTIONS] ...\n\n", kStandardOptions);
  if (!invocation.strict) out += kOwnOptions;
  out += "\n" + command_list(session);
  out += cat("\n'", name, " COMMAND --help' explains a command.\n");
  out += cat("Examples:\n  ", name, " info -U disk.qcow2\n  ", name,
             " create -f qcow2 disk.qcow2 20G\n  ", name,
             " convert -p -O qcow2 disk.raw disk.qcow2\n\n");
  out += wrapped(
      [&] {
        auto names = session.registry().driver_names();
        names.insert(names.begin(), "Supported formats:");
        return names;
      }(),
      78);
  return out;
}

}  // namespace instar::host
