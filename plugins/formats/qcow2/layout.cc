// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/layout.hpp"

namespace instar::qcow2 {

namespace {

Error too_large() {
  return fail(EFBIG,
              "The image size is too large for file format 'qcow2' (try using a larger cluster "
              "size)");
}

}  // namespace

Status Layout::fit_refcounts(const Geometry& geometry) {
  for (;;) {
    const uint64_t needed_blocks = sdk::div_up(end(), geometry.refblock_entries());
    const uint64_t needed_table = geometry.clusters(needed_blocks * 8);
    if (needed_blocks <= blocks && needed_table <= table) break;
    blocks = std::max(needed_blocks, blocks);
    table = std::max(needed_table, table);
  }
  if (table * geometry.cluster_size > kMaxRefcountTableBytes) return too_large();
  return {};
}

void Layout::place(Header& header, const Geometry& geometry) const {
  header.l1_offset = l1 != 0 ? l1_at() << geometry.cluster_bits : 0;
  header.refcount_table_offset = table_at() << geometry.cluster_bits;
  header.refcount_table_clusters = static_cast<uint32_t>(table);
}

Result<uint32_t> count_l1_entries(const Header& header, const Geometry& geometry) {
  const uint64_t entries = sdk::div_up(header.size, uint64_t{1} << geometry.l1_shift);
  if (entries > kMaxL1Bytes / 8) return too_large();
  return static_cast<uint32_t>(entries);
}

}  // namespace instar::qcow2
