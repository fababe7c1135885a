// SPDX-License-Identifier: Apache-2.0
// Boost.JSON compiled once: everything else includes its headers only.
#include <boost/json/src.hpp>
