// SPDX-License-Identifier: Apache-2.0
/** @file dial.hpp Sockets to NBD servers, made by libnbd where it can. */
#pragma once

#include <libnbd.h>

#include "plugins/protocols/nbd/address.hpp"
#include "plugins/protocols/nbd/connection.hpp"
#include "sdk/cpp/call.hpp"

namespace instar::nbd {

/** Begins to connect. Negative: nbd_get_error() says why. */
sdk::Result<int> dial(const sdk::Call& call, nbd_handle* handle, const Address& address,
                      Clock::time_point deadline);

/** A host that went away without a word is noticed. */
void keep_alive(nbd_handle* handle, const Address& address);

}  // namespace instar::nbd
