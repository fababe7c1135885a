// SPDX-License-Identifier: Apache-2.0
/** @file options.hpp Reading the options that the host checked against the manifest. */
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "../abi/types.h"

namespace instar::sdk {

/** View of instar_options. Does not own. */
class Options {
 public:
  Options() = default;
  explicit Options(instar_options abi) : abi_(abi) {}

  /** The option, or nullptr when it was not given and has no default. */
  const instar_option* find(std::string_view name) const {
    for (size_t i = 0; i < abi_.count; ++i)
      if (name == abi_.items[i].name) return &abi_.items[i];
    return nullptr;
  }
  bool has(std::string_view name) const { return find(name) != nullptr; }
  std::string text(std::string_view name, std::string_view fallback = {}) const {
    const auto* option = find(name);
    return std::string(option != nullptr ? std::string_view(option->text) : fallback);
  }
  bool flag(std::string_view name, bool fallback = false) const {
    return number(name, fallback ? 1 : 0) != 0;
  }
  /** A number or a size in bytes. */
  uint64_t number(std::string_view name, uint64_t fallback = 0) const {
    const auto* option = find(name);
    return option != nullptr ? option->number : fallback;
  }
  const instar_option* begin() const { return abi_.items; }
  const instar_option* end() const { return abi_.items + abi_.count; }
  const instar_options& abi() const { return abi_; }

 private:
  instar_options abi_{nullptr, 0};
};

}  // namespace instar::sdk
