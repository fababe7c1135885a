// SPDX-License-Identifier: Apache-2.0
/** @file descriptor.hpp The text of a VMDK image: its identity, its parent and its extents. */
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/cpp/result.hpp"

namespace instar::vmdk {

/** A line such as: RW 4192256 SPARSE "disk-s001.vmdk" */
struct ExtentLine {
  int64_t sectors = 0;
  std::string type;
  std::string file;
  int64_t flat_offset = 0;  ///< sectors; FLAT
  size_t begin = 0;         ///< where the line lies in the text, without the newline
  size_t end = 0;
};

/** What is in quotes behind `name`, a '=' and a quote; nullopt if it isn't there. */
std::optional<std::string> find_quoted(std::string_view text, std::string_view name);
/** The hexadecimal number behind "CID=" or "parentCID=". */
std::optional<uint32_t> find_cid(std::string_view text, std::string_view name);
/** The same text with another CID, which has as many digits: of a long one nothing moves, and the CID's
 * sector is all that changes. */
std::string replace_cid(std::string_view text, uint32_t cid);
/** The same text of an image with another parent; none if `name` is empty. */
std::string replace_parent(std::string_view text, std::string_view name, uint32_t cid);
/** Lines that are no extents are passed over, as QEMU does. */
sdk::Result<std::vector<ExtentLine>> parse_extents(std::string_view text);

/** Another size of an image. */
struct ExtentChange {
  size_t kept = 0;       ///< so many extents stay, the first ones
  uint64_t sectors = 0;  ///< of the last of those, then
  std::string added;     ///< whole lines of further extents
  uint64_t total = 0;    ///< sectors of the disk
};
/** The same text with other extents, and the geometry of the other size. EINVAL where the lines are
 * such that it would be read as something else. */
sdk::Result<std::string> replace_extents(std::string_view text, const ExtentChange& change);

struct NewDescriptor {
  uint32_t cid = 0;
  uint32_t parent_cid = UINT32_MAX;
  std::string create_type;
  std::optional<std::string> parent_file;
  std::string extent_lines;
  std::string hardware_version;
  std::string adapter_type;
  std::string tools_version;
  uint64_t size = 0;  ///< bytes
};
std::string to_text(const NewDescriptor& descriptor);

}  // namespace instar::vmdk
