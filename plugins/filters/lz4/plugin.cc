// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/plugin.hpp"

#include "plugins/filters/lz4/codec.hpp"

INSTAR_PLUGIN("lz4", "1.0.0", instar::sdk::codec<instar::lz4::Lz4Codec>("lz4"))
