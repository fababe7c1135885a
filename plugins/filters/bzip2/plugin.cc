// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/plugin.hpp"

#include "plugins/filters/bzip2/codec.hpp"
#include "plugins/filters/bzip2/packed.hpp"

INSTAR_PLUGIN("bzip2", "1.0.0", instar::sdk::codec<instar::bzip2::Bzip2Codec>("bzip2"),
              instar::sdk::filter<instar::sdk::PackedNode<instar::bzip2::Bzip2Packing>>("bzip2"))
