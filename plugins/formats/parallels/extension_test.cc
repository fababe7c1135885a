// SPDX-License-Identifier: Apache-2.0
#include <numeric>

#include "plugins/formats/parallels/testing.hpp"
#include "sdk/cpp/digest.hpp"

namespace instar::parallels::testing {
namespace {

/** Stands in for MD5: 16 bytes that depend on all. */
class Sum {
 public:
  static sdk::Result<std::unique_ptr<Sum>> open() { return std::make_unique<Sum>(); }
  void update(sdk::ConstBytes bytes) {
    for (const uint8_t byte : bytes)
      sum_[at_++ % sum_.size()] += byte;
  }
  int64_t finish(sdk::Bytes out) const {
    std::copy(sum_.begin(), sum_.end(), out.begin());
    return static_cast<int64_t>(sum_.size());
  }

 private:
  std::array<uint8_t, 16> sum_{};
  size_t at_ = 0;
};

const void* find(const instar_host*, instar_call*, uint32_t kind, const char* name) {
  const bool known = kind == INSTAR_KIND_DIGEST && std::string_view(name) == "md5";
  return known ? sdk::DigestTable<Sum>::ops() : nullptr;
}
constexpr instar_registry_ops kRegistry = {
    sizeof(instar_registry_ops), 0, &find, nullptr, nullptr, nullptr};

/** An image whose cluster 0 is at 1; the extension is at 2, a table of a bitmap at 4. */
class ParallelsExtension : public ::testing::Test {
 protected:
  ParallelsExtension() {
    disk_.host.services[INSTAR_REGISTRY_ID] = &kRegistry;
    EXPECT_TRUE(disk_.create());
    {
      auto node = disk_.open();
      write(*node, 0, kCluster, 1);
    }
    disk_.bytes().resize(5 * kCluster);
    Header header = disk_.header();
    header.ext_off = 2 * kCluster / kSector;
    header.in_use = kClosed;
    disk_.set_header(header);
    put(0, Feature{kFeatureBitmap, 0, sizeof bitmap_ + 8, 0});
    put(24, bitmap_);
    put(56, Le<uint64_t>(4 * kCluster / kSector));
    seal();
  }
  template <class Structure>
  void put(size_t at, const Structure& structure) {
    std::memcpy(&disk_.bytes()[kExtension + at], &structure, sizeof structure);
  }
  void seal() {
    Sum sum;
    sum.update({&disk_.bytes()[kExtension], kCluster - sizeof(ExtensionHeader)});
    ExtensionHeader start;
    start.magic = kExtensionMagic;
    sum.finish(start.md5);
    std::memcpy(&disk_.bytes()[2 * kCluster], &start, sizeof start);
  }
  std::string error_with(const BitmapFeature& bitmap) {
    put(24, bitmap);
    seal();
    return disk_.open_error();
  }

