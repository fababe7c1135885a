// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/plugin.hpp"

#include "plugins/filters/zstd/codec.hpp"
#include "plugins/filters/zstd/packed.hpp"

INSTAR_PLUGIN("zstd", "1.0.0", instar::sdk::codec<instar::zstd::ZstdCodec>("zstd"),
              instar::sdk::filter<instar::sdk::PackedNode<instar::zstd::ZstdPacking>>("zstd"))
