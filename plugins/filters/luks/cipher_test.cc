// SPDX-License-Identifier: Apache-2.0
// The building blocks, against published vectors.
#include <gtest/gtest.h>

#include <thread>

#include "plugins/filters/luks/bench.hpp"
#include "plugins/filters/luks/key_derivation.hpp"
#include "plugins/filters/luks/sector_cipher.hpp"

namespace instar::luks {
namespace {

using Buffer = std::vector<uint8_t>;

std::string hex(sdk::ConstBytes bytes) {
  std::string out;
  for (const uint8_t byte : bytes) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

SecureBytes secure(const Buffer& bytes) {
  SecureBytes out(bytes.size());
  std::copy(bytes.begin(), bytes.end(), out.data());
  return out;
}

sdk::ConstBytes text(std::string_view from) {
  return {reinterpret_cast<const uint8_t*>(from.data()), from.size()};
}

CipherSpec spec_of(std::string_view cipher, Mode mode, IvGenerator generator) {
  CipherSpec spec;
  spec.cipher = find_cipher(cipher);
  spec.mode = mode;
  spec.iv_generator = generator;
  if (generator == IvGenerator::kEssiv) {
    spec.iv_hash = find_hash("sha256");
    spec.iv_cipher = *essiv_cipher(*spec.cipher, *spec.iv_hash);
  }
  return spec;
}

// IEEE 1619-2007, annex B: vectors 1 and 2.
TEST(SectorCipher, XtsVectors) {
  const auto spec = spec_of("aes-128", Mode::kXts, IvGenerator::kPlain64);
  Buffer data(32);
  ASSERT_TRUE((*SectorCipher::open(spec, secure(Buffer(32))))->encrypt(0, data));
  EXPECT_EQ(hex(data), "917cf69ebd68b2ec9b9fe9a3eadda692cd43d2f59598ed858c02c2652fbf922e");

  Buffer key(32, 0x11);
  std::fill(key.begin() + 16, key.end(), uint8_t{0x22});
  data.assign(32, 0x44);
  ASSERT_TRUE((*SectorCipher::open(spec, secure(key)))->encrypt(0x3333333333, data));
  EXPECT_EQ(hex(data), "c454185e6a16936e39334038acef838bfb186fff7480adc4289382ecd6d394f0");
}

// Each sector stands for itself: many in one call give the same as one by one.
TEST(SectorCipher, ManySectorsAreManySingleOnes) {
  const Buffer plain = pattern(37 * kSectorSize);
  for (const Mode mode : {Mode::kEcb, Mode::kCbc, Mode::kXts, Mode::kCtr})
    for (const auto generator : {IvGenerator::kPlain, IvGenerator::kPlain64, IvGenerator::kEssiv}) {
      const auto spec = spec_of("aes-256", mode, generator);
      const auto cipher = SectorCipher::open(spec, secure(pattern(spec.key_size(), 7)));
      ASSERT_TRUE(cipher);
      for (const uint64_t first : {uint64_t{0}, uint64_t{0xfffffff0}, uint64_t{1} << 40}) {
        Buffer many = plain;
        ASSERT_TRUE((*cipher)->encrypt(first, many));
        Buffer single = plain;
        for (size_t i = 0; i < 37; ++i)
          ASSERT_TRUE((*cipher)->encrypt(first + i,
                                         sdk::Bytes(single).subspan(i * kSectorSize, kSectorSize)));
        EXPECT_EQ(many, single);
        EXPECT_NE(many, plain);
        ASSERT_TRUE((*cipher)->decrypt(first, many));
        EXPECT_EQ(many, plain);
      }
    }
}

TEST(SectorCipher, PlainCounts32BitsAndPlain64All) {
  for (const auto generator : {IvGenerator::kPlain, IvGenerator::kPlain64}) {
    const auto spec = spec_of("aes-256", Mode::kXts, generator);
    const auto cipher = SectorCipher::open(spec, secure(pattern(64)));
    Buffer low = pattern(kSectorSize), high = low;
    ASSERT_TRUE((*cipher)->encrypt(5, low));
    ASSERT_TRUE((*cipher)->encrypt((uint64_t{1} << 32) + 5, high));
    EXPECT_EQ(low == high, generator == IvGenerator::kPlain);
  }
}

TEST(SectorCipher, WorksInManyThreads) {
  const auto spec = spec_of("aes-256", Mode::kXts, IvGenerator::kPlain64);
  const auto cipher = SectorCipher::open(spec, secure(pattern(64)));
  const Buffer plain = pattern(64 * kSectorSize);
  Buffer expected = plain;
  ASSERT_TRUE((*cipher)->encrypt(9, expected));
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  // More than the memory for keys has handles for.
  for (int i = 0; i < 150; ++i)
    threads.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        Buffer data = plain;
        if (!(*cipher)->encrypt(9, data) || data != expected) ++wrong;
        if (!(*cipher)->decrypt(9, data) || data != plain) ++wrong;
      }
    });
  for (auto& thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(SectorCipher, RefusesWhatDoesNotGoTogether) {
  const auto spec = spec_of("cast5-128", Mode::kXts, IvGenerator::kPlain64);
  const auto cipher = SectorCipher::open(spec, secure(pattern(32)));
  ASSERT_FALSE(cipher);
  EXPECT_EQ(cipher.error().message, "Unsupported cipher mode xts");
}

// RFC 6070 and RFC 7914, section 11.
TEST(KeyDerivation, Vectors) {
  Buffer out(20);
  ASSERT_TRUE(derive_key(*find_hash("sha1"), text("password"), text("salt"), 4096, out));
  EXPECT_EQ(hex(out), "4b007901b765489abead49d926f721d065a429c1");
  out.resize(64);
  ASSERT_TRUE(derive_key(*find_hash("sha256"), text("passwd"), text("salt"), 1, out));
  EXPECT_EQ(hex(out),
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
            "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783");
}

TEST(KeyDerivation, SplitKeysMergeAgain) {
  for (const char* name :
       {"md5", "sha1", "sha224", "sha256", "sha384", "sha512", "ripemd160", "sm3"})
    for (const size_t size : {16, 24, 32, 48, 64}) {
      const Buffer key = pattern(size, 3);
      const auto split = split_key(*find_hash(name), key, 4000);
      ASSERT_TRUE(split);
      EXPECT_EQ(split->size(), size * 4000);
      const auto merged = merge_key(*find_hash(name), split->bytes(), size, 4000);
      EXPECT_EQ(hex(merged.bytes()), hex(key)) << name;
      SecureBytes damaged = split->copy();
      damaged.data()[size * 1234] ^= 1;
      EXPECT_NE(hex(merge_key(*find_hash(name), damaged.bytes(), size, 4000).bytes()), hex(key));
    }
}

TEST(Secure, ComparesAllBytes) {
  EXPECT_TRUE(equal_in_constant_time(text("abc"), text("abc")));
  EXPECT_FALSE(equal_in_constant_time(text("abc"), text("abd")));
  EXPECT_FALSE(equal_in_constant_time(text("xbc"), text("abc")));
  EXPECT_FALSE(equal_in_constant_time(text("ab"), text("abc")));
}

/** The flags of the mapping that an address lies in, from /proc/self/smaps. */
std::string flags_of(const void* address) {
  FILE* maps = std::fopen("/proc/self/smaps", "r");
  char line[512];
  bool inside = false;
  std::string flags;
  while (std::fgets(line, sizeof line, maps) != nullptr) {
    unsigned long begin = 0, end = 0;
    const auto at = reinterpret_cast<uintptr_t>(address);
    if (std::sscanf(line, "%lx-%lx ", &begin, &end) == 2) inside = begin <= at && at < end;
    if (inside && std::string_view(line).starts_with("VmFlags:")) flags = line;
  }
  std::fclose(maps);
  return flags;
}

TEST(Secure, KeysAreKeptOutOfCoreDumps) {
  const SecureBytes key(64);
  EXPECT_NE(flags_of(key.data()).find(" dd"), std::string::npos) << flags_of(key.data());
  const auto handle = CipherHandle::open(*find_cipher("aes-256"), Mode::kXts, pattern(64));
  ASSERT_TRUE(handle);
  EXPECT_NE(flags_of(handle->get()).find(" dd"), std::string::npos) << flags_of(handle->get());
}

}  // namespace
}  // namespace instar::luks
