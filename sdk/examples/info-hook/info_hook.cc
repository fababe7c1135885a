// SPDX-License-Identifier: Apache-2.0
// Replaces the command "info" and lets the original do the work: an audit line on stderr before, and
// an exit status of 3 in the place of 1 behind.
#include <cstdio>
#include <instar/cpp/plugin.hpp>

using namespace instar::sdk;

namespace {

int run(const instar_host* host, instar_call* call, const instar_command_args* args) noexcept;

constexpr instar_command_ops kOps = {sizeof(instar_command_ops), 0, &run};

int run(const instar_host* host, instar_call* call, const instar_command_args* args) noexcept {
  const auto* original = Host(host).next(call, INSTAR_KIND_COMMAND, "info", &kOps);
  if (original == nullptr) return 1;
  std::fprintf(stderr, "audit: info of %s\n", args->argv[args->argc - 1]);
  const int status = original->run(host, call, args);
  return status == 1 ? 3 : status;
}

}  // namespace

INSTAR_PLUGIN("info-hook", "1.0.0", instar_provide{INSTAR_KIND_COMMAND, 0, "info", &kOps})
