// SPDX-License-Identifier: Apache-2.0
// What holds when the file below fails, the power goes, or the caller wants no more.
#include <algorithm>

#include "sdk/abi/map.h"
#include "sdk/conformance/bench.hpp"

namespace instar::conformance {
namespace {

constexpr uint32_t kWritable = INSTAR_OPEN_WRITE | INSTAR_OPEN_UNMAP;
constexpr uint64_t kSize = uint64_t{1} << 20;

Store in_memory(Bench& bench, uint64_t size) {
  auto store = bench.create(size);
  if (store.disks.empty()) skip("the files are not in memory");
  return store;
}

void for_each_disk(const Store& store, const auto& action) {
  for (const auto& [name, disk] : store.disks)
    action(*disk);
}

uint64_t failures(const Store& store) {
  uint64_t sum = 0;
  for_each_disk(store, [&](Disk& disk) { sum += disk.failures(); });
  return sum;
}

/** One request of any kind; content does not matter. */
Status any_request(Bench& bench, block::Node& node, uint64_t size) {
  const uint64_t offset = bench.pick(size);
  const uint64_t length = 1 + bench.pick(std::min<uint64_t>(size - offset, 100000));
  Bytes data = bench.random_bytes(length);
  switch (bench.pick(6)) {
    case 0:
      return node.write_zeroes(bench.call(), offset, length, INSTAR_WRITE_MAY_UNMAP);
    case 1:
      return node.discard(bench.call(), offset, length);
    case 2:
      return node.flush(bench.call());
    case 3:
      return node.read(bench.call(), offset, data.data(), length);
    default:
      return node.write(bench.call(), offset, data.data(), length);
  }
}

/** Reads all of an image while the read number `skipped` fails; false: it has no such read. */
bool read_with_failure(Bench& bench, const Store& store, const Bytes& model, uint64_t skipped) {
  for_each_disk(store, [&](Disk& disk) { disk.fail_requests(kDiskRead, skipped, EIO, 1); });
  const auto opened = bench.try_open(store);
  Bytes got(model.size());
  Status read;
  for (size_t at = 0; opened && read && at < got.size(); at += 65536)
    read = opened->node->read(bench.call(), at, got.data() + at,
                              std::min<size_t>(65536, got.size() - at));
  const bool injected = failures(store) > 0;
  for_each_disk(store, [](Disk& disk) { disk.stop_failing(); });
  if (!injected) return false;
  require(opened || !opened.error().message.empty(), "open failed without a message");
  if (!opened) return true;
  if (read) require_equal(got, model, sdk::cat("read ", skipped, " failed below, unnoticed"));
  require_equal(read_all(bench, *opened->node), model, "reading again after an error");
  opened->close();
  return true;
}

void failed_reads_are_errors(Bench& bench) {
  for (const auto& store : bench.filled_images()) {
    if (store.disks.empty()) skip("the files are not in memory");
    const auto sound = bench.open(store);
    const Bytes model = read_all(bench, *sound.node);
    sound.close();
    for (uint64_t skipped = 0; skipped < 60; ++skipped) {
      bench.note(sdk::cat(store.name, ": read ", skipped, " fails"));
      if (!read_with_failure(bench, store, model, skipped)) break;
    }
  }
}

constexpr uint64_t kSector = 512;

/** What was flushed, and which sectors were written since; their content is open. */
struct Flushed {
  Bytes content;
  std::vector<bool> touched;
};

void note_touched(Flushed& flushed, uint64_t offset, uint64_t length) {
  std::fill_n(flushed.touched.begin() + static_cast<ptrdiff_t>(offset / kSector),
              sdk::div_up(length, kSector), true);
}

void require_flushed(const Bytes& got, const Flushed& flushed, const std::string& what) {
  require(got.size() == flushed.content.size(), what, ": the size has changed");
  for (size_t i = 0; i < flushed.touched.size(); ++i) {
    const auto from = static_cast<ptrdiff_t>(i * kSector);
    const auto to = static_cast<ptrdiff_t>(std::min<size_t>((i + 1) * kSector, got.size()));
    if (flushed.touched[i] ||
        std::equal(got.begin() + from, got.begin() + to, flushed.content.begin() + from))
      continue;
    broken(what, ": the sector at ", from, ", which was flushed, has other bytes");
  }
}

/** Writes until something fails; tells which bytes were touched. */
void write_until_failure(Bench& bench, block::Node& node, Flushed& flushed, unsigned requests) {
  const uint64_t size = flushed.content.size();
  for (unsigned i = 0; i < requests; ++i) {
    const uint64_t offset = sdk::round_down(bench.pick(size), kSector);
    const uint64_t length =
        std::min<uint64_t>(size - offset, 512 * (1 + bench.pick(bench.pick(4) == 0 ? 300 : 8)));
    const auto data = bench.random_bytes(length);
    note_touched(flushed, offset, length);
    const uint64_t roll = bench.pick(8);
    const Status done =
        roll == 0   ? node.write_zeroes(bench.call(), offset, length, INSTAR_WRITE_MAY_UNMAP)
        : roll == 1 ? node.discard(bench.call(), offset, length)
                    : node.write(bench.call(), offset, data.data(), data.size());
    if (!done) return;
  }
}

/** An image with flushed content, open for writing. */
Opened open_flushed(Bench& bench, const Store& store, Flushed& flushed) {
  auto opened = bench.open(store, kWritable);
  flushed.content = new_content(bench, *opened.node);
  fill(bench, *opened.node, flushed.content, 25);
  need(opened.node->flush(bench.call()), "flushing");
  flushed.touched.assign(sdk::div_up(flushed.content.size(), kSector), false);
  return opened;
}

void failed_writes_lose_nothing_flushed(Bench& bench) {
  for (uint64_t skipped = 0; skipped < 40; ++skipped) {
    bench.note(sdk::cat("write ", skipped, " fails"));
    const auto store = in_memory(bench, kSize);
    Flushed flushed;
    const auto opened = open_flushed(bench, store, flushed);
    const int err = skipped % 2 == 0 ? EIO : ENOSPC;
    const uint64_t count = skipped % 4 < 2 ? 1 : UINT64_MAX;
    for_each_disk(store, [&](Disk& disk) { disk.fail_requests(kDiskWrite, skipped, err, count); });
    write_until_failure(bench, *opened.node, flushed, 60);
    for_each_disk(store, [](Disk& disk) { disk.stop_failing(); });
    (void)static_cast<bool>(opened.node->close(bench.call()));
    const auto again = bench.open(store);
    require_flushed(read_all(bench, *again.node), flushed,
                    sdk::cat("after write ", skipped, " failed below"));
    again.close();
  }
}

void failed_writes_are_errors(Bench& bench) {
  for (uint64_t skipped = 0; skipped < 30; ++skipped) {
    bench.note(sdk::cat("write ", skipped, " fails"));
    const auto store = in_memory(bench, kSize);
    const auto opened = bench.open(store, kWritable);
    Bytes model = new_content(bench, *opened.node);
    for_each_disk(store, [&](Disk& disk) { disk.fail_requests(kDiskWrite, skipped, EIO, 1); });
    bool told = false;
    for (unsigned i = 0; i < 20 && !told; ++i) {
      const uint64_t offset = sdk::round_down(bench.pick(model.size() - 70000), kSector);
      const auto data = bench.random_bytes(kSector * (1 + bench.pick(130)));
      std::copy(data.begin(), data.end(), model.begin() + static_cast<ptrdiff_t>(offset));
      told = !opened.node->write(bench.call(), offset, data.data(), data.size());
    }
    told = told || !opened.node->flush(bench.call());
    told = !opened.node->close(bench.call()) || told;
    for_each_disk(store, [](Disk& disk) { disk.stop_failing(); });
    if (told) continue;
    const auto again = bench.open(store);
    require_equal(read_all(bench, *again.node), model,
                  sdk::cat("write ", skipped, " failed below, and nobody was told"));
    again.close();
  }
}

void failed_flush_is_an_error(Bench& bench) {
  for (unsigned round = 0; round < 10; ++round) {
    const auto store = in_memory(bench, kSize);
    const auto opened = bench.open(store, kWritable);
    Bytes model = new_content(bench, *opened.node);
    fill(bench, *opened.node, model, 5 * (round + 1));
    for_each_disk(store, [](Disk& disk) { disk.fail_requests(kDiskFlush, 0, EIO); });
    const Status flushed = opened.node->flush(bench.call());
    const bool injected = failures(store) > 0;
    for_each_disk(store, [](Disk& disk) { disk.stop_failing(); });
    require(!flushed || !injected, "a flush that failed below succeeds");
    require_equal(read_all(bench, *opened.node), model, "after a failed flush");
    // Whether later flushes succeed is open: the kernel may have dropped what it could not write.
    (void)static_cast<bool>(opened.node->close(bench.call()));
  }
}

void nothing_crashes_when_all_fails(Bench& bench) {
  for (unsigned round = 0; round < 40; ++round) {
    bench.note(sdk::cat("round ", round));
    const auto store = in_memory(bench, kSize);
    const auto opened = bench.open(store, kWritable);
    const uint64_t size = need(opened.node->size(), "size");
    for (unsigned i = 0; i < 60; ++i) {
      if (i % 7 == 3)
        for_each_disk(store, [&](Disk& disk) {
          disk.fail_requests(1 + static_cast<unsigned>(bench.pick(7)), bench.pick(6), EIO,
                             1 + bench.pick(10));
        });
      (void)static_cast<bool>(any_request(bench, *opened.node, size));
    }
    (void)static_cast<bool>(opened.node->close(bench.call()));
    for_each_disk(store, [](Disk& disk) { disk.stop_failing(); });
    bench.open(store).close();
  }
}

void power_cut_keeps_what_was_flushed(Bench& bench) {
  for (uint64_t cut = 0; cut < 60; cut += 1 + cut / 12) {
    bench.note(sdk::cat("power cut after write ", cut));
    const auto store = in_memory(bench, kSize);
    for_each_disk(store, [](Disk& disk) { disk.watch_power(); });
    Flushed flushed;
    const auto opened = open_flushed(bench, store, flushed);
    for_each_disk(store, [&](Disk& disk) { disk.cut_power_after(cut); });
    write_until_failure(bench, *opened.node, flushed, 80);
    for (unsigned chance = 0; chance < 4; ++chance) {
      Store left;
      left.name = store.name;
      for (const auto& [name, disk] : store.disks)
        left.disks[name] = std::make_shared<Disk>(disk->after_power_cut(bench.random()));
      const std::string what = sdk::cat("after a power cut at write ", cut);
      const auto again = need(bench.try_open(left), what, ", opening");
      require_flushed(read_all(bench, *again.node), flushed, what);
      again.close();
      // A writer repairs what it needs, or says why it can't.
      const auto writer = bench.try_open(left, kWritable);
      if (writer) {
        require_flushed(read_all(bench, *writer->node), flushed, what + ", opened for writing");
        writer->close();
      }
    }
    (void)static_cast<bool>(opened.node->close(bench.call()));
  }
}

/** Asks for places for all of a new image while the disk is full after `room` writes; gives back
 * those that it got. */
void place_on_full_disk(Bench& bench, const Store& store, uint64_t room) {
  const auto opened = bench.open(store, kWritable);
  void* self = nullptr;
  const auto* ops = opened.node->interface<instar_map_ops>(INSTAR_MAP_ID, &self);
  if (ops == nullptr || ops->prepare_write == nullptr) skip("the format places no writes");
  const uint64_t size = need(opened.node->size(), "size");
  for_each_disk(store, [&](Disk& disk) { disk.fail_requests(kDiskWrite, room, ENOSPC); });
  for (uint64_t at = 0; at < size;) {
    instar_placement placements[16];
    sdk::OutgoingCall call;
    const int64_t n =
        ops->prepare_write(self, call.abi(), at, size - at, placements, std::size(placements));
    if (n <= 0) break;
    ops->abort_write(self, placements, static_cast<size_t>(n));
    at = placements[n - 1].offset + placements[n - 1].length;
  }
  for_each_disk(store, [](Disk& disk) { disk.stop_failing(); });
  // Nothing is in the way of a later write.
  const Bytes data = bench.random_bytes(size);
  need(opened.node->write(bench.call(), 0, data.data(), data.size()), "writing with room again");
  require_equal(read_all(bench, *opened.node), data, "writing with room again");
  opened.close();
}

void places_on_full_disk_are_given_back(Bench& bench) {
  for (uint64_t room = 0; room < 24; ++room) {
    bench.note(sdk::cat("full after ", room, " writes"));
    const auto store = in_memory(bench, kSize);
    place_on_full_disk(bench, store, room);
    (void)require_sound(bench, store, sdk::cat("full after ", room, " writes"));
  }
}

void cancelled_calls_end(Bench& bench) {
  for (const auto& store : bench.filled_images()) {
    const auto opened = bench.open(store);
    const int32_t cancelled = 1;
    instar_call abi{};
    abi.struct_size = sizeof abi;
    abi.fail = [](instar_call*, int, const char*, size_t, const char*, size_t) noexcept {};
    abi.cancelled = &cancelled;
    const Call call(&abi);
    Bytes data(std::min<uint64_t>(need(opened.node->size(), "size"), 1 << 20));
    const Status read = opened.node->read(call, 0, data.data(), data.size());
    require(read || read.error().code == ECANCELED, "a cancelled read ends with ",
            read ? "" : read.error().message);
    need(opened.node->read(bench.call(), 0, data.data(), data.size()),
         "reading after a cancelled call");
    opened.close();
  }
}

}  // namespace

std::vector<Rule> fault_rules() {
  constexpr unsigned kStacked = kFormats | kFilters;
  return {
      {"F1", "a read that fails below is an error", kStacked, &failed_reads_are_errors},
      {"F2", "a write that fails below loses nothing flushed", kStacked,
       &failed_writes_lose_nothing_flushed},
      {"F3", "a flush that fails below is an error", kStacked, &failed_flush_is_an_error},
      {"F4", "nothing crashes when everything fails", kStacked, &nothing_crashes_when_all_fails},
      {"F5", "a power cut loses nothing flushed", kStacked, &power_cut_keeps_what_was_flushed, 180},
      {"F6", "cancelled calls end", kNodes, &cancelled_calls_end},
      {"F7", "a write that fails below is an error", kStacked, &failed_writes_are_errors},
      {"F8", "places on a full disk are given back", kFormats, &places_on_full_disk_are_given_back},
  };
}

}  // namespace instar::conformance