  static constexpr uint64_t kExtension = 2 * kCluster + sizeof(ExtensionHeader);
  const BitmapFeature bitmap_{kClusters * kCluster / kSector, {1, 2, 3}, 8, 1};
  Disk disk_;
};

TEST_F(ParallelsExtension, ItsSpaceIsNotLeaked) {
  EXPECT_EQ(disk_.check().messages, "");
  EXPECT_EQ(disk_.check().result.image_end_offset, int64_t{5 * kCluster});
}

TEST_F(ParallelsExtension, ARepairOfTheImageKeepsIt) {
  disk_.bytes().resize(7 * kCluster);
  disk_.set_entry(3, 99);
  EXPECT_EQ(disk_.check(kFixAll).result.leaks_fixed, 2);
  EXPECT_EQ(disk_.header().in_use, kClosed);
  EXPECT_NE(disk_.header().ext_off, 0u);
  EXPECT_EQ(disk_.check().messages, "");
}

TEST_F(ParallelsExtension, AWriteToTheDiskEndsIt) {
  {
    auto node = disk_.open();
    ASSERT_TRUE(node);
    EXPECT_EQ(disk_.host.warnings,
              (std::vector<std::string>{"Format Extension ignored in RW mode"}));
    EXPECT_NE(disk_.header().ext_off, 0u);
    write(*node, 5 * kCluster, 1, 7);
    EXPECT_EQ(disk_.header().ext_off, 0u);
  }
  EXPECT_EQ(disk_.header().in_use, 0u);
  EXPECT_EQ(disk_.entry(5), 2u);
  EXPECT_EQ(disk_.check().messages, "");
}

TEST_F(ParallelsExtension, ADamagedOneIsRefused) {
  disk_.bytes()[3 * kCluster - 1] ^= 1;
  EXPECT_EQ(disk_.open_error(),
            "Wrong checksum in Format Extension header. Format extension is corrupted.");
  disk_.bytes()[2 * kCluster] ^= 1;
  EXPECT_EQ(disk_.open_error(),
            "Wrong parallels Format Extension magic: 0xab234cef23dcea86, expected: "
            "0xab234cef23dcea87");
  EXPECT_TRUE(disk_.open());
}

TEST_F(ParallelsExtension, FeaturesAreChecked) {
  put(0, Feature{7, 0, 8, 0});
  seal();
  EXPECT_EQ(disk_.open_error(), "Unknown feature: 0x7");
  put(0, Feature{7, 1, 8, 0});
  seal();
  EXPECT_EQ(disk_.open_error(), "Flags for extension feature are unsupported");
  put(0, Feature{7, 0, kCluster, 0});
  seal();
  EXPECT_EQ(disk_.open_error(), "Feature data_size exceedes Format Extension cluster");
  put(0, Feature{kFeatureBitmap, 0, 31, 0});
  seal();
  EXPECT_EQ(disk_.open_error(),
            "Too small Bitmap Feature area in Parallels Format Extension: 31 bytes, expected at "
            "least 32 bytes");
}

TEST_F(ParallelsExtension, BitmapsAreChecked) {
  auto bitmap = bitmap_;
  bitmap.sectors = 5;
  EXPECT_EQ(error_with(bitmap), "Bitmap size (in sectors) 5 differs from disk size in sectors 128");
  bitmap = bitmap_;
  for (const uint32_t granularity : {0, 3}) {
    bitmap.granularity = granularity;
    EXPECT_EQ(error_with(bitmap),
              sdk::cat("Bitmap granularity (in sectors) ", granularity, " is not a power of two"));
  }
  bitmap = bitmap_;
  bitmap.l1_size = 0;
  EXPECT_EQ(error_with(bitmap),
            "Bitmap table size 0 does not correspond to bitmap size and cluster size. Expected 1");
  bitmap.l1_size = UINT32_MAX;
  EXPECT_EQ(error_with(bitmap), "Bitmaps feature corrupted: l1 table exceeds extension data_size");
  EXPECT_EQ(error_with(bitmap_), "");
  put(64, Feature{kFeatureBitmap, 0, sizeof bitmap_ + 8, 0});
  put(88, bitmap_);
  seal();
  EXPECT_EQ(disk_.open_error(), "Bitmap already exists: 01020300-0000-0000-0000-000000000000");
}

TEST_F(ParallelsExtension, BitmapsAreReadWhenTheDiskIs) {
  constexpr uint64_t kBit = 8 * kSector;
  const std::string id = "01020300-0000-0000-0000-000000000000";
  const auto runs = [&] {
    auto node = disk_.open(0);
    void* self = nullptr;
    const auto* ops = node->ref().interface<instar_bitmap_ops>(INSTAR_BITMAP_ID, &self);
    sdk::StringSink list;
    EXPECT_EQ(ops->list(self, nullptr, list.abi()), 0);
    EXPECT_NE(list.text.find(sdk::cat("\"name\":\"", id, "\",\"granularity\":4096")),
              std::string::npos)
        << list.text;
    std::string text;
    const auto add = [](void* opaque, uint64_t offset, uint64_t length) noexcept {
      *static_cast<std::string*>(opaque) += sdk::cat(offset / kBit, "+", length / kBit, " ");
      return 0;
    };
    EXPECT_EQ(ops->walk(self, nullptr, id.c_str(), &text, add), 0);
    EXPECT_EQ(ops->walk(self, nullptr, "other", &text, add), -ENOENT);
    EXPECT_EQ(ops->remove(self, nullptr, id.c_str()), -EACCES);
    return text;
  };
  EXPECT_EQ(runs(), "");
  disk_.bytes()[4 * kCluster] = 0b10001110;
  disk_.bytes()[4 * kCluster + 1] = 0xff;
  EXPECT_EQ(runs(), "1+3 7+9 ");
  put(56, Le<uint64_t>(kL1Ones));
  seal();
  EXPECT_EQ(runs(), "0+16 ");
  void* self = nullptr;
  const auto writer = disk_.open();
  EXPECT_EQ(writer->ref().interface<instar_bitmap_ops>(INSTAR_BITMAP_ID, &self), nullptr);
}

TEST_F(ParallelsExtension, ItNeedsADigest) {
  disk_.host.services.erase(INSTAR_REGISTRY_ID);
  EXPECT_EQ(disk_.open_error(), "Unknown hash algorithm 'md5'");
}

}  // namespace
}  // namespace instar::parallels::testing
