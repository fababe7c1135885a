// SPDX-License-Identifier: Apache-2.0
/** @file opening.hpp From a name to a descriptor: what may be opened, how, and with which words it
 * fails. */
#pragma once

#include <cstdint>
#include <string>

#include "plugins/protocols/file/descriptor.hpp"
#include "sdk/cpp/result.hpp"

namespace instar::file {

/** The drivers of this plugin. */
enum class Kind { kFile, kHostDevice, kHostCdrom };

const char* kind_name(Kind kind);

/** Without the driver's own scheme ("file:"). */
std::string strip_scheme(Kind kind, const std::string& filename);

/** Buffers and ranges of a descriptor's requests, bytes. */
struct Alignment {
  uint32_t request = 1;
  uint32_t memory = 1;
};

/** An open file or device. */
struct OpenFile {
  Descriptor fd;
  bool regular = false;
  bool block_device = false;
  bool direct = false;
};

/**
 * Opens `filename` for a driver; never waits for a fifo. @param open_flags enum instar_open_flags.
 * The driver's message when the file is not of its kind.
 */
sdk::Result<OpenFile> open_file(Kind kind, const std::string& filename, uint32_t open_flags);

/** The alignments that the kernel asks for: 1 without O_DIRECT. Finds them by trying where it does
 * not say. */
sdk::Result<Alignment> find_alignment(const OpenFile& file);

/** Length in bytes as the kernel has it. */
sdk::Result<uint64_t> length_of(int fd);

}  // namespace instar::file
