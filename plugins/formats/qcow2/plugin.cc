// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/plugin.hpp"

#include "plugins/formats/qcow2/image.hpp"

INSTAR_PLUGIN("qcow2", "1.0.0", instar::sdk::format<instar::qcow2::Image>("qcow2"))
