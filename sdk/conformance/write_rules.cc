// SPDX-License-Identifier: Apache-2.0
// What holds for nodes that can be written.
#include <algorithm>
#include <span>
#include <thread>

#include "sdk/abi/compress.h"
#include "sdk/abi/map.h"
#include "sdk/abi/resize.h"
#include "sdk/conformance/bench.hpp"

namespace instar::conformance {
namespace {

constexpr uint32_t kWritable = INSTAR_OPEN_WRITE | INSTAR_OPEN_UNMAP;
constexpr uint64_t kSize = (uint64_t{4} << 20) + 1536;

void require_content(Bench& bench, const Store& store, const Bytes& model,
                     const std::string& what) {
  const auto opened = bench.open(store);
  require_equal(read_all(bench, *opened.node), model, what);
  opened.close();
}

void fresh_image_is_zero(Bench& bench) {
  for (const uint64_t size : {uint64_t{0}, uint64_t{512}, kSize, uint64_t{24} << 20}) {
    Store store;
    // Some formats have no empty disks.
    if (size == 0 && bench.creates() && !bench.try_create(size, store)) continue;
    store = bench.create(size);
    const auto opened = bench.open(store);
    if (unwritten_is_noise(*opened.node)) skip("what was never written is noise");
    const auto content = read_all(bench, *opened.node);
    require(content.size() >= size, "an image of ", size, " bytes has ", content.size());
    require(sdk::is_zero(content.data(), content.size()), "a new image of ", size,
            " bytes does not read as zeroes");
    opened.close();
  }
}

void writes_match_a_model(Bench& bench) {
  const auto store = bench.create(kSize);
  auto opened = bench.open(store, kWritable);
  Bytes model = new_content(bench, *opened.node);
  for (unsigned round = 0; round < 4; ++round) {
    bench.note(sdk::cat("round ", round));
    fill(bench, *opened.node, model, 150);
    require_equal(read_all(bench, *opened.node), model, "after writing");
    opened.close();
    require_content(bench, store, model, "after opening again");
    opened = bench.open(store, kWritable);
  }
  opened.close();
}

/** Every thread writes its own sectors, which share clusters with the others'. */
void writers_work_at_once(Bench& bench) {
  constexpr unsigned kThreads = 4;
  constexpr uint64_t kSector = 512;
  const auto store = bench.create(kSize);
  const auto opened = bench.open(store, kWritable);
  Bytes model = new_content(bench, *opened.node);
  const uint64_t sectors = model.size() / kSector;
  std::vector<std::string> problems(kThreads);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      std::mt19937_64 random(bench.settings().seed * 31 + t);
      Bytes data(kSector), got(kSector);
      for (unsigned i = 0; i < 500 && problems[t].empty(); ++i) {
        const uint64_t offset = (random() % (sectors / kThreads) * kThreads + t) * kSector;
        uint8_t* own = model.data() + offset;
        Status done;
        if (i % 8 == 0) {
          std::fill_n(own, kSector, uint8_t{0});
          done = opened.node->write_zeroes(Call(nullptr), offset, kSector, INSTAR_WRITE_MAY_UNMAP);
        } else {
          std::generate(data.begin(), data.end(),
                        [&] { return static_cast<uint8_t>(random() >> 9); });
          std::copy(data.begin(), data.end(), own);
          done = opened.node->write(Call(nullptr), offset, data.data(), data.size());
        }
        if (done && i % 4 == 0)
          done = opened.node->read(Call(nullptr), offset, got.data(), kSector);
        if (!done)
          problems[t] = done.error().message;
        else if (i % 4 == 0 && !std::equal(got.begin(), got.end(), own))
          problems[t] = sdk::cat("the sector at ", offset, " has lost what was written");
        if (i % 100 == 0) (void)static_cast<bool>(opened.node->flush(Call(nullptr)));
      }
    });
  for (auto& thread : threads)
    thread.join();
  for (const auto& problem : problems)
    require(problem.empty(), problem);
  require_equal(read_all(bench, *opened.node), model, "after all threads have written");
  opened.close();
  require_content(bench, store, model, "after all threads have written and opening again");
}

