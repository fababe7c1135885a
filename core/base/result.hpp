// SPDX-License-Identifier: Apache-2.0
/** @file result.hpp The SDK's Result, Error and helpers under the names that the core uses. */
#pragma once

#include "sdk/cpp/result.hpp"

namespace instar {

using sdk::cat;
using sdk::errno_text;
using sdk::Error;
using sdk::fail;
using sdk::Result;
using sdk::Status;

}  // namespace instar
