// SPDX-License-Identifier: Apache-2.0
/** @file archive.hpp The members of a tar archive (POSIX ustar and pax, GNU, old). */
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sdk/cpp/bytes.hpp"
#include "sdk/cpp/node_ref.hpp"

namespace instar::tar {

constexpr uint64_t kBlock = 512;

/** A member's header block. Numbers are octal text, or base 256 where the first bit is set. */
struct Header {
  char name[100];
  char mode[8];
  char uid[8];
  char gid[8];
  char size[12];
  char mtime[12];
  char checksum[8];
  char type;
  char link[100];
  char magic[6];
  char version[2];
  char user[32];
  char group[32];
  char major[8];
  char minor[8];
  char prefix[155];  ///< GNU has other things here
  char pad[12];
};
static_assert(sizeof(Header) == kBlock);

/** A file of the archive. */
struct Member {
  std::string name;     ///< without "./" before it
  uint64_t offset = 0;  ///< of its content, bytes
  uint64_t size = 0;    ///< bytes
  bool plain = true;    ///< its bytes stand there as they are: not sparse, not a part of a file
};

/** All files, in their order. Everything lies inside of the archive, whose end was found. EINVAL for
 * what is no archive, EIO for one that is damaged or cut off. */
sdk::Result<std::vector<Member>> read_members(const sdk::Call& call, const sdk::NodeRef& file);

}  // namespace instar::tar
