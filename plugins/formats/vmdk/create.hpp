// SPDX-License-Identifier: Apache-2.0
/** @file create.hpp What a new image is to be, and how its file begins. */
#pragma once

#include <string>

#include "plugins/formats/vmdk/descriptor.hpp"
#include "plugins/formats/vmdk/format.hpp"
#include "sdk/cpp/host_file.hpp"
#include "sdk/cpp/options.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::vmdk {

/** The largest extent of a split image, in bytes. */
constexpr uint64_t kSplitBytes = 0x80000000;

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

sdk::Result<Subformat> read_subformat(const std::string& name);
sdk::Result<Plan> read_options(const sdk::Options& options, uint64_t size);
/** Of a hosted sparse extent, which does not say yet where its directories lie.
 * @param size bytes of the disk that it has */
SparseHeader new_header(const Plan& plan, uint64_t size);
/** The text of a descriptor that lies inside of an extent: it fits there. */
sdk::Result<std::string> descriptor_inside(const Plan& plan);
/** What the descriptor says of an extent. @param size bytes */
std::string extent_line(const Plan& plan, const std::string& name, uint64_t size);
/** Of an image that is not in one file: how the file of its extent `number`, from 1 on, is called. A
 * name beside that of the image. */
std::string extent_name(const Plan& plan, const std::string& image, uint64_t number);
/** Makes an extent, without its descriptor, of an empty file. @param size bytes of the disk */
sdk::Status make_extent(const sdk::Call& call, const Plan& plan, sdk::HostFile& file,
                        uint64_t size);

}  // namespace instar::vmdk
