// SPDX-License-Identifier: Apache-2.0
// What holds for every open node, also a read-only one (sdk/abi/node.h).
#include <algorithm>
#include <bit>
#include <boost/json/parse.hpp>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "sdk/abi/info.h"
#include "sdk/abi/map.h"
#include "sdk/abi/rawfd.h"
#include "sdk/conformance/bench.hpp"

namespace instar::conformance {
namespace {

constexpr uint32_t kKnownExtentFlags = 0x7f;
/** As much of an image as a test reads or maps. */
constexpr uint64_t kMostTested = uint64_t{64} << 20;

/** Runs a test on every image that there is. */
template <class Test>
void each_image(Bench& bench, Test test) {
  for (const auto& store : bench.filled_images()) {
    bench.note("image " + store.name);
    const auto opened = bench.open(store);
    test(opened);
    opened.close();
  }
}

uint64_t tested_size(const Opened& opened) {
  sdk::OutgoingCall call;
  const int64_t size = opened.driver.ops->size(opened.driver.self, call.abi());
  require(size >= 0, "size gives ", size);
  return std::min<uint64_t>(static_cast<uint64_t>(size), kMostTested);
}

instar_node_limits driver_limits(const Opened& opened) {
  return opened.node->driver_limits();
}

void limits_are_sane(Bench& bench) {
  each_image(bench, [&](const Opened& opened) {
    constexpr uint8_t kCanary = 0xa5;
    uint8_t memory[sizeof(instar_node_limits) + 64];
    std::memset(memory, 0, sizeof(instar_node_limits));
    std::memset(memory + sizeof(instar_node_limits), kCanary, 64);
    auto* limits = reinterpret_cast<instar_node_limits*>(memory);
    limits->struct_size = sizeof *limits;
    sdk::OutgoingCall call;
    need(call.status(opened.driver.ops->limits(opened.driver.self, call.abi(), limits)), "limits");
    for (size_t i = sizeof *limits; i < sizeof memory; ++i)
      require(memory[i] == kCanary, "limits writes beyond struct_size");
    for (const uint32_t value : {limits->request_alignment, limits->memory_alignment,
                                 limits->write_zeroes_alignment, limits->discard_alignment})
      require(value == 0 || std::has_single_bit(value), "an alignment is ", value);
    for (const unsigned ability : {limits->can_write, limits->can_write_zeroes, limits->can_discard,
                                   limits->can_flush, limits->can_extents})
      require(ability <= INSTAR_ABILITY_NATIVE, "an ability is ", ability);
    require(opened.driver.ops->thread_model <= INSTAR_THREADS_GLOBAL, "the thread model is ",
            opened.driver.ops->thread_model);
    const uint64_t size = tested_size(opened);
    require(size == tested_size(opened), "the size differs from call to call");
  });
}

struct Piece {
  uint64_t offset;
  instar_extent extent;
};

/** One question to the driver, with the answer checked as node.h says. */
std::vector<instar_extent> ask_extents(const Opened& opened, uint64_t offset, uint64_t length,
                                       size_t max) {
  const auto& driver = opened.driver;
  std::vector<instar_extent> out(max);
  sdk::OutgoingCall call;
  const int64_t n = driver.ops->extents(driver.self, call.abi(), offset, length, out.data(), max);
  if (n < 0) broken("extents of ", length, " at ", offset, ": ", call.error(n).message);
  require(n >= 1 && static_cast<size_t>(n) <= max, "extents of ", length, " at ", offset,
          " returns ", n, " of at most ", max);
  out.resize(static_cast<size_t>(n));
  uint64_t covered = 0;
  for (const auto& extent : out) {
    require(extent.length > 0, "an extent at ", offset + covered, " has length 0");
    require(extent.length <= length - covered, "the extent at ", offset + covered, " of ",
            extent.length, " bytes goes beyond the ", length, " asked for at ", offset);
    require((extent.flags & ~kKnownExtentFlags) == 0, "unknown flags ", sdk::hex(extent.flags));
    const bool plain = (extent.flags & INSTAR_EXTENT_OFFSET) != 0;
    if (plain && !opened.node->children().empty())
      require(extent.child < opened.node->children().size(), "an extent names child ", extent.child,
              ", which was never opened");
    covered += extent.length;
  }
  return out;
}

std::vector<Piece> map_all(const Opened& opened, uint64_t size, size_t max) {
  std::vector<Piece> pieces;
  for (uint64_t at = 0; at < size;)
    for (const auto& extent : ask_extents(opened, at, size - at, max)) {
      pieces.push_back({at, extent});
      at += extent.length;
    }
  return pieces;
}

/** What an offset's status is in a whole map. */
const Piece& piece_at(const std::vector<Piece>& pieces, uint64_t offset) {
  const auto after =
      std::upper_bound(pieces.begin(), pieces.end(), offset,
                       [](uint64_t value, const Piece& piece) { return value < piece.offset; });
  return *std::prev(after);
}

void extents_cover_once(Bench& bench) {
  each_image(bench, [&](const Opened& opened) {
    if (opened.driver.ops->extents == nullptr) return;
    const uint64_t size = tested_size(opened);
    if (size == 0) return;
    const auto whole = map_all(opened, size, 64);
    for (unsigned i = 0; i < 300; ++i) {
      const uint64_t offset = sdk::round_down(bench.pick(size), bench.pick(2) == 0 ? 512 : 1);
      const uint64_t length = 1 + bench.pick(size - offset);
      uint64_t at = offset;
      for (const auto& extent : ask_extents(opened, offset, length, 1 + bench.pick(8))) {
        constexpr uint32_t kStatus = INSTAR_EXTENT_DATA | INSTAR_EXTENT_ZERO;
        const uint32_t expected = piece_at(whole, at).extent.flags;
        require((extent.flags & kStatus) == (expected & kStatus), "the status at ", at, " is ",
                sdk::hex(extent.flags), " in one answer and ", sdk::hex(expected), " in another");
        at += extent.length;
      }
    }
  });
}

void check_piece(Bench& bench, const Opened& opened, const Piece& piece) {
  const auto& [offset, extent] = piece;
  Bytes bytes(extent.length);
  need(opened.node->read(bench.call(), offset, bytes.data(), bytes.size()), "reading ",
       extent.length, " bytes at ", offset);
  if ((extent.flags & INSTAR_EXTENT_ZERO) != 0)
    require(sdk::is_zero(bytes.data(), bytes.size()), "the extent at ", offset, " of ",
            extent.length, " bytes is ZERO but does not read as zeroes");
  constexpr uint32_t kSpecial = INSTAR_EXTENT_COMPRESSED | INSTAR_EXTENT_ENCRYPTED;
  const bool plain = (extent.flags & INSTAR_EXTENT_OFFSET) != 0 && (extent.flags & kSpecial) == 0;
  if (!plain || opened.node->children().empty() || (extent.flags & INSTAR_EXTENT_DATA) == 0) return;
  Bytes below(extent.length);
  const auto& child = opened.node->children()[extent.child].node;
  need(child->read(bench.call(), extent.child_offset, below.data(), below.size()),
       "reading the child at ", extent.child_offset);
  require_equal(below, bytes,
                sdk::cat("the extent at ", offset, " says that its bytes lie at ",
                         extent.child_offset, " of child ", extent.child));
}

void reads_agree_with_extents(Bench& bench) {
  each_image(bench, [&](const Opened& opened) {
    if (opened.driver.ops->extents == nullptr) return;
    for (const auto& piece : map_all(opened, tested_size(opened), 1000))
      check_piece(bench, opened, piece);
  });
}

/** Reads straight from the driver, scattered over several pieces of memory. */
void read_scattered(Bench& bench, const Opened& opened, const Bytes& whole, uint64_t unit) {
  const uint64_t units = whole.size() / unit;
  if (units == 0) return;
  const auto limits = driver_limits(opened);
  const uint64_t first = bench.pick(units);
  uint64_t count = 1 + bench.pick(std::min<uint64_t>(units - first, 200));
  if (limits.max_transfer != 0) count = std::clamp<uint64_t>(limits.max_transfer / unit, 1, count);
  const size_t memory = std::max<size_t>(limits.memory_alignment, 16);
  std::unique_ptr<uint8_t, void (*)(void*)> buffer(
      static_cast<uint8_t*>(std::aligned_alloc(memory, sdk::round_up(count * unit, memory))),
      &std::free);
  std::vector<instar_iovec> pieces;
  for (uint64_t done = 0; done < count;) {
    uint64_t n = 1 + bench.pick(count - done);
    if (n * unit % memory != 0) n = count - done;
    pieces.push_back({buffer.get() + done * unit, n * unit});
    done += n;
  }
  sdk::OutgoingCall call;
  need(call.status(opened.driver.ops->read(opened.driver.self, call.abi(), first * unit,
                                           pieces.data(), pieces.size())),
       "reading ", count * unit, " bytes at ", first * unit);
  require(std::equal(buffer.get(), buffer.get() + count * unit,
                     whole.begin() + static_cast<ptrdiff_t>(first * unit)),
          "reading ", count * unit, " bytes at ", first * unit, " in ", pieces.size(),
          " pieces differs from reading all");
}

void reads_do_not_depend_on_cuts(Bench& bench) {
  each_image(bench, [&](const Opened& opened) {
    Bytes whole(tested_size(opened));
    if (!whole.empty())
      need(opened.node->read(bench.call(), 0, whole.data(), whole.size()), "reading all");
    const uint64_t unit = std::max<uint64_t>(driver_limits(opened).request_alignment, 1);
    for (unsigned i = 0; i < 200; ++i)
      read_scattered(bench, opened, whole, i % 2 == 0 ? unit : sdk::round_up(4096, unit));
  });
}

void nothing_and_the_end(Bench& bench) {
  each_image(bench, [&](const Opened& opened) {
    const uint64_t size = need(opened.node->size(), "size");
    uint8_t byte = 0;
    for (const uint64_t offset : {uint64_t{0}, size / 2, size})
      need(opened.node->read(bench.call(), offset, &byte, 0), "reading 0 bytes at ", offset);
    Bytes last(std::min<uint64_t>(size, 3 * 512 + 1));
    if (!last.empty())
      need(opened.node->read(bench.call(), size - last.size(), last.data(), last.size()),
           "reading the last ", last.size(), " bytes");
    sdk::OutgoingCall call;
    const int got = opened.driver.ops->read(opened.driver.self, call.abi(), 0, nullptr, 0);
    require(got >= 0, "a read without memory gives ", got);
  });
}

void interfaces_are_declared(Bench& bench) {
  static constexpr const char* kKnown[] = {
      "instar.amend/1",       "instar.bitmap/1",   "instar.cancel/1", "instar.change-backing/1",
      "instar.check/1",       "instar.compress/1", "instar.info/1",   "instar.make-empty/1",
      "instar.map/1",         "instar.rawfd/1",    "instar.resize/1", "instar.snapshot/1",
      "instar.debug-event/1",
  };
  each_image(bench, [&](const Opened& opened) {
    const auto get = opened.driver.ops->get_interface;
    if (get == nullptr) return;
    void* self = nullptr;
    for (const char* id : {"", "com.example.nothing/1", "instar.info/999"})
      require(get(opened.driver.self, id, &self) == nullptr, "has an interface '", id, "'");
    const auto& declared = bench.subject().provide->interfaces;
    for (const char* id : kKnown)
      if (get(opened.driver.self, id, &self) != nullptr &&
          std::find(declared.begin(), declared.end(), id) == declared.end())
        warn("offers ", id, ", which its manifest does not tell");
  });
}

void read_only_stays_so(Bench& bench) {
  for (const auto& store : bench.filled_images()) {
    Bytes before;
    if (!store.disks.empty()) before = store.own().content();
    const auto opened = bench.open(store);
    const auto& driver = opened.driver;
    const uint64_t unit = std::max<uint64_t>(driver_limits(opened).request_alignment, 512);
    if (driver.ops->write != nullptr && tested_size(opened) >= unit) {
      Bytes data(unit, 0x77);
      const instar_iovec piece{data.data(), data.size()};
      sdk::OutgoingCall call;
      const int result = driver.ops->write(driver.self, call.abi(), 0, &piece, 1, 0);
      if (store.disks.empty())
        require(result <= 0, "a write gives ", result);
      else
        require(result < 0, "a node that was opened read-only takes a write");
    }
    opened.close();
    if (!store.disks.empty()) require(store.own().content() == before, "reading changed the image");
  }
}

void info_is_json(Bench& bench) {
  each_image(bench, [&](const Opened& opened) {
    void* self = nullptr;
    const auto* info = opened.node->interface<instar_info_ops>(INSTAR_INFO_ID, &self);
    if (info == nullptr) return;
    sdk::StringSink sink;
    sdk::OutgoingCall call;
    need(call.status(info->describe(self, call.abi(), sink.abi())), "describe");
    boost::system::error_code error;
    const auto value = boost::json::parse(sink.text, error);
    require(!error && value.is_object(), "describe gives no JSON object: ", sink.text);
  });
}

void readers_work_at_once(Bench& bench) {
  each_image(bench, [&](const Opened& opened) {
    Bytes whole(tested_size(opened));
    if (whole.empty()) return;
    need(opened.node->read(bench.call(), 0, whole.data(), whole.size()), "reading all");
    constexpr unsigned kThreads = 4;
    std::vector<std::string> problems(kThreads);
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t] {
        std::mt19937_64 random(bench.settings().seed + t);
        Bytes got;
        for (unsigned i = 0; i < 200 && problems[t].empty(); ++i) {
          const uint64_t offset = random() % whole.size();
          got.resize(1 + random() % std::min<uint64_t>(whole.size() - offset, 100000));
          const auto result = opened.node->read(Call(nullptr), offset, got.data(), got.size());
          if (!result)
            problems[t] = result.error().message;
          else if (!std::equal(got.begin(), got.end(),
                               whole.begin() + static_cast<ptrdiff_t>(offset)))
            problems[t] = sdk::cat("reading ", got.size(), " bytes at ", offset,
                                   " differs when others read too");
        }
      });
    for (auto& thread : threads)
      thread.join();
    for (const auto& problem : problems)
      require(problem.empty(), problem);
  });
}

