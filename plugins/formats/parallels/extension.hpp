// SPDX-License-Identifier: Apache-2.0
/** @file extension.hpp The format extension: a cluster of features, of which dirty bitmaps are known. */
#pragma once

#include "plugins/formats/parallels/format.hpp"
#include "sdk/cpp/host.hpp"
#include "sdk/cpp/host_file.hpp"

namespace instar::parallels {

/** Checks it. @return the sector behind it and its bitmaps. */
sdk::Result<uint64_t> check_extension(const sdk::Host& host, const sdk::Call& call,
                                      const sdk::HostFile& file, const Header& header);

}  // namespace instar::parallels
