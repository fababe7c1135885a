// SPDX-License-Identifier: Apache-2.0
/** @file create.hpp What a new image is to be, and how its file begins. */
#pragma once

#include <string>

#include "plugins/formats/vmdk/descriptor.hpp"
#include "plugins/formats/vmdk/format.hpp"
#include "sdk/cpp/options.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::vmdk {

struct Subformat {
  std::string name;
  bool flat = false;
  bool split = false;
  bool compressed = false;
};

struct Plan {
  Subformat subformat;
  uint64_t size = 0;  ///< bytes
  bool zeroed_grain = false;
  instar_preallocation preallocation = INSTAR_PREALLOCATION_OFF;
  NewDescriptor descriptor;
};

sdk::Result<Plan> read_options(const sdk::Options& options, uint64_t size);
/** Of a hosted sparse extent, which does not say yet where its directories lie.
 * @param size bytes of the disk that it has */
SparseHeader new_header(const Plan& plan, uint64_t size);
/** The text of a descriptor that lies inside of an extent: it fits there. */
sdk::Result<std::string> descriptor_inside(const Plan& plan);
/** What the descriptor says of an extent. @param size bytes */
std::string extent_line(const Plan& plan, const std::string& name, uint64_t size);

}  // namespace instar::vmdk
