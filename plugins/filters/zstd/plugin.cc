// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/plugin.hpp"

#include "plugins/filters/zstd/codec.hpp"

INSTAR_PLUGIN("zstd", "1.0.0", instar::sdk::codec<instar::zstd::ZstdCodec>("zstd"))
