// SPDX-License-Identifier: Apache-2.0
/** @file adc.hpp Apple Data Compression, of the oldest images: literals, and copies of what came before. */
#pragma once

#include "sdk/cpp/bytes.hpp"
#include "sdk/cpp/result.hpp"

namespace instar::dmg {

/** Bytes written; ends when `out` is full or `in` is at its end. EIO for copies of what is not there. */
sdk::Result<int64_t> unpack_adc(sdk::ConstBytes in, sdk::Bytes out);

}  // namespace instar::dmg
