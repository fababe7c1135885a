// SPDX-License-Identifier: Apache-2.0
/** @file name.hpp What a plain name of an RBD image says: "rbd:POOL/[NS/]IMAGE[@SNAP][:OPTION=VALUE...]". */
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sdk/cpp/result.hpp"

namespace instar::rbd {

using ConfigValues = std::vector<std::pair<std::string, std::string>>;

struct Name {
  std::string pool, space, image;  ///< space: the namespace
  std::optional<std::string> snapshot, conf, user;
  ConfigValues config;  ///< of librados, in their order
};

/** "\" takes the meaning from the character after it. Errors in QEMU's words. */
sdk::Result<Name> parse_name(std::string_view filename);

/** The option that holds Name::config, as a JSON array of names and values in turn. */
inline constexpr const char* kConfigOption = "=keyvalue-pairs";

/** The options that stand for a name, as a flat JSON object. */
std::string options_of(const Name& name);

/** What stands in kConfigOption. */
sdk::Result<ConfigValues> read_config(std::string_view json);

}  // namespace instar::rbd