void flush_is_enough(Bench& bench) {
  const auto store = bench.create(kSize);
  if (store.disks.empty()) skip("the files are not in memory");
  const auto opened = bench.open(store, kWritable);
  Bytes model = new_content(bench, *opened.node);
  fill(bench, *opened.node, model, 100);
  need(opened.node->flush(bench.call()), "flushing");
  // What lies in the files now is all that there is: the writer is not closed.
  Store copy;
  copy.name = store.name;
  for (const auto& [name, disk] : store.disks)
    copy.disks[name] = std::make_shared<Disk>(disk->content());
  require_content(bench, copy, model, "what a flush left in the files");
  opened.close();
}

void store_packed(Bench& bench, const Opened& opened, Bytes& model, const instar_compress_ops& ops,
                  void* self, uint64_t cluster) {
  const uint64_t offset = bench.pick(sdk::div_up(model.size(), cluster)) * cluster;
  const size_t length = std::min<uint64_t>(cluster, model.size() - offset);
  Bytes block = bench.random_bytes(length);
  const uint64_t same = bench.pick(length + 1);
  std::fill_n(block.begin(), same, static_cast<uint8_t>(bench.pick(4)));
  Bytes packed(length);
  sdk::OutgoingCall call;
  const int64_t n = ops.pack(self, call.abi(), block.data(), length, packed.data(), packed.size());
  if (n == -ENOSPC)
    need(opened.node->write(bench.call(), offset, block.data(), length), "writing");
  else if (n < 0)
    broken("packing: ", call.error(n).message);
  else
    need(call.status(
             ops.store(self, call.abi(), offset, length, packed.data(), static_cast<size_t>(n))),
         "storing ", n, " packed bytes at ", offset);
  std::copy(block.begin(), block.end(), model.begin() + static_cast<ptrdiff_t>(offset));
}

void compressed_writes_match(Bench& bench) {
  const auto store = bench.create(kSize);
  const auto opened = bench.open(store, kWritable);
  void* self = nullptr;
  const auto* ops = opened.node->interface<instar_compress_ops>(INSTAR_COMPRESS_ID, &self);
  if (ops == nullptr) skip("the format does not compress");
  const uint64_t cluster = opened.node->limits().cluster_size;
  require(cluster > 0, "a format that compresses has to tell its cluster size");
  Bytes model = new_content(bench, *opened.node);
  for (unsigned i = 0; i < 200; ++i) {
    store_packed(bench, opened, model, *ops, self, cluster);
    if (i % 3 == 0) fill(bench, *opened.node, model, 1);
  }
  require_equal(read_all(bench, *opened.node), model, "after compressed writes");
  opened.close();
  require_content(bench, store, model, "after compressed writes and opening again");
}

void place_one(Bench& bench, const Opened& opened, Bytes& model, const instar_map_ops& ops,
               void* self, uint64_t unit) {
  const uint64_t units = model.size() / unit;
  if (units == 0) skip("the image is smaller than a cluster");
  const uint64_t offset = bench.pick(units) * unit;
  const uint64_t length = (1 + bench.pick(std::min<uint64_t>(units - offset / unit, 4))) * unit;
  instar_placement placements[8];
  sdk::OutgoingCall call;
  const int64_t n =
      ops.prepare_write(self, call.abi(), offset, length, placements, std::size(placements));
  if (n == -ENOTSUP) return;
  require(n >= 1 && n <= 8, "prepare_write of ", length, " at ", offset, " returns ", n);
  const auto count = static_cast<size_t>(n);
  const bool written = bench.pick(4) != 0;
  const bool kept = written && bench.pick(4) != 0;
  uint64_t at = offset;
  for (const auto& place : std::span(placements, count)) {
    require(place.offset == at && place.length > 0 && place.length <= offset + length - at,
            "a placement covers ", place.length, " at ", place.offset, ", not at ", at);
    require(place.child < opened.node->children().size(), "a placement names child ", place.child);
    const auto data = bench.random_bytes(place.length);
    if (written)
      need(opened.node->children()[place.child].node->write(bench.call(), place.child_offset,
                                                            data.data(), data.size()),
           "writing to the child");
    if (kept) std::copy(data.begin(), data.end(), model.begin() + static_cast<ptrdiff_t>(at));
    at += place.length;
  }
  if (kept) {
    need(call.status(ops.commit_write(self, call.abi(), placements, count)), "commit_write");
    return;
  }
  ops.abort_write(self, placements, count);
  // The place may have been where the data is already: what was written there has changed it.
  if (written)
    need(opened.node->read(bench.call(), offset, model.data() + offset, at - offset),
         "reading after an aborted write");
}

