// SPDX-License-Identifier: Apache-2.0
/** @file creation_plan.hpp What the creation of the target would do, learned before anything is touched. */
#pragma once

#include <optional>
#include <string>

#include "plugins/commands/convert/arguments.hpp"

namespace instar::convert {

struct CreationPlan {
  uint32_t abilities = 0;
  std::optional<std::string> backing, backing_format;
  bool preallocation = false, encryption = false, data_file = false;
  std::string key_secrets;  ///< key=value,… : what opens the new image
};

/** All that can be told to be wrong without touching the target, in QEMU's order and words. With
 * -n nothing is created, but what -B says is looked at. */
Result<CreationPlan> plan_creation(const CommandContext& context, const Arguments& arguments);

}  // namespace instar::convert
