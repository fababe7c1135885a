// SPDX-License-Identifier: Apache-2.0
// What holds for images that somebody damaged, by chance or on purpose.
#include <algorithm>

#include "sdk/abi/info.h"
#include "sdk/conformance/bench.hpp"

namespace instar::conformance {
namespace {

constexpr uint64_t kSize = uint64_t{1} << 20;
constexpr uint64_t kMostRead = uint64_t{1} << 20;
constexpr unsigned kMostExtents = 4096;

/** Everything that a reader does; errors are fine. */
void use(Bench& bench, const Store& store, uint32_t flags) {
  const auto opened = bench.try_open(store, flags);
  if (!opened) {
    require(!opened.error().message.empty(), "refused without a message");
    return;
  }
  auto& node = *opened->node;
  const auto size = node.size();
  void* self = nullptr;
  if (const auto* info = node.interface<instar_info_ops>(INSTAR_INFO_ID, &self)) {
    sdk::StringSink sink;
    sdk::OutgoingCall call;
    info->describe(self, call.abi(), sink.abi());
  }
  if (size && *size > 0) {
    instar_extent extents[64];
    unsigned seen = 0;
    for (uint64_t at = 0; at < *size && seen < kMostExtents;) {
      const auto n = node.extents(bench.call(), at, *size - at, extents, std::size(extents));
      if (!n) break;
      for (size_t i = 0; i < *n; ++i)
        at += extents[i].length;
      seen += static_cast<unsigned>(*n);
    }
    Bytes data(std::min(*size, kMostRead));
    (void)static_cast<bool>(node.read(bench.call(), 0, data.data(), data.size()));
    (void)static_cast<bool>(node.read(bench.call(), *size - data.size(), data.data(), data.size()));
    if ((flags & INSTAR_OPEN_WRITE) != 0)
      for (unsigned i = 0; i < 4; ++i) {
        const uint64_t offset = bench.pick(*size);
        const size_t length = 1 + bench.pick(std::min<uint64_t>(*size - offset, 70000));
        (void)static_cast<bool>(
            node.write(bench.call(), offset, data.data(), std::min(length, data.size())));
      }
    (void)static_cast<bool>(node.flush(bench.call()));
  }
  (void)static_cast<bool>(node.close(bench.call()));
}

std::vector<Store> originals(Bench& bench) {
  auto stores = bench.given_images();
  // What a filter stands on means nothing to it, unless it was given.
  if (bench.creates() && bench.kind() != INSTAR_KIND_FILTER)
    stores.push_back(bench.filled_image(kSize).first);
  if (stores.empty()) skip("the plugin creates no images: give some with --images");
  if (stores.back().disks.empty()) skip("the files are not in memory");
  return stores;
}

Store copy_with(const Store& store, const Bytes& content) {
  Store copy;
  copy.name = store.name;
  for (const auto& [name, disk] : store.disks)
    copy.disks[name] = std::make_shared<Disk>(name.empty() ? content : disk->content());
  return copy;
}

void truncated_images(Bench& bench) {
  for (const auto& store : originals(bench)) {
    const Bytes content = store.own().content();
    std::vector<size_t> lengths;
    for (size_t n = 0; n < std::min<size_t>(content.size(), 600); n += n < 140 ? 1 : 23)
      lengths.push_back(n);
    for (size_t n = 1024; n < content.size(); n += 1 + n / 3)
      lengths.push_back(n);
    for (unsigned i = 0; i < 40; ++i)
      lengths.push_back(bench.pick(content.size() + 1));
    for (const size_t length : lengths) {
      bench.note(sdk::cat(store.name, " cut to ", length, " bytes"));
      const Bytes cut(content.begin(), content.begin() + static_cast<ptrdiff_t>(length));
      use(bench, copy_with(store, cut), 0);
    }
  }
}

/** Values that break careless arithmetic, in either byte order. */
void damage(Bench& bench, Bytes& content, uint64_t reach) {
  static constexpr uint64_t kNasty[] = {0,
                                        1,
                                        0x7f,
                                        0xff,
                                        0x8000,
                                        0xffff,
                                        0x7fffffff,
                                        0x80000000,
                                        0xffffffff,
                                        0x100000000,
                                        0x7fffffffffffffff,
                                        0x8000000000000000,
                                        0xffffffffffffffff,
                                        0xfffffffffffffe00,
                                        uint64_t{1} << 62,
                                        uint64_t{1} << 56};
  const size_t at = bench.pick(std::min<uint64_t>(reach, content.size()));
  const size_t width = std::min<size_t>(size_t{1} << bench.pick(4), content.size() - at);
  const uint64_t value = bench.pick(2) == 0   ? kNasty[bench.pick(std::size(kNasty))]
                         : bench.pick(2) == 0 ? bench.random()()
                                              : bench.pick(content.size() * 2);
  uint8_t bytes[8];
  if (bench.pick(2) == 0)
    sdk::store_be(bytes, value << (8 * (8 - width) % 64));
  else
    sdk::store_le(bytes, value);
  std::copy_n(bytes, width, content.begin() + static_cast<ptrdiff_t>(at));
}

void damage_many(Bench& bench, unsigned rounds, uint64_t reach, uint64_t most_changes) {
  for (const auto& store : originals(bench)) {
    const Bytes content = store.own().content();
    if (content.empty()) continue;
    for (unsigned round = 0; round < rounds; ++round) {
      bench.note(sdk::cat(store.name, ", damage ", round));
      Bytes damaged = content;
      for (uint64_t changes = 1 + bench.pick(most_changes); changes > 0; --changes)
        damage(bench, damaged, bench.pick(3) == 0 ? content.size() : reach);
      use(bench, copy_with(store, damaged), round % 2 == 0 ? 0 : INSTAR_OPEN_WRITE);
    }
  }
}

void damaged_headers(Bench& bench) {
  damage_many(bench, 1500, 128, 2);
}

void damaged_metadata(Bench& bench) {
  damage_many(bench, 800, 300000, 40);
}

void rubbish(Bench& bench) {
  for (unsigned round = 0; round < 400; ++round) {
    bench.note(sdk::cat("rubbish ", round));
    Store store;
    store.name = "rubbish.img";
    store.disks[""] = std::make_shared<Disk>(bench.random_bytes(bench.pick(20000)));
    use(bench, store, 0);
  }
}

}  // namespace

std::vector<Rule> hostile_rules() {
  constexpr unsigned kStacked = kFormats | kFilters;
  return {
      {"H1", "truncated images are survived", kStacked, &truncated_images, 120},
      {"H2", "damaged headers are survived", kStacked, &damaged_headers, 120},
      {"H3", "damaged metadata is survived", kStacked, &damaged_metadata, 120},
      {"H4", "rubbish is survived", kStacked, &rubbish},
  };
}

}  // namespace instar::conformance
