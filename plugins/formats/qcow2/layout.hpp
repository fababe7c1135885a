// SPDX-License-Identifier: Apache-2.0
/** @file layout.hpp Where a new image has its parts, and the parts that are the same in all of them. */
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "plugins/formats/qcow2/geometry.hpp"
#include "plugins/formats/qcow2/refcounts.hpp"

namespace instar::qcow2 {

/** A new image from the front: header, refcount table, refcount blocks, L1 table, the encryption's
 * header, L2 tables, guest clusters. Counted in clusters. */
struct Layout {
  uint64_t table = 1;
  uint64_t blocks = 1;
  uint64_t l1 = 0;
  uint64_t crypto = 0;
  uint64_t l2 = 0;
  uint64_t data = 0;

  uint64_t table_at() const { return 1; }
  uint64_t blocks_at() const { return table_at() + table; }
  uint64_t l1_at() const { return blocks_at() + blocks; }
  uint64_t crypto_at() const { return l1_at() + l1; }
  uint64_t l2_at() const { return crypto_at() + crypto; }
  uint64_t data_at() const { return l2_at() + l2; }
  uint64_t end() const { return data_at() + data; }

  /** Makes room for the counts of all clusters, once the other parts are known. */
  Status fit_refcounts(const Geometry& geometry);
  /** Tells the header. */
  void place(Header& header, const Geometry& geometry) const;
};

/** Entries that an L1 table for the header's size has. */
Result<uint32_t> count_l1_entries(const Header& header, const Geometry& geometry);

/** Makes `count` units of `unit_size` bytes for `offset` and what follows, many at a time: fill(buffer,
 * first, n) makes n of them, put(offset, bytes, length) stores them. */
template <class Put, class Fill>
Status write_units(Put put, uint64_t offset, uint64_t count, size_t unit_size, Fill fill) {
  constexpr uint64_t kBatchBytes = 1u << 20;
  std::vector<uint8_t> buffer(std::min<uint64_t>(count * unit_size, kBatchBytes));
  const uint64_t batch = std::max<uint64_t>(buffer.size() / std::max<size_t>(unit_size, 1), 1);
  for (uint64_t first = 0; first < count; first += batch) {
    const uint64_t n = std::min(batch, count - first);
    fill(buffer.data(), first, n);
    INSTAR_CHECK(put(offset + first * unit_size, buffer.data(), n * unit_size));
  }
  return {};
}

/** The refcount table and its blocks, with a count for each cluster up to the end.
 * @param count_of of a cluster; asked for each once, in order */
template <class Put, class CountOf>
Status write_refcounts_of(const Layout& layout, const Geometry& geometry, Put put,
                          CountOf count_of) {
  const auto offset = [&](uint64_t cluster) { return cluster << geometry.cluster_bits; };
  const uint64_t first_block = offset(layout.blocks_at());
  const auto table_entry = [&](uint8_t* to, uint64_t first, uint64_t n) {
    for (uint64_t i = 0; i < n; ++i)
      store_be(to + i * 8,
               first + i < layout.blocks ? first_block + offset(first + i) : uint64_t{0});
  };
  INSTAR_CHECK(
      write_units(put, offset(layout.table_at()), offset(layout.table) / 8, 8, table_entry));
  // Units are bytes' worth of whole counts.
  const uint32_t order = geometry.refcount_order;
  const size_t unit = order > 3 ? size_t{1} << (order - 3) : 1;
  const uint64_t per_unit = order > 3 ? 1 : uint64_t{8} >> order;
  const auto counts = [&](uint8_t* to, uint64_t first, uint64_t n) {
    std::memset(to, 0, n * unit);
    const uint64_t begin = first * per_unit;
    const uint64_t end = std::min(begin + n * per_unit, layout.end());
    for (uint64_t cluster = begin; cluster < end; ++cluster)
      Refcounts::set_entry(to, cluster - begin, order, count_of(cluster));
  };
  return write_units(put, first_block, offset(layout.blocks) / unit, unit, counts);
}

/** The same where nothing is shared. */
template <class Put>
Status write_refcounts_of(const Layout& layout, const Geometry& geometry, Put put) {
  return write_refcounts_of(layout, geometry, put, [](uint64_t) { return uint64_t{1}; });
}

}  // namespace instar::qcow2
