// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/plugin.hpp"

#include "plugins/filters/xz/codec.hpp"
#include "plugins/filters/xz/packed.hpp"

INSTAR_PLUGIN("xz", "1.0.0", instar::sdk::codec<instar::xz::XzCodec>("xz"),
              instar::sdk::filter<instar::sdk::PackedNode<instar::xz::XzPacking>>("xz"))
