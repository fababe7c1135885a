// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/parallels/extension.hpp"

#include <bit>
#include <set>
#include <vector>

#include "sdk/cpp/digest.hpp"

namespace instar::parallels {

using sdk::Call;
using sdk::fail;
using sdk::Result;
using sdk::Status;

namespace {

constexpr size_t kPiece = 64u << 10;
constexpr size_t kMostBitmaps = 65535;

class Reader {
 public:
  Reader(const sdk::HostFile& file, const Header& header)
      : file_(file),
        header_(header),
        begin_(header.ext_off * kSector),
        end_(begin_ + header.cluster_bytes()) {
    found_.end = header.ext_off + header.tracks;
  }

  Status check_sum(const sdk::Host& host, const Call& call) const {
    ExtensionHeader start;
    INSTAR_CHECK(file_.read(call, begin_, &start, sizeof start));
    if (start.magic != kExtensionMagic)
      return fail(EINVAL, "Wrong parallels Format Extension magic: ", sdk::hex(start.magic),
                  ", expected: ", sdk::hex(kExtensionMagic));
    INSTAR_TRY(const auto md5, sdk::ContentDigest::open(host, call, "md5"));
    std::vector<uint8_t> piece(kPiece);
    for (uint64_t at = begin_ + sizeof start; at < end_; at += piece.size()) {
      if (call.cancelled()) return fail(ECANCELED, sdk::errno_text(ECANCELED));
      piece.resize(std::min<uint64_t>(kPiece, end_ - at));
      INSTAR_CHECK(file_.read(call, at, piece.data(), piece.size()));
      md5->add(piece);
    }
    std::string wanted;
    for (const uint8_t byte : start.md5)
      wanted += sdk::hex_digits(byte, 2);
    if (md5->finish() != wanted)
      return fail(EINVAL,
                  "Wrong checksum in Format Extension header. Format extension is corrupted.");
    return {};
  }

  Status check_features(const Call& call) {
    for (uint64_t at = begin_ + sizeof(ExtensionHeader); at + sizeof(Feature) <= end_;) {
      Feature feature;
      INSTAR_CHECK(file_.read(call, at, &feature, sizeof feature));
      if (feature.flags != 0) return fail(EINVAL, "Flags for extension feature are unsupported");
      if (feature.magic == kFeatureEnd) return {};
      at += sizeof feature;
      if (feature.data_size > end_ - at)
        return fail(EINVAL, "Feature data_size exceedes Format Extension cluster");
      if (feature.magic != kFeatureBitmap)
        return fail(ENOTSUP, "Unknown feature: ", sdk::hex(feature.magic));
      INSTAR_CHECK(check_bitmap(call, at, feature.data_size));
      at += sdk::round_up(feature.data_size, sizeof(uint64_t));
    }
    return {};
  }
  Extension found() && { return std::move(found_); }

 private:
  Status check_bitmap(const Call& call, uint64_t at, uint64_t size) {
    BitmapFeature bitmap;
    if (size < sizeof bitmap)
      return fail(EINVAL, "Too small Bitmap Feature area in Parallels Format Extension: ", size,
                  " bytes, expected at least ", sizeof bitmap, " bytes");
    INSTAR_CHECK(file_.read(call, at, &bitmap, sizeof bitmap));
    const uint64_t sectors = header_.disk_sectors();
    if (bitmap.sectors != sectors)
      return fail(EINVAL, "Bitmap size (in sectors) ", uint64_t{bitmap.sectors},
                  " differs from disk size in sectors ", sectors);
    if (bitmap.l1_size > (size - sizeof bitmap) / sizeof(uint64_t))
      return fail(EINVAL, "Bitmaps feature corrupted: l1 table exceeds extension data_size");
    if (!std::has_single_bit(uint32_t{bitmap.granularity}))
      return fail(EINVAL, "Bitmap granularity (in sectors) ", uint32_t{bitmap.granularity},
                  " is not a power of two");
    const uint64_t bits = sdk::div_up(sectors, bitmap.granularity);
    const uint64_t expected = sdk::div_up(bits, header_.cluster_bytes() * 8);
    if (bitmap.l1_size != expected)
      return fail(EINVAL, "Bitmap table size ", uint32_t{bitmap.l1_size},
                  " does not correspond to bitmap size and cluster size. Expected ", expected);
    if (!seen_.insert(bitmap.id).second)
      return fail(EINVAL, "Bitmap already exists: ", sdk::uuid_text(bitmap.id, false));
    if (seen_.size() > kMostBitmaps) return fail(EFBIG, "Too many bitmaps");
    found_.bitmaps.push_back({sdk::uuid_text(bitmap.id, false), bitmap.granularity * kSector,
                              at + sizeof bitmap, bitmap.l1_size});
    return use_table(call, at + sizeof bitmap, bitmap.l1_size);
  }

  Status use_table(const Call& call, uint64_t at, uint64_t entries) {
    std::vector<Le<uint64_t>> table;
    for (uint64_t done = 0; done < entries; done += table.size()) {
      table.resize(std::min<uint64_t>(entries - done, kPiece / sizeof(uint64_t)));
      INSTAR_CHECK(file_.read(call, at + done * sizeof(uint64_t), table.data(),
                              table.size() * sizeof(uint64_t)));
      for (const uint64_t entry : table) {
        if (entry == kL1Zeroes || entry == kL1Ones) continue;
        if (entry <= INT64_MAX / kSector) found_.end = std::max(found_.end, entry + header_.tracks);
      }
    }
    return {};
  }

  const sdk::HostFile& file_;
  const Header& header_;
  const uint64_t begin_;  ///< bytes
  const uint64_t end_;    ///< bytes
  Extension found_;
  std::set<sdk::Uuid> seen_;
};

}  // namespace

Result<Extension> read_extension(const sdk::Host& host, const Call& call, const sdk::HostFile& file,
                                 const Header& header) {
  Reader reader(file, header);
  INSTAR_CHECK(reader.check_sum(host, call));
  INSTAR_CHECK(reader.check_features(call));
  return std::move(reader).found();
}

}  // namespace instar::parallels
