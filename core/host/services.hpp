// SPDX-License-Identifier: Apache-2.0
/** @file services.hpp The tables of the host's services (sdk/abi). Each is made in a file of its
 * own. */
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/base/result.hpp"
#include "sdk/abi/cli.h"
#include "sdk/abi/engine.h"
#include "sdk/abi/graph.h"
#include "sdk/abi/objects.h"
#include "sdk/abi/output.h"

namespace instar::host {

const instar_graph_ops* graph_service();
const instar_engine_ops* engine_service();
const instar_cli_ops* cli_service();
const instar_objects_ops* objects_service();
const instar_output_ops* output_service();

/** Decrypts a secret's data by the encryption plugin's scheme "secret" (core/objects/secret.hpp). */
Status decrypt_secret(const std::string& key_id, const std::string& iv_hex,
                      std::span<uint8_t> data);

}  // namespace instar::host
