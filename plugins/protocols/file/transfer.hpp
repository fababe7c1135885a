// SPDX-License-Identifier: Apache-2.0
/** @file transfer.hpp Positioned I/O that goes on until all bytes are moved. */
#pragma once

#include <cstdint>

#include "sdk/cpp/bytes.hpp"
#include "sdk/cpp/result.hpp"

namespace instar::file {

/** Reads all pieces; bytes behind the end of the file are zeroes. */
sdk::Status read_all(int fd, uint64_t offset, sdk::IoVec to);

/** Writes all pieces. @param durable they are on stable storage afterwards. */
sdk::Status write_all(int fd, uint64_t offset, sdk::IoVec from, bool durable);

/** The error of a system call, with the errno's text. */
sdk::Error system_error(int code);

}  // namespace instar::file
