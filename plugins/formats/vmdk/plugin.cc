// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/plugin.hpp"

#include "plugins/formats/vmdk/image.hpp"

INSTAR_PLUGIN("vmdk", "1.0.0", instar::sdk::format<instar::vmdk::Image>("vmdk"))
