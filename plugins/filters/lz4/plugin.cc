// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/plugin.hpp"

#include "plugins/filters/lz4/codec.hpp"
#include "plugins/filters/lz4/packed.hpp"

INSTAR_PLUGIN("lz4", "1.0.0", instar::sdk::codec<instar::lz4::Lz4Codec>("lz4"),
              instar::sdk::filter<instar::sdk::PackedNode<instar::lz4::Lz4Packing>>("lz4"))
