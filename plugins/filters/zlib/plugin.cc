// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/plugin.hpp"

#include "plugins/filters/zlib/codec.hpp"
#include "plugins/filters/zlib/packed.hpp"

INSTAR_PLUGIN("zlib", "1.0.0", instar::sdk::codec<instar::zlib::ZlibCodec>("zlib"),
              instar::sdk::filter<instar::sdk::PackedNode<instar::zlib::GzipPacking>>("gzip"))
