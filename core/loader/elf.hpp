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

/**
 * What must hold before the system's loader may touch a file: it is an ELF library for this
 * machine, and all of its segments lie inside it (loading a truncated one would end in SIGBUS).
 * Reads the headers only. The error is one line with the path.
 */
Status check_loadable(const std::string& path);

/** All of it. The error is one line with the path. */
Result<ElfInfo> read_elf(const std::string& path);

}  // namespace instar::loader
