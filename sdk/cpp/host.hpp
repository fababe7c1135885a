// SPDX-License-Identifier: Apache-2.0
/** @file host.hpp The host as a plugin sees it. */
#pragma once

#include <string>
#include <string_view>

#include "../abi/host.h"
#include "../abi/output.h"
#include "../abi/plugin.h"
#include "../abi/registry.h"
#include "call.hpp"
#include "result.hpp"

namespace instar::sdk {

/** Does not own. Valid as long as the process. */
class Host {
 public:
  Host() = default;
  explicit Host(const instar_host* abi) : abi_(abi) {}

  const instar_host* abi() const { return abi_; }
  void log(instar_log_level level, std::string_view text) const {
    abi_->log(abi_, level, text.data(), text.size());
  }

  /** A service's table, or nullptr. */
  template <class Ops>
  const Ops* service(const char* id) const {
    return static_cast<const Ops*>(abi_->get_interface(abi_, id));
  }
  /** An error message of the program's, for what is not (only) a call's failure. False: nothing is
   * printed by this host. */
  bool print_error(std::string_view message, std::string_view hint = {}) const {
    const auto* output = service<instar_output_ops>(INSTAR_OUTPUT_ID);
    if (output == nullptr) return false;
    output->error(abi_, message.data(), message.size(), hint.data(), hint.size());
    return true;
  }
  /** A warning of the program's. */
  void print_warning(std::string_view message) const {
    const auto* output = service<instar_output_ops>(INSTAR_OUTPUT_ID);
    if (output != nullptr) output->warn(abi_, message.data(), message.size());
  }
  /** Called as qemu-img: what that tool refuses is refused. */
  bool strict() const {
    const auto* output = service<instar_output_ops>(INSTAR_OUTPUT_ID);
    return output != nullptr && output->strict(abi_) != 0;
  }

  /** The table of a codec, encryption scheme, …; the error names the package that has it. */
  template <class Ops>
  Result<const Ops*> find(instar_kind kind, const std::string& name) const {
    const auto* registry = service<instar_registry_ops>(INSTAR_REGISTRY_ID);
    if (registry == nullptr) return fail(ENOTSUP, "the host has no registry");
    OutgoingCall call;
    const void* ops = registry->find(abi_, call.abi(), kind, name.c_str());
    if (ops == nullptr) return call.error(-ENOENT);
    return static_cast<const Ops*>(ops);
  }
  /** What stands behind the caller's own implementation (`replaces`), or nullptr. */
  template <class Ops>
  const Ops* next(instar_call* call, instar_kind kind, const char* name, const Ops* own) const {
    return static_cast<const Ops*>(abi_->next(abi_, call, kind, name, own));
  }

 private:
  const instar_host* abi_ = nullptr;
};

}  // namespace instar::sdk
