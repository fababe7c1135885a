// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/file/file_node.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "plugins/protocols/file/temp_dir.hpp"
#include "sdk/cpp/testing.hpp"

namespace instar::file {
namespace {

using sdk::IoVec;
using sdk::ProtocolTable;
using sdk::Result;
using sdk::testing::FakeHost;
using sdk::testing::OptionList;
using sdk::testing::OwnedNode;
using sdk::testing::quiet_call;

constexpr uint64_t kMiB = 1 << 20;
constexpr uint32_t kHere = INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_OFFSET;
constexpr uint32_t kData = INSTAR_EXTENT_DATA | kHere;
constexpr uint32_t kHole = INSTAR_EXTENT_ZERO | kHere;

template <class D = FileDriver>
Result<OwnedNode> open(const std::string& path, uint32_t flags = INSTAR_OPEN_WRITE,
                       const OptionList& options = {}) {
  FakeHost host;
  return host.open(ProtocolTable<D>::ops(), path, flags, options);
}

template <class D = FileDriver>
std::string error(const std::string& path, uint32_t flags = 0, const OptionList& options = {}) {
  auto node = open<D>(path, flags, options);
  return node ? "" : node.error().message;
}

std::string read(const OwnedNode& node, uint64_t offset, size_t len) {
  std::string data(len, '?');
  const auto result = node.ref().read(quiet_call(), offset, data.data(), len);
  EXPECT_TRUE(result) << result.error().message;
  return data;
}

std::string zeroes(size_t n) {
  return std::string(n, '\0');
}

TEST(FileOpen, SaysWhyNot) {
  const TempDir dir;
  const std::string nope = dir.path("nope");
  EXPECT_EQ(error(nope), "Could not open '" + nope + "': No such file or directory");
  EXPECT_EQ(error("."), "'file' driver requires '.' to be a regular file");
  EXPECT_EQ(error(".", INSTAR_OPEN_WRITE), "Could not open '.': Is a directory");
  EXPECT_EQ(error("/dev/null"), "'file' driver requires '/dev/null' to be a regular file");
  EXPECT_EQ(error(""), "The 'file' block driver requires a file name");
  EXPECT_EQ(error<HostDeviceDriver>(""), "The 'host_device' block driver requires a file name");
  const auto file = dir.make("a", "x");
  EXPECT_EQ(error<HostDeviceDriver>(file), "'host_device' driver requires '" + file +
                                               "' to be either a character or block device");
  EXPECT_EQ(error<HostCdromDriver>("host_cdrom:" + file),
            "'host_cdrom' driver requires '" + file + "' to be either a character or block device");
}

TEST(FileOpen, DoesNotWaitForAFifo) {
  const TempDir dir;
  ASSERT_EQ(::mkfifo(dir.path("fifo").c_str(), 0600), 0);
  EXPECT_EQ(error(dir.path("fifo")),
            "'file' driver requires '" + dir.path("fifo") + "' to be a regular file");
}

TEST(FileOpen, ChecksItsOptions) {
  const TempDir dir;
  const auto path = dir.make("a", "x");
  const auto text = [&](const char* name, const char* value) {
    return error(path, 0, OptionList().text(name, value));
  };
  EXPECT_EQ(text("locking", "bogus"), "invalid parameter value: bogus");
  EXPECT_EQ(text("aio", "bogus"), "invalid parameter value: bogus");
  EXPECT_EQ(text("aio", "io_uring"), "");
  EXPECT_EQ(text("aio", "native"),
            "aio=native was specified, but it requires cache.direct=on, which was not specified.");
  EXPECT_EQ(text("pr-manager", "x"), "No persistent reservation manager with id 'x'");
  EXPECT_EQ(text("filename", ""), "The 'file' block driver requires a file name");
  EXPECT_EQ(error("something else", 0, OptionList().text("filename", path)), "");
  EXPECT_EQ(error("file:" + path), "");
}

TEST(FileOpen, RefusesFilesWithoutALength) {
  EXPECT_EQ(error("/proc/self/status"), "Could not refresh total sector count: Invalid argument");
}

TEST(FileIo, ReadsAndWritesAnywhere) {
  const TempDir dir;
  auto node = open(dir.make("a", "0123456789"));
  ASSERT_TRUE(node);
  EXPECT_EQ(*node->ref().size(), 512u);
  EXPECT_EQ(read(*node, 3, 4), "3456");
  EXPECT_EQ(read(*node, 8, 6), "89" + zeroes(4));
  EXPECT_EQ(read(*node, 300, 3), zeroes(3));
  ASSERT_TRUE(node->ref().write(quiet_call(), 2000, "abc", 3));
  EXPECT_EQ(dir.status("a").st_size, 2003);
  EXPECT_EQ(*node->ref().size(), 2048u);
  EXPECT_EQ(read(*node, 1999, 5), zeroes(1) + "abc" + zeroes(1));
  ASSERT_TRUE(node->ref().write(quiet_call(), 0, "x", 1, INSTAR_WRITE_FUA));
  ASSERT_TRUE(node->ref().flush(quiet_call()));
}

TEST(FileIo, TakesMorePiecesThanTheKernel) {
  const TempDir dir;
  auto node = open(dir.make("a", ""));
  constexpr size_t kPieces = 3000;
  std::vector<uint8_t> from(kPieces * 3), to(kPieces * 3);
  for (size_t i = 0; i < from.size(); ++i)
    from[i] = static_cast<uint8_t>(i * 7);
  std::vector<instar_iovec> pieces;
  for (size_t i = 0; i < kPieces; ++i)
    pieces.push_back({from.data() + 3 * i, 3});
  ASSERT_TRUE(node->ref().write(quiet_call(), 1, IoVec(pieces.data(), pieces.size())));
  for (size_t i = 0; i < kPieces; ++i)
    pieces[i].base = to.data() + 3 * i;
  ASSERT_TRUE(node->ref().read(quiet_call(), 1, IoVec(pieces.data(), pieces.size())));
  EXPECT_EQ(from, to);
}

TEST(FileIo, ReportsErrors) {
  const TempDir dir;
  auto node = open(dir.make("a", "x"), 0);
  EXPECT_EQ(node->ref().write(quiet_call(), 0, "y", 1).error().code, EBADF);
  char byte;
  const auto result = node->ref().read(quiet_call(), UINT64_MAX / 2 + 1, &byte, 1);
  EXPECT_EQ(result.error().code, EINVAL);
  EXPECT_EQ(result.error().message, "Invalid argument");
  const auto limits = *node->ref().limits();
  EXPECT_NE(limits.flags & INSTAR_NODE_READ_ONLY, 0u);
  EXPECT_EQ(limits.can_write, INSTAR_ABILITY_NONE);
}

TEST(FileZeroes, PunchesHoles) {
  const TempDir dir;
  auto node = open(dir.make("a", std::string(kMiB, 'x')));
  const auto blocks = dir.status("a").st_blocks;
  ASSERT_TRUE(node->ref().write_zeroes(quiet_call(), 4096, 8192, INSTAR_WRITE_MAY_UNMAP));
  EXPECT_EQ(read(*node, 4095, 8194), "x" + zeroes(8192) + "x");
  EXPECT_EQ(dir.status("a").st_blocks, blocks - 16);
  ASSERT_TRUE(node->ref().discard(quiet_call(), 16384, 4096));
  EXPECT_EQ(dir.status("a").st_blocks, blocks - 24);
  ASSERT_TRUE(node->ref().write_zeroes(quiet_call(), 1, 2, INSTAR_WRITE_MAY_UNMAP));
  EXPECT_EQ(read(*node, 0, 4), "x" + zeroes(2) + "x");
}

TEST(FileZeroes, GrowTheFile) {
  const TempDir dir;
  auto node = open(dir.make("a", "x"));
  ASSERT_TRUE(node->ref().write_zeroes(quiet_call(), 10, kMiB - 10, INSTAR_WRITE_MAY_UNMAP));
  EXPECT_EQ(dir.status("a").st_size, static_cast<off_t>(kMiB));
  EXPECT_LE(dir.status("a").st_blocks, 8);
  ASSERT_TRUE(node->ref().write_zeroes(quiet_call(), kMiB, kMiB, 0));
  EXPECT_EQ(dir.status("a").st_size, static_cast<off_t>(2 * kMiB));
  EXPECT_EQ(read(*node, 0, 3), "x" + zeroes(2));
}

TEST(FileExtents, TellDataFromHoles) {
  const TempDir dir;
  auto node = open(dir.make("a", ""));
  ASSERT_TRUE(node->ref().resize(quiet_call(), kMiB + 100));
  ASSERT_TRUE(node->ref().write(quiet_call(), 256 << 10, std::string(4096, 'x').data(), 4096));
  ASSERT_TRUE(node->ref().write(quiet_call(), kMiB + 50, "x", 1));
  instar_extent out[8];
  // The first block was written by resize.
  ASSERT_EQ(*node->ref().extents(quiet_call(), 0, kMiB + 512, out, 8), 6u);
  const std::vector<std::pair<uint64_t, uint32_t>> expected = {
      {4096, kData}, {(256 << 10) - 4096, kHole},
      {4096, kData}, {kMiB - (260 << 10), kHole},
      {100, kData},  {412, kHole}};
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(out[i].length, expected[i].first) << i;
    EXPECT_EQ(out[i].flags, expected[i].second) << i;
    EXPECT_EQ(out[i].child_offset, i == 0 ? 0 : out[i - 1].child_offset + out[i - 1].length) << i;
  }
  ASSERT_EQ(*node->ref().extents(quiet_call(), 4000, 97, out, 8), 2u);
  EXPECT_EQ(out[0].length, 96u);
  EXPECT_EQ(out[1].length, 1u);
  ASSERT_EQ(*node->ref().extents(quiet_call(), 0, kMiB, out, 2), 2u);
  EXPECT_EQ(out[1].length, (256u << 10) - 4096);
}

TEST(FileExtents, FollowWhatIsWrittenAndPunched) {
  const TempDir dir;
  auto node = open(dir.make("a", std::string(kMiB, 'x')));
  instar_extent out[8];
  ASSERT_EQ(*node->ref().extents(quiet_call(), 0, kMiB, out, 8), 1u);
  ASSERT_TRUE(node->ref().write_zeroes(quiet_call(), 8192, 4096, INSTAR_WRITE_MAY_UNMAP));
  ASSERT_EQ(*node->ref().extents(quiet_call(), 0, kMiB, out, 8), 3u);
  ASSERT_TRUE(node->ref().write(quiet_call(), 8192, std::string(4096, 'y').data(), 4096));
  ASSERT_EQ(*node->ref().extents(quiet_call(), 0, kMiB, out, 8), 1u);
  // Another process shortens the file.
  ASSERT_EQ(::truncate(dir.path("a").c_str(), 4096), 0);
  uint64_t covered = 0;
  const size_t count = *node->ref().extents(quiet_call(), 4096, kMiB - 4096, out, 8);
  for (size_t i = 0; i < count; ++i)
    covered += out[i].length;
  EXPECT_EQ(covered, kMiB - 4096);
}

TEST(FileResize, GrowsAndShrinks) {
  const TempDir dir;
  auto node = open(dir.make("a", "x"));
  const auto ref = node->ref();
  ASSERT_TRUE(ref.resize(quiet_call(), 10000));
  EXPECT_EQ(dir.status("a").st_size, 10000);
  ASSERT_TRUE(ref.resize(quiet_call(), kMiB, INSTAR_PREALLOCATION_FALLOC));
  EXPECT_GE(dir.status("a").st_blocks, static_cast<blkcnt_t>(kMiB / 512 - 24));
  ASSERT_TRUE(ref.resize(quiet_call(), 2 * kMiB, INSTAR_PREALLOCATION_FULL));
  EXPECT_EQ(read(*node, kMiB - 1, 2), zeroes(2));
  ASSERT_TRUE(ref.resize(quiet_call(), 5));
  EXPECT_EQ(dir.status("a").st_size, 5);
  EXPECT_EQ(ref.resize(quiet_call(), 4, INSTAR_PREALLOCATION_FULL).error().message,
            "Cannot use preallocation for shrinking files");
  const auto metadata = ref.resize(quiet_call(), kMiB, INSTAR_PREALLOCATION_METADATA);
  EXPECT_EQ(metadata.error().code, ENOTSUP);
  EXPECT_EQ(metadata.error().message, "Unsupported preallocation mode: metadata");
  const auto huge = ref.resize(quiet_call(), 1ull << 60);
  EXPECT_EQ(huge.error().code, EFBIG);
  EXPECT_EQ(huge.error().message, "Could not resize file: File too large");
  const auto full = ref.resize(quiet_call(), 1ull << 50, INSTAR_PREALLOCATION_FALLOC);
  EXPECT_EQ(full.error().message.find("Could not preallocate new data: "), 0u);
  EXPECT_EQ(dir.status("a").st_size, 5);
}

TEST(FileResize, ReportsProgressAndStops) {
  const TempDir dir;
  auto node = open(dir.make("a", ""));
  void* self = nullptr;
  const auto* ops = node->ref().interface<instar_resize_ops>(INSTAR_RESIZE_ID, &self);
  uint64_t last = 0;
  const instar_progress progress{&last, [](void* opaque, uint64_t done, uint64_t total) {
                                   EXPECT_LE(done, total);
                                   *static_cast<uint64_t*>(opaque) = done;
                                 }};
  ASSERT_EQ(ops->resize(self, nullptr, 3 * kMiB, INSTAR_PREALLOCATION_FULL, 0, &progress), 0);
  EXPECT_EQ(last, 3 * kMiB);
  int32_t cancelled = 1;
  instar_call call{};
  call.struct_size = sizeof call;
  call.cancelled = &cancelled;
  EXPECT_EQ(ops->resize(self, &call, 9 * kMiB, INSTAR_PREALLOCATION_FULL, 0, &progress),
            -ECANCELED);
  EXPECT_EQ(dir.status("a").st_size, static_cast<off_t>(3 * kMiB));
}

TEST(FileDirect, NeedsAlignedRequests) {
  const TempDir dir;
  auto node =
      open(dir.make("a", std::string(10000, 'x')), INSTAR_OPEN_WRITE | INSTAR_OPEN_NO_CACHE);
  ASSERT_TRUE(node) << node.error().message;
  const auto limits = *node->ref().limits();
  EXPECT_GE(limits.request_alignment, 512u);
  EXPECT_GE(limits.memory_alignment, 512u);
  alignas(4096) static uint8_t buffer[16384];
  const uint64_t end = sdk::round_up(10000, limits.request_alignment);
  ASSERT_TRUE(node->ref().read(quiet_call(), 0, buffer, end));
  EXPECT_EQ(buffer[9999], 'x');
  EXPECT_EQ(buffer[10000], 0);
  // The end inside a block is not told apart.
  instar_extent extents[4];
  ASSERT_EQ(*node->ref().extents(quiet_call(), 0, end, extents, 4), 1u);
  EXPECT_EQ(extents[0].flags, kData);
  ASSERT_TRUE(node->ref().write(quiet_call(), 4096, buffer, 4096));
  ASSERT_TRUE(node->ref().write_zeroes(quiet_call(), 16384, kMiB - 16384, INSTAR_WRITE_MAY_UNMAP));
  EXPECT_EQ(dir.status("a").st_size, static_cast<off_t>(kMiB));
  void* self = nullptr;
  instar_rawfd raw{};
  const auto* ops = node->ref().interface<instar_rawfd_ops>(INSTAR_RAWFD_ID, &self);
  ASSERT_EQ(ops->get(self, nullptr, &raw), 0);
  EXPECT_EQ(raw.direct, 1u);
  EXPECT_GE(raw.fd, 0);
  EXPECT_EQ(raw.base, 0u);
}

TEST(FileDirect, FindsAnAlignmentInAnEmptyFile) {
  const TempDir dir;
  auto node = open(dir.make("a", ""), INSTAR_OPEN_WRITE | INSTAR_OPEN_NO_CACHE);
  ASSERT_TRUE(node);
  EXPECT_GE(node->ref().limits()->request_alignment, 512u);
  alignas(4096) static uint8_t buffer[4096] = {1, 2, 3};
  ASSERT_TRUE(node->ref().write(quiet_call(), 0, buffer, sizeof buffer));
}

TEST(FileDirect, SaysWhichFileSystemCannot) {
  // /proc has regular files, without O_DIRECT.
  EXPECT_EQ(error("/proc/version", INSTAR_OPEN_NO_CACHE),
            "Could not open '/proc/version': filesystem does not support O_DIRECT");
}

TEST(FileInfo, DescribesItself) {
  const TempDir dir;
  auto node = open(dir.make("a", std::string(5000, 'x')));
  void* self = nullptr;
  const auto* ops = node->ref().interface<instar_info_ops>(INSTAR_INFO_ID, &self);
  sdk::StringSink sink;
  ASSERT_EQ(ops->describe(self, nullptr, sink.abi()), 0);
  EXPECT_EQ(sink.text, R"({"dirty-flag":false,"format-specific":{"type":"file","data":{}}})");
  EXPECT_EQ(ops->allocated_size(self, nullptr), dir.status("a").st_blocks * 512);
}

TEST(FileThreads, DoNotDisturbEachOther) {
  const TempDir dir;
  auto node = open(dir.make("a", ""));
  constexpr int kThreads = 4;
  constexpr uint64_t kEach = 64;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      const std::string block(4096, static_cast<char>('a' + t));
      instar_extent out[4];
      for (uint64_t i = 0; i < kEach; ++i) {
        const uint64_t offset = (i * kThreads + static_cast<uint64_t>(t)) * 4096;
        if (i % 4 == 3)
          ASSERT_TRUE(node->ref().write_zeroes(quiet_call(), offset, 4096, INSTAR_WRITE_MAY_UNMAP));
        else
          ASSERT_TRUE(node->ref().write(quiet_call(), offset, block.data(), block.size()));
        ASSERT_TRUE(node->ref().extents(quiet_call(), offset, 4096, out, 4));
        ASSERT_TRUE(node->ref().size());
      }
    });
  for (auto& thread : threads)
    thread.join();
  for (uint64_t i = 0; i < kThreads * kEach; ++i) {
    const bool zero = i / kThreads % 4 == 3;
    ASSERT_EQ(read(*node, i * 4096 + 4095, 1)[0],
              zero ? '\0' : 'a' + static_cast<int>(i % kThreads))
        << i;
  }
}

