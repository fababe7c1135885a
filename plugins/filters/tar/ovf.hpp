// SPDX-License-Identifier: Apache-2.0
/** @file ovf.hpp What an OVF descriptor (DMTF DSP0243) says of the disks of a machine. */
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace instar::tar {

/** A file that a disk refers to. */
struct OvfDisk {
  std::string href;
  bool in_chunks = false;  ///< cut into several files
};

/** The disks' files, in their order, each once. Nothing for what is no descriptor: it is only looked
 * for the elements File and Disk. */
std::vector<OvfDisk> disks_of(std::string_view ovf);

}  // namespace instar::tar
