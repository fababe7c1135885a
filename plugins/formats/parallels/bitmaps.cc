// SPDX-License-Identifier: Apache-2.0
// Dirty bitmaps of an image that is read.
#include <algorithm>

#include "plugins/formats/parallels/image.hpp"

namespace instar::parallels {

using sdk::Call;
using sdk::fail;
using sdk::Result;
using sdk::Status;

namespace {

constexpr uint64_t kPiece = 64u << 10;

/** Dirty bits, joined to runs of bytes that end where the disk does. */
class Runs {
 public:
  Runs(const Bitmap& bitmap, uint64_t size, void* opaque, instar_bitmap_run_fn each)
      : granularity_(bitmap.granularity), size_(size), opaque_(opaque), each_(each) {}

  uint64_t bits_left() const { return sdk::div_up(size_, granularity_) - at_; }
  /** `count` bits that follow those before. */
  Status add(bool dirty, uint64_t count) {
    if (!dirty) INSTAR_CHECK(end());
    at_ += count;
    if (!dirty) begin_ = at_;
    return {};
  }
  Status end() {
    const uint64_t begin = begin_ * granularity_;
    const uint64_t end = std::min(at_ * granularity_, size_);
    begin_ = at_;
    if (begin >= end) return {};
    const int result = each_(opaque_, begin, end - begin);
    return result < 0 ? fail(-result, sdk::errno_text(-result)) : Status{};
  }

 private:
  const uint64_t granularity_;
  const uint64_t size_;
  void* const opaque_;
  const instar_bitmap_run_fn each_;
  uint64_t begin_ = 0;  ///< bit that the run begins with
  uint64_t at_ = 0;     ///< bit behind those that are known
};

/** `count` bits from byte `at` of the file on, the lowest of a byte first. */
Status add_bits(const Call& call, const sdk::HostFile& file, uint64_t at, uint64_t count,
                Runs& runs) {
  std::vector<uint8_t> bytes;
  for (uint64_t left = count; left != 0; at += bytes.size()) {
    if (call.cancelled()) return fail(ECANCELED, sdk::errno_text(ECANCELED));
    bytes.resize(std::min(sdk::div_up(left, uint64_t{8}), kPiece));
    INSTAR_CHECK(file.read(call, at, bytes.data(), bytes.size()));
    for (const uint8_t byte : bytes) {
      const uint64_t bits = std::min<uint64_t>(left, 8);
      left -= bits;
      if (byte == 0 || byte == 0xff) {
        INSTAR_CHECK(runs.add(byte != 0, bits));
        continue;
      }
      for (uint64_t i = 0; i < bits; ++i)
        INSTAR_CHECK(runs.add((byte >> i & 1) != 0, 1));
    }
  }
  return {};
}

}  // namespace

/** The genuine tool copies none: for it they are not persistent. */
Result<std::string> Image::bitmap_list() const {
  sdk::JsonWriter json;
  json.begin_array();
  if (!strict_)
    for (const Bitmap& bitmap : extension_.bitmaps) {
      json.begin_object().key("flags").begin_array().value("auto").end_array();
      json.field("name", bitmap.name).field("granularity", bitmap.granularity).end_object();
    }
  return json.end_array().text();
}

Status Image::bitmap_walk(const Call& call, std::string_view name, void* opaque,
                          instar_bitmap_run_fn each) const {
  const auto& bitmaps = extension_.bitmaps;
  const auto bitmap = std::find_if(bitmaps.begin(), bitmaps.end(),
                                   [&](const Bitmap& other) { return other.name == name; });
  if (bitmap == bitmaps.end()) return fail(ENOENT, "Dirty bitmap '", name, "' not found");
  Runs runs(*bitmap, size(), opaque, each);
  const sdk::HostFile& file = table().file();
  const uint64_t cluster_bits = table().header().cluster_bytes() * 8;
  for (uint64_t i = 0; i < bitmap->table_entries; ++i) {
    Le<uint64_t> entry;
    INSTAR_CHECK(file.read(call, bitmap->table + i * sizeof entry, &entry, sizeof entry));
    const uint64_t bits = std::min(cluster_bits, runs.bits_left());
    if (entry == kL1Zeroes || entry == kL1Ones) {
      INSTAR_CHECK(runs.add(entry == kL1Ones, bits));
      continue;
    }
    if (entry > INT64_MAX / kSector) return fail(EIO, sdk::errno_text(EIO));
    INSTAR_CHECK(add_bits(call, file, entry * kSector, bits, runs));
  }
  return runs.end();
}

}  // namespace instar::parallels
