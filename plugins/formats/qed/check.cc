// SPDX-License-Identifier: Apache-2.0
// Every cluster is referred to once, and every reference is to a cluster.
#include "plugins/formats/qed/image.hpp"

namespace instar::qed {

using sdk::Call;
using sdk::fail;
using sdk::Status;

namespace {
/** A bit for each: more would need too much memory. */
constexpr uint64_t kMostClusters = uint64_t{1} << 30;
}  // namespace

/** Marks clusters as used. False: some were before. */
bool Image::use(std::vector<bool>& used, uint64_t offset, uint64_t clusters,
                instar_check_result& result) const {
  const uint64_t first = offset / table().header().cluster_size;
  int64_t twice = 0;
  for (uint64_t i = first; i < first + clusters && i < used.size(); ++i) {
    if (used[i]) ++twice;
    used[i] = true;
  }
  result.corruptions += twice;
  return twice == 0;
}

Status Image::check_l2(const Call& call, bool fix, instar_check_result& result,
                       std::vector<bool>& used, uint64_t at) {
  ClusterTable& clusters = table();
  const uint64_t cluster = clusters.header().cluster_size;
  uint64_t last = 0;
  for (uint64_t i = 0; i < clusters.header().table_entries(); ++i) {
    INSTAR_TRY(const uint64_t offset, clusters.l2_entry(call, at, i));
    if (offset == 0 || offset == kZeroCluster) continue;
    ++result.allocated_clusters;
    if (last != 0 && last + cluster != offset) ++result.fragmented_clusters;
    last = offset;
    if (clusters.valid_cluster(offset)) {
      use(used, offset, 1, result);
    } else if (fix) {
      INSTAR_CHECK(clusters.set_l2_entry(call, at, i, 0));
      ++result.corruptions_fixed;
    } else {
      ++result.corruptions;
    }
  }
  return {};
}

Status Image::check_l1(const Call& call, bool fix, instar_check_result& result,
                       std::vector<bool>& used) {
  ClusterTable& clusters = table();
  const Header& header = clusters.header();
  use(used, header.l1_table_offset, header.table_size, result);
  for (uint64_t i = 0; i < header.table_entries(); ++i) {
    INSTAR_TRY(const uint64_t offset, clusters.l1_entry(call, i));
    if (offset == 0) continue;
    if (!clusters.valid_table(offset)) {
      if (!fix) {
        ++result.corruptions;
        continue;
      }
      INSTAR_CHECK(clusters.clear_l1_entry(call, i));
      ++result.corruptions_fixed;
      continue;
    }
    if (use(used, offset, header.table_size, result))
      INSTAR_CHECK(check_l2(call, fix, result, used, offset));
  }
  return {};
}

Status Image::check(const Call& call, uint32_t fix, instar_check_result& result, const instar_sink*,
                    const instar_progress*) {
  const std::lock_guard lock(mutex());
  Header& header = table().header();
  const uint64_t count = table().file().size() / header.cluster_size;
  if (count > kMostClusters) return fail(ENOMEM, sdk::errno_text(ENOMEM));
  std::vector<bool> used(count);
  result.total_clusters = static_cast<int64_t>(sdk::div_up(header.image_size, header.cluster_size));
  INSTAR_CHECK(check_l1(call, fix != 0, result, used));
  for (uint64_t i = header.header_size; i < count; ++i)
    if (!used[i]) ++result.leaks;
  if (fix == 0) return {};
  if (table().dirty()) INSTAR_CHECK(write_tables(call));
  const bool sound = result.corruptions == 0 && result.check_errors == 0;
  if (!sound || (header.features & kFeatureNeedCheck) == 0) return {};
  header.features = header.features & ~kFeatureNeedCheck;
  return table().write_header(call);
}

}  // namespace instar::qed