void placed_writes_match(Bench& bench) {
  const auto store = bench.create(kSize);
  const auto opened = bench.open(store, kWritable);
  void* self = nullptr;
  const auto* ops = opened.node->interface<instar_map_ops>(INSTAR_MAP_ID, &self);
  if (ops == nullptr || ops->prepare_write == nullptr) skip("the format places no writes");
  const uint64_t unit = std::max<uint64_t>(opened.node->limits().cluster_size, 65536);
  Bytes model = new_content(bench, *opened.node);
  for (unsigned i = 0; i < 200; ++i) {
    place_one(bench, opened, model, *ops, self, unit);
    if (i % 4 == 0) fill(bench, *opened.node, model, 1);
  }
  require_equal(read_all(bench, *opened.node), model, "after placed writes");
  opened.close();
  require_content(bench, store, model, "after placed writes and opening again");
}

void resizing_keeps_content(Bench& bench) {
  const auto store = bench.create(kSize);
  auto opened = bench.open(store, kWritable);
  Bytes model = new_content(bench, *opened.node);
  fill(bench, *opened.node, model, 40);
  for (const uint64_t size : {kSize * 3 / 1024 * 1024, kSize / 2 / 65536 * 65536, 2 * kSize}) {
    void* self = nullptr;
    const auto* ops = opened.node->interface<instar_resize_ops>(INSTAR_RESIZE_ID, &self);
    if (ops == nullptr) skip("the node has no " INSTAR_RESIZE_ID);
    sdk::OutgoingCall call;
    const int result = ops->resize(self, call.abi(), size, INSTAR_PREALLOCATION_OFF, 0, nullptr);
    if (result == -ENOTSUP) skip("resizing to ", size, ": ", call.error(result).message);
    need(call.status(result), "resizing to ", size);
    const size_t kept = std::min<size_t>(model.size(), size);
    model.resize(kept);
    const Bytes fresh = new_content(bench, *opened.node);
    model.insert(model.end(), fresh.begin() + static_cast<ptrdiff_t>(kept), fresh.end());
    require_equal(read_all(bench, *opened.node), model, sdk::cat("resized to ", size));
    opened.close();
    require_content(bench, store, model, sdk::cat("resized to ", size, " and opened again"));
    opened = bench.open(store, kWritable);
    fill(bench, *opened.node, model, 20);
  }
  opened.close();
}

void own_check_is_clean(Bench& bench) {
  const auto [store, model] = bench.filled_image(kSize);
  if (!require_sound(bench, store, "filled")) skip("the format has no check");
}

}  // namespace

std::vector<Rule> write_rules() {
  constexpr unsigned kWritten = kNodes;
  return {
      {"W1", "a new image reads as zeroes", kFormats | kProtocols, &fresh_image_is_zero},
      {"W2", "writes, zeroes and discards match a model", kWritten, &writes_match_a_model},
      {"W3", "writers work at once", kWritten, &writers_work_at_once},
      {"W4", "after a flush the files hold everything", kWritten, &flush_is_enough},
      {"W5", "compressed writes match a model", kFormats, &compressed_writes_match},
      {"W6", "placed writes match a model", kFormats, &placed_writes_match},
      {"W7", "resizing keeps the content", kNodes, &resizing_keeps_content},
      {"W8", "the format's own check finds nothing", kFormats, &own_check_is_clean},
  };
}

}  // namespace instar::conformance
