// SPDX-License-Identifier: Apache-2.0
/** @file dd.hpp Proxmox's dd: besides what dd does, it reads standard input and writes standard
 * output, fills an image that is there already, and takes sizes of its own for both sides. */
#pragma once

#include <optional>
#include <string>

#include "sdk/cpp/image_arguments.hpp"

namespace instar::proxmox {

/** Sizes are in bytes, count and skip in blocks. */
struct DdArguments {
  std::optional<std::string> format, source, target, snapshot, target_format;
  std::optional<uint64_t> count, input_size, output_size;
  uint64_t block_size = 512;
  uint64_t skip = 0;
  bool image_opts = false, force_share = false, no_create = false;

  /** Whether the dd that is there without Proxmox's can do it. */
  bool plain() const {
    return source && target && !snapshot && !no_create && !input_size && !output_size;
  }
  /** NAME=VALUE; false: it is wrong, and that has been reported. */
  bool take(sdk::CommandContext& context, const std::string& operand);
};

/** Copies, and reports what went wrong. Gives the exit status. */
int run_dd(sdk::CommandContext& context, const DdArguments& arguments);

}  // namespace instar::proxmox
