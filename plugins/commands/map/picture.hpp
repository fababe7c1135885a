// SPDX-License-Identifier: Apache-2.0
/** @file picture.hpp What map finds, as a picture of a fixed size: SVG 1.1. */
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "sdk/abi/graph.h"

namespace instar::map {

/** A grid of cells, row by row; each stands for as many bytes as the others. Its size does not grow
 * with the image. */
class Picture {
 public:
  static constexpr size_t kColumns = 64;
  static constexpr size_t kRows = 32;
  static constexpr size_t kDepths = 6;  ///< the last one is that and all below

  /** What a run of bytes is. */
  enum Look : size_t { kAbsent, kZero, kData, kCompressed };
  static constexpr size_t kLooks = 4;

  /** @param title what the picture is of. Bytes [start, start + length), length > 0. */
  Picture(std::string title, uint64_t start, uint64_t length);

  /** Runs come in order. */
  void add(const instar_map_extent& extent);
  std::string svg() const;

 private:
  /** A kind of run: a look at a depth. */
  static constexpr size_t kKinds = kLooks * kDepths;
  struct Cell {
    std::array<uint64_t, kKinds> bytes{};
  };

  static size_t kind_of(const instar_map_extent& extent);
  /** What there is most of, data before zeroes before nothing. */
  static size_t look_of(const Cell& cell);
  void add_cells(std::string& out) const;
  void add_row(std::string& out, size_t row) const;
  void add_cell(std::string& out, size_t index, size_t count) const;
  void add_offsets(std::string& out) const;
  void add_legend(std::string& out) const;
  uint64_t bytes_of(size_t index) const;

  const std::string title_;
  const uint64_t start_;
  const uint64_t length_;
  const uint64_t cell_bytes_;
  std::vector<Cell> cells_;
  Cell total_;
};

}  // namespace instar::map
