// SPDX-License-Identifier: Apache-2.0
// Random operations on images of every kind against a model in memory; the genuine tool judges the
// result where it is there.
#include <algorithm>

#include "plugins/formats/qcow2/testing.hpp"

namespace instar::qcow2::testing {
namespace {

struct Variant {
  uint32_t cluster_bits = 16;
  uint32_t refcount_bits = 16;
  bool version2 = false;
  bool extended = false;
  bool backing = false;
  bool data_file = false;
  const char* encryption = "";
};

std::string name_of(const ::testing::TestParamInfo<Variant>& info) {
  const Variant& v = info.param;
  return sdk::cat("Cluster", 1u << v.cluster_bits, "Refcount", v.refcount_bits,
                  v.version2 ? "V2" : "", v.extended ? "Extended" : "", v.backing ? "Backing" : "",
                  v.data_file ? "DataFile" : "", v.encryption);
}

class Property : public ::testing::TestWithParam<Variant> {
 protected:
  void SetUp() override {
    const Variant& variant = GetParam();
    cluster_ = uint64_t{1} << variant.cluster_bits;
    size_ = std::clamp<uint64_t>(cluster_ * 40, 1u << 20, 48u << 20) + 512 * 5;
    OptionList options{{"size", std::to_string(size_)},
                       {"cluster_size", std::to_string(cluster_)},
                       {"refcount_bits", std::to_string(variant.refcount_bits)},
                       {"compat", variant.version2 ? "0.10" : "1.1"},
                       {"extended_l2", variant.extended ? "on" : "off"}};
    model_.assign(size_, 0);
    if (variant.backing) {
      // Shorter than the image: what lies behind reads as zeroes.
      std::vector<uint8_t> base = noise(size_ / 3 * 2 / 512 * 512);
      std::copy(base.begin(), base.end(), model_.begin());
      files_.backing = std::make_unique<MemoryFile>(std::move(base));
      options.add("backing_file", "base.raw");
      options.add("backing_fmt", "raw");
    }
    if (variant.data_file) options.add("data_file", "data.raw");
    if (encrypted()) {
      options.add("encrypt.format", variant.encryption);
      options.add("encrypt.key-secret", "k");
    }
    ASSERT_EQ(create(files_, options), "");
    reopen();
  }

  void reopen() {
    if (image_) {
      ASSERT_EQ(image_->close(), 0);
    }
    OptionList key({});
    if (encrypted()) key.add("encrypt.key-secret", "k");
    image_ = std::make_unique<TestImage>(files_, INSTAR_OPEN_WRITE | INSTAR_OPEN_UNMAP, key);
    ASSERT_TRUE(image_->open()) << image_->error();
  }

  static bool encrypted() { return *GetParam().encryption != '\0'; }
  uint64_t pick(uint64_t limit) {
    return std::uniform_int_distribution<uint64_t>(0, limit)(random_);
  }
  std::vector<uint8_t> noise(size_t length) {
    std::vector<uint8_t> bytes(length);
    // Runs, so that it compresses a little.
    for (size_t i = 0; i < length;) {
      const auto value = static_cast<uint8_t>(random_());
      for (uint64_t run = 1 + pick(40); run > 0 && i < length; --run)
        bytes[i++] = value;
    }
    return bytes;
  }
  /** A range inside the image: often clusters, sometimes a few bytes. */
  std::pair<uint64_t, uint64_t> range() {
    uint64_t begin = pick(size_ - 1);
    uint64_t length = pick(3) == 0 ? 1 + pick(cluster_ * 5) : 1 + pick(cluster_ / 2);
    if (pick(1) == 0) {
      begin = begin / cluster_ * cluster_;
      length = (length + cluster_ - 1) / cluster_ * cluster_;
    }
    if (pick(7) == 0) {  // up to the end, which is inside a cluster
      begin = std::max(begin, size_ - std::min(size_, 1 + pick(2 * cluster_)));
      length = size_ - begin;
    }
    if (encrypted()) {  // the image takes whole sectors
      begin = begin / 512 * 512;
      length = (length + 511) / 512 * 512;
    }
    return {begin, std::min(length, size_ - begin)};
  }

  void verify(uint64_t begin, uint64_t length) {
    std::vector<uint8_t> content(length, 0xee);
    ASSERT_EQ(image_->read(begin, &content), 0);
    const auto [a, b] =
        std::mismatch(content.begin(), content.end(), model_.begin() + static_cast<int64_t>(begin));
    ASSERT_TRUE(a == content.end())
        << "at " << begin + static_cast<uint64_t>(a - content.begin()) << " of [" << begin << ", "
        << begin + length << "): " << int{*a} << " instead of " << int{*b};
  }
  void set_model(uint64_t begin, const std::vector<uint8_t>& bytes) {
    std::copy(bytes.begin(), bytes.end(), model_.begin() + static_cast<int64_t>(begin));
  }

