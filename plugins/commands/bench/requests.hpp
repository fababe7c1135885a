// SPDX-License-Identifier: Apache-2.0
/** @file requests.hpp The requests of a benchmark, made by several threads at a time. */
#pragma once

#include <algorithm>
#include <cstdint>

#include "sdk/cpp/node_ref.hpp"

namespace instar::bench {

using namespace instar::sdk;

constexpr uint64_t kUsualDepth = 64;

/** Bytes, and numbers of requests. */
struct Workload {
  uint64_t image_size = 0;
  uint64_t count = 75000;
  uint64_t depth = kUsualDepth;  ///< requests at a time
  uint64_t buffer_size = 4096;
  uint64_t step = 4096;
  uint64_t offset = 0;          ///< of the first request
  uint64_t flush_interval = 0;  ///< a flush after so many writes; 0: none
  bool drain = true;            ///< flushes wait for the writes before them, and others for them
  bool write = false;
  uint8_t pattern = 0;

  /** Where the request behind one at `offset` begins: never so that it ends beyond the image. */
  uint64_t next(uint64_t offset) const {
    const uint64_t room = image_size - std::min(image_size, buffer_size);
    offset += step;
    return offset <= room ? offset : offset % (room + 1);
  }
};

/** Returns when all is done, or after the first error. Its code is the request's. */
Status send_requests(const Call& call, NodeRef node, const Workload& work);

}  // namespace instar::bench
