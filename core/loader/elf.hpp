// SPDX-License-Identifier: Apache-2.0
/** @file elf.hpp What an ELF file says about itself, read without loading it. Every offset is
 * checked. */
#pragma once

#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace instar::loader {

struct ElfInfo {
  std::string architecture;          ///< as `uname -m` names it, or "machine N"
  std::string build_id;              ///< hex; empty: none
  std::vector<std::string> exports;  ///< defined dynamic symbols, sorted
  std::vector<std::string> needed;   ///< libraries that it links to
};

/** Only the header: the machine that the file is for. */
Result<std::string> elf_architecture(const std::string& path);

/** All of it. The error is one line with the path. */
Result<ElfInfo> read_elf(const std::string& path);

}  // namespace instar::loader
