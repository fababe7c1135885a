// SPDX-License-Identifier: Apache-2.0
/** @file map_printer.hpp Prints the runs of map as they come, millions a second. */
#pragma once

#include <memory>
#include <string_view>

#include "core/base/result.hpp"
#include "core/output/sink.hpp"
#include "sdk/abi/graph.h"

namespace instar::output {

enum class MapStyle { kHuman, kJson };

/**
 * begin, add for each run (already joined, in order), end. What add gave reaches the sink at the
 * latest with end or the destructor.
 */
class MapPrinter {
 public:
  MapPrinter(Sink& sink, MapStyle style);
  ~MapPrinter();

  void begin();

  /**
   * A human table refuses data that has no plain place: "File contains external, encrypted or
   * compressed clusters." (ENOTSUP).
   */
  Status add(const instar_map_extent& run);

  void end();

 private:
  Status add_row(const instar_map_extent& run);
  void add_element(const instar_map_extent& run);
  void reserve(size_t bytes);
  void flush();
  void put(std::string_view text);
  void put_decimal(uint64_t value);
  void put_hex_column(uint64_t value);

  Sink& sink_;
  MapStyle style_;
  bool first_ = true;
  std::unique_ptr<char[]> buffer_;
  char* at_;
};

}  // namespace instar::output
