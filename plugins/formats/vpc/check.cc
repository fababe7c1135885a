// SPDX-License-Identifier: Apache-2.0
// Each block has a place of its own, and both copies of the footer say the same.
#include <algorithm>
#include <cstring>

#include "plugins/formats/vpc/image.hpp"

namespace instar::vpc {

using sdk::Call;
using sdk::cat;
using sdk::fail;
using sdk::Status;

namespace {

/** Larger tables would need too much memory. */
constexpr uint32_t kMostBlocks = 1u << 24;

struct Place {
  uint64_t begin;  ///< in the file
  uint32_t block;
};

}  // namespace

/** By where they lie. That they end inside the file was found out when it was opened. */
Status Image::check_blocks(const Call& call, instar_check_result& result,
                           const instar_sink* messages) {
  const Header& header = table().header();
  std::vector<Place> places;
  for (uint32_t block = 0; block < header.dynamic.max_table_entries; ++block) {
    INSTAR_TRY(const uint32_t sector, table().entry(call, block));
    if (sector != kUnallocated) places.push_back({uint64_t{sector} * kSectorSize, block});
  }
  std::stable_sort(places.begin(), places.end(),
                   [](const Place& a, const Place& b) { return a.begin < b.begin; });
  result.allocated_clusters = static_cast<int64_t>(places.size());
  const uint64_t length = header.bitmap_size() + header.block_size();
  uint64_t end = header.table_end();
  const Place* before = nullptr;
  for (const Place& place : places) {
    if (place.begin < end) {
      ++result.corruptions;
      const std::string other =
          before != nullptr ? cat("block ", before->block) : "the block table";
      INSTAR_CHECK(
          sdk::send(messages, cat("ERROR: block ", place.block, " overlaps ", other, "\n")));
    }
    if (before != nullptr && place.block != before->block + 1) ++result.fragmented_clusters;
    end = std::max(end, place.begin + length);
    before = &place;
  }
  return {};
}

Status Image::check(const Call& call, uint32_t fix, instar_check_result& result,
                    const instar_sink* messages, const instar_progress*) {
  if (fix != 0) return fail(ENOTSUP, "This image format does not support checks");
  const std::lock_guard lock(mutex());
  const Header& header = table().header();
  if (header.fixed()) return {};
  if (header.dynamic.max_table_entries > kMostBlocks) return fail(ENOMEM, sdk::errno_text(ENOMEM));
  result.total_clusters = header.dynamic.max_table_entries;
  INSTAR_CHECK(check_blocks(call, result, messages));
  Footer last;
  const sdk::HostFile& file = table().file();
  INSTAR_CHECK(file.read(call, file.size() - sizeof last, &last, sizeof last));
  if (std::memcmp(&last, &header.footer, sizeof last) == 0) return {};
  ++result.corruptions;
  return sdk::send(messages,
                   std::string("ERROR: the footer and its copy at the beginning differ\n"));
}

}  // namespace instar::vpc