  void do_write() {
    const auto [begin, length] = range();
    const auto bytes = noise(length);
    ASSERT_EQ(image_->write(begin, bytes), 0);
    set_model(begin, bytes);
  }
  void do_zero() {
    const auto [begin, length] = range();
    ASSERT_EQ(image_->write_zeroes(begin, length, pick(1) == 0 ? 0 : INSTAR_WRITE_MAY_UNMAP), 0);
    set_model(begin, std::vector<uint8_t>(length));
  }
  void do_discard() {
    const auto [begin, length] = range();
    ASSERT_EQ(image_->discard(begin, length), 0);
    // Whole clusters read as zeroes or as before; the rest is as before.
    std::vector<uint8_t> content(length);
    ASSERT_EQ(image_->read(begin, &content), 0);
    for (uint64_t i = 0; i < length; ++i)
      ASSERT_TRUE(content[i] == 0 || content[i] == model_[begin + i]);
    set_model(begin, content);
  }
  void do_packed() {
    if (GetParam().data_file) return;
    const uint64_t begin = pick(size_ - 1) / cluster_ * cluster_;
    const auto bytes = noise(std::min(cluster_, size_ - begin));
    ASSERT_EQ(image_->write_packed(begin, bytes), 0);
    set_model(begin, bytes);
  }
  void do_placed() {
    if (encrypted()) return;
    const uint64_t begin = pick(size_ - 1) / cluster_ * cluster_;
    const auto bytes = noise(std::min(cluster_ * (1 + pick(6)), size_ - begin));
    ASSERT_EQ(image_->write_placed(files_, begin, bytes), 0);
    set_model(begin, bytes);
  }
  void step() {
    switch (pick(9)) {
      case 0:
      case 1:
      case 2:
        return do_write();
      case 3:
        return do_zero();
      case 4:
        return do_discard();
      case 5:
      case 6:
        return do_packed();
      case 7:
        return do_placed();
      case 8: {
        const auto [begin, length] = range();
        return verify(begin, length);
      }
      default:
        if (pick(3) == 0) return reopen();
        ASSERT_EQ(image_->flush(), 0);
    }
  }

  std::mt19937_64 random_{42};
  uint64_t cluster_ = 0;
  uint64_t size_ = 0;
  std::vector<uint8_t> model_;
  Files files_;
  std::unique_ptr<TestImage> image_;
};

TEST_P(Property, RandomOperationsMatchTheModel) {
  const int steps = GetParam().cluster_bits > 18 ? 60 : 300;
  for (int i = 0; i < steps; ++i) {
    step();
    if (HasFatalFailure()) FAIL() << "step " << i;
  }
  verify(0, size_);
  reopen();
  verify(0, size_);
  ASSERT_EQ(image_->close(), 0);
  image_.reset();
  if (encrypted()) return;  // by no cipher that others have
  const auto verdict = reference_verdict(files_, &model_);
  if (verdict) {
    EXPECT_EQ(*verdict, "");
  }
}

TEST_P(Property, ExtentsCoverAndTellTheTruth) {
  for (int i = 0; i < 40; ++i)
    step();
  ASSERT_FALSE(HasFatalFailure());
  const Call call(nullptr);
  std::vector<instar_extent> extents(7);
  for (uint64_t at = 0; at < size_;) {
    const auto n = image_->node().extents(call, at, size_ - at, extents.data(), extents.size());
    ASSERT_TRUE(n) << n.error().message;
    for (size_t i = 0; i < *n; ++i) {
      const auto& extent = extents[i];
      ASSERT_GT(extent.length, 0u);
      ASSERT_LE(extent.length, size_ - at);
      const auto begin = model_.begin() + static_cast<int64_t>(at);
      const auto end = begin + static_cast<int64_t>(extent.length);
      if (encrypted()) {
        EXPECT_EQ(extent.flags & INSTAR_EXTENT_OFFSET, 0u);
      }
      if ((extent.flags & INSTAR_EXTENT_ZERO) != 0) {
        EXPECT_TRUE(std::all_of(begin, end, [](uint8_t b) { return b == 0; })) << at;
      } else if ((extent.flags & INSTAR_EXTENT_DATA) != 0 &&
                 (extent.flags & INSTAR_EXTENT_OFFSET) != 0) {
        ASSERT_EQ(image_->flush(), 0);
        auto bytes = extent.child == 2 ? files_.data->bytes : files_.file.bytes;
        // The last cluster may be cut off by the end of the file: the rest of it is zeroes.
        ASSERT_LT(extent.child_offset, bytes.size());
        bytes.resize(std::max<size_t>(bytes.size(), extent.child_offset + extent.length));
        EXPECT_TRUE(
            std::equal(begin, end, bytes.begin() + static_cast<int64_t>(extent.child_offset)))
            << at;
      }
      at += extent.length;
    }
  }
}

std::vector<Variant> variants() {
  std::vector<Variant> all;
  for (const uint32_t bits : {9, 10, 12, 14, 16, 18, 21})
    for (const bool backing : {false, true}) {
      all.push_back({.cluster_bits = bits, .backing = backing});
      if (bits <= 16) all.push_back({.cluster_bits = bits, .version2 = true, .backing = backing});
      if (bits >= 14) all.push_back({.cluster_bits = bits, .extended = true, .backing = backing});
    }
  for (const uint32_t width : {1, 2, 4, 8, 32, 64}) {
    all.push_back({.cluster_bits = 9, .refcount_bits = width});
    all.push_back({.cluster_bits = 12, .refcount_bits = width, .backing = true});
  }
  all.push_back({.cluster_bits = 16, .data_file = true});
  all.push_back({.cluster_bits = 14, .extended = true, .backing = true, .data_file = true});
  for (const char* scheme : {"aes", "luks"})
    for (const uint32_t bits : {9, 12, 16, 21}) {
      all.push_back({.cluster_bits = bits, .backing = bits == 12, .encryption = scheme});
      if (bits == 16)
        all.push_back(
            {.cluster_bits = bits, .extended = true, .backing = true, .encryption = scheme});
    }
  all.push_back({.cluster_bits = 12, .version2 = true, .backing = true, .encryption = "aes"});
  all.push_back({.cluster_bits = 16, .data_file = true, .encryption = "luks"});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Variants, Property, ::testing::ValuesIn(variants()), name_of);

}  // namespace
}  // namespace instar::qcow2::testing