TEST(HostDevice, TakesCharacterDevices) {
  auto node = open<HostDeviceDriver>("host_device:/dev/null");
  ASSERT_TRUE(node);
  EXPECT_EQ(*node->ref().size(), 0u);
  ASSERT_TRUE(node->ref().resize(quiet_call(), 0));
  EXPECT_EQ(node->ref().resize(quiet_call(), 512).error().message, "Cannot grow device files");
  EXPECT_EQ(node->ref().resize(quiet_call(), 512, 0, INSTAR_RESIZE_EXACT).error().message,
            "Cannot resize device files");
  EXPECT_EQ(node->ref().resize(quiet_call(), 512, INSTAR_PREALLOCATION_FULL).error().message,
            "Preallocation mode 'full' unsupported for this non-regular file");
  ASSERT_TRUE(node->ref().flush(quiet_call()));
  EXPECT_EQ(node->ref().write_zeroes(quiet_call(), 0, 512).error().code, ENOTSUP);
  void* self = nullptr;
  const auto* ops = node->ref().interface<instar_info_ops>(INSTAR_INFO_ID, &self);
  sdk::StringSink sink;
  ASSERT_EQ(ops->describe(self, nullptr, sink.abi()), 0);
  EXPECT_EQ(sink.text, R"({"dirty-flag":false,"format-specific":{"type":"file","data":{}}})");
}

TEST(HostDevice, ReportsAFullOne) {
  auto node = open<HostDeviceDriver>("/dev/full");
  ASSERT_TRUE(node);
  const auto result = node->ref().write(quiet_call(), 0, "x", 1);
  EXPECT_EQ(result.error().code, ENOSPC);
  EXPECT_EQ(result.error().message, "No space left on device");
}

}  // namespace
}  // namespace instar::file
