// SPDX-License-Identifier: Apache-2.0
// Tables and plain clusters have their places for themselves; packed clusters may lie anywhere else.
#include "plugins/formats/qcow/image.hpp"

namespace instar::qcow {

using sdk::Block;
using sdk::Call;
using sdk::cat;
using sdk::fail;
using sdk::Status;

namespace {
/** Two bits for each: more would need too much memory. */
constexpr uint64_t kMostUnits = uint64_t{1} << 29;
}  // namespace

/** One check while it goes on: what of the file is in use, in units of a cluster. */
class Image::Check {
 public:
  Check(uint64_t file_size, uint64_t unit, instar_check_result& result, const instar_sink* messages)
      : file_size_(file_size),
        unit_(unit),
        shared_(sdk::div_up(file_size, unit)),
        owned_(shared_.size()),
        result_(result),
        messages_(messages) {}

  Status corrupt(const std::string& what) {
    ++result_.corruptions;
    return sdk::send(messages_, cat("ERROR: ", what, "\n"));
  }
  /** Bytes [begin, begin + length) of something. @param alone nothing else may be in the same unit */
  Status use(uint64_t begin, uint64_t length, bool alone, const std::string& what) {
    if (begin >= file_size_) return corrupt(cat(what, " lies behind the end of the file"));
    const uint64_t end = std::min(file_size_, begin + std::min(length, file_size_));
    bool free = true;
    for (uint64_t i = begin / unit_; i < sdk::div_up(end, unit_); ++i) {
      free = free && !owned_[i] && !(alone && shared_[i]);
      (alone ? owned_ : shared_)[i] = true;
    }
    return free ? Status{} : corrupt(cat(what, " overlaps something else"));
  }
  instar_check_result& result() { return result_; }

 private:
  const uint64_t file_size_;
  const uint64_t unit_;
  std::vector<bool> shared_;
  std::vector<bool> owned_;
  instar_check_result& result_;
  const instar_sink* messages_;
};

Status Image::check_table(const Call& call, Check& check, uint64_t first) {
  const Header& header = table().header();
  uint64_t after = 0;  // where the next plain cluster should be
  const uint64_t end =
      std::min(first + header.l2_entries(), sdk::div_up(size(), header.cluster_size()));
  for (uint64_t cluster = first; cluster < end; ++cluster) {
    INSTAR_TRY(const Block block, table().lookup(call, cluster));
    const std::string what = cat("cluster ", cluster);
    switch (block.kind) {
      case Block::Kind::kPacked:
        ++check.result().compressed_clusters;
        INSTAR_CHECK(check.use(block.offset, block.length, false, what));
        break;
      case Block::Kind::kData:
        if (after != 0 && block.offset != after) ++check.result().fragmented_clusters;
        after = block.offset + header.cluster_size();
        INSTAR_CHECK(check.use(block.offset, header.cluster_size(), true, what));
        break;
      case Block::Kind::kBroken:
        INSTAR_CHECK(check.corrupt(cat(what, " does not begin at a sector")));
        break;
      default:
        continue;
    }
    ++check.result().allocated_clusters;
  }
  return {};
}

Status Image::check(const Call& call, uint32_t fix, instar_check_result& result,
                    const instar_sink* messages, const instar_progress*) {
  if (fix != 0) return fail(ENOTSUP, "This image format does not support checks");
  const std::lock_guard lock(mutex());
  const Header& header = table().header();
  const uint64_t file_size = table().file().size();
  if (file_size / header.cluster_size() > kMostUnits) return fail(ENOMEM, sdk::errno_text(ENOMEM));
  result.total_clusters = static_cast<int64_t>(sdk::div_up(size(), header.cluster_size()));
  Check check(file_size, header.cluster_size(), result, messages);
  INSTAR_CHECK(check.use(0, sizeof header, false, "the header"));
  INSTAR_CHECK(check.use(header.l1_table_offset, header.l1_entries() * sizeof(uint64_t), false,
                         "the L1 table"));
  for (uint64_t i = 0; i < header.l1_entries(); ++i) {
    if (call.cancelled()) return fail(ECANCELED, sdk::errno_text(ECANCELED));
    const uint64_t first = i * header.l2_entries();
    if (table().beyond_file(first)) break;
    INSTAR_TRY(const uint64_t offset, table().l2_table(call, first));
    if (offset == 0) continue;
    const int64_t before = result.corruptions;
    INSTAR_CHECK(check.use(offset, header.l2_bytes(), true, cat("L2 table ", i)));
    if (result.corruptions == before) INSTAR_CHECK(check_table(call, check, first));
  }
  return {};
}

}  // namespace instar::qcow