void raw_descriptor_tells_the_truth(Bench& bench) {
  each_image(bench, [&](const Opened& opened) {
    void* self = nullptr;
    const auto* ops = opened.node->interface<instar_rawfd_ops>(INSTAR_RAWFD_ID, &self);
    if (ops == nullptr) skip("the node has no " INSTAR_RAWFD_ID);
    instar_rawfd raw{};
    raw.struct_size = sizeof raw;
    sdk::OutgoingCall call;
    need(call.status(ops->get(self, call.abi(), &raw)), "rawfd");
    if (raw.direct != 0) return;
    Bytes through(tested_size(opened)), straight(through.size());
    need(opened.node->read(bench.call(), 0, through.data(), through.size()), "reading all");
    const ssize_t n = pread(raw.fd, straight.data(), straight.size(), static_cast<off_t>(raw.base));
    require(n >= 0, "the descriptor can't be read: ", sdk::errno_text(errno));
    require_equal(straight, through, "through the descriptor");
  });
}

}  // namespace

std::vector<Rule> node_rules() {
  return {
      {"N1", "size and limits are sane", kNodes, &limits_are_sane},
      {"N2", "extents cover exactly once", kNodes, &extents_cover_once},
      {"N3", "reads agree with extents", kNodes, &reads_agree_with_extents},
      {"N4", "reads do not depend on how they are cut", kNodes, &reads_do_not_depend_on_cuts},
      {"N5", "zero bytes and the last bytes can be read", kNodes, &nothing_and_the_end},
      {"N6", "interfaces are declared, unknown ones NULL", kNodes, &interfaces_are_declared},
      {"N7", "what is opened read-only stays as it is", kNodes, &read_only_stays_so},
      {"N8", "the description is a JSON object", kNodes, &info_is_json},
      {"N9", "readers work at once", kNodes, &readers_work_at_once},
      {"N10", "a raw descriptor has the same bytes", kNodes, &raw_descriptor_tells_the_truth},
  };
}

}  // namespace instar::conformance
