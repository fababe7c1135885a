// SPDX-License-Identifier: Apache-2.0
// What holds for codecs (sdk/abi/codec.h).
#include <algorithm>
#include <thread>

#include "sdk/conformance/bench.hpp"

namespace instar::conformance {
namespace {

constexpr uint8_t kCanary = 0xa5;
constexpr size_t kMargin = 64;

/** A context, with margins around every output. */
class Context {
 public:
  Context(Bench& bench, uint32_t framing = INSTAR_FRAMING_DEFAULT, int level = 0)
      : ops_(bench.table<instar_codec_ops>()) {
    const instar_codec_params params{sizeof params, framing, level, 0, 0};
    sdk::OutgoingCall call;
    need(call.status(ops_.open(bench.host(), call.abi(), &params, &context_)), "open");
  }
  ~Context() { ops_.close(context_); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  size_t bound(size_t length) const { return ops_.bound(length); }
  int64_t compress(const Bytes& in, size_t room, Bytes& out) {
    return run(ops_.compress, in, room, out);
  }
  int64_t decompress(const Bytes& in, size_t room, Bytes& out) {
    return run(ops_.decompress, in, room, out);
  }
  Bytes pack(const Bytes& in) {
    Bytes out;
    const int64_t n = compress(in, bound(in.size()), out);
    require(n > 0, "compressing ", in.size(), " bytes into the bound gives ", n);
    return out;
  }

 private:
  using Work = int64_t (*)(void*, instar_call*, const void*, size_t, void*, size_t);
  int64_t run(Work work, const Bytes& in, size_t room, Bytes& out) {
    out.assign(room + kMargin, kCanary);
    sdk::OutgoingCall call;
    const int64_t n = work(context_, call.abi(), in.data(), in.size(), out.data(), room);
    require(n <= static_cast<int64_t>(room), "returns ", n, " for ", room, " bytes of room");
    require(std::all_of(out.begin() + static_cast<ptrdiff_t>(room), out.end(),
                        [](uint8_t b) { return b == kCanary; }),
            "wrote beyond the output");
    out.resize(n > 0 ? static_cast<size_t>(n) : 0);
    return n;
  }

  const instar_codec_ops& ops_;
  void* context_ = nullptr;
};

/** Noise, zeroes, text-like, repeating; sizes around powers of two. */
Bytes sample(Bench& bench, unsigned n) {
  static constexpr size_t kSizes[] = {1, 2, 100, 511, 512, 4096, 4097, 65535, 65536, 200000};
  Bytes bytes = bench.random_bytes(kSizes[n % std::size(kSizes)]);
  const size_t period = 1 + bench.pick(5000);
  switch (n / std::size(kSizes) % 4) {
    case 0:
      break;
    case 1:
      std::fill(bytes.begin(), bytes.end(), uint8_t{0});
      break;
    case 2:
      for (auto& byte : bytes)
        byte = static_cast<uint8_t>('a' + byte % 7);
      break;
    default:
      for (size_t i = period; i < bytes.size(); ++i)
        bytes[i] = bytes[i - period];
  }
  return bytes;
}
constexpr unsigned kSamples = 40;

void round_trip(Bench& bench) {
  Context context(bench);
  for (unsigned n = 0; n < kSamples; ++n) {
    const Bytes in = sample(bench, n);
    const Bytes packed = context.pack(in);
    Bytes out;
    const int64_t length = context.decompress(packed, in.size(), out);
    require(length == static_cast<int64_t>(in.size()), "decompressing gives ", length,
            " instead of ", in.size());
    require_equal(out, in, "round trip");
  }
}

void too_small_is_enospc(Bench& bench) {
  Context context(bench);
  for (unsigned n = 0; n < kSamples; ++n) {
    const Bytes in = sample(bench, n);
    const size_t length = context.pack(in).size();
    for (const size_t room : {size_t{0}, size_t{1}, length / 2, length - 1}) {
      Bytes packed;
      const int64_t got = context.compress(in, room, packed);
      if (got == -ENOSPC) continue;
      require(got > 0, "compressing into ", room, " bytes gives ", got);
      // Pressed for room, a codec may find something shorter.
      Bytes out;
      context.decompress(packed, in.size(), out);
      require_equal(out, in, sdk::cat("compressed into ", room, " bytes"));
    }
  }
}

void rubbish_behind_is_ignored(Bench& bench) {
  Context context(bench);
  for (unsigned n = 0; n < kSamples; ++n) {
    const Bytes in = sample(bench, n);
    Bytes packed = context.pack(in);
    const Bytes more = bench.random_bytes(700);
    packed.insert(packed.end(), more.begin(), more.end());
    Bytes out;
    const int64_t length = context.decompress(packed, in.size(), out);
    require(length == static_cast<int64_t>(in.size()), "with rubbish behind it: ", length);
    require_equal(out, in, "with rubbish behind it");
  }
}

void stops_when_full(Bench& bench) {
  Context context(bench);
  for (unsigned n = 0; n < kSamples; ++n) {
    const Bytes in = sample(bench, n);
    const Bytes packed = context.pack(in);
    const size_t room = in.size() / 2;
    Bytes out;
    const int64_t length = context.decompress(packed, room, out);
    require(length == static_cast<int64_t>(room), room, " bytes of room give ", length);
    require(std::equal(out.begin(), out.end(), in.begin()), "the first half differs");
  }
}

void same_result_every_time(Bench& bench) {
  Context used(bench);
  for (unsigned n = 0; n < kSamples; ++n) {
    const Bytes in = sample(bench, n);
    Context fresh(bench);
    require(used.pack(in) == fresh.pack(in), "the result depends on earlier blocks");
  }
}

void rubbish_is_an_error(Bench& bench) {
  Context context(bench);
  for (unsigned n = 0; n < 4000; ++n) {
    Bytes packed = n % 2 == 0 ? bench.random_bytes(bench.pick(2000))
                              : context.pack(sample(bench, static_cast<unsigned>(bench.pick(40))));
    for (uint64_t changes = bench.pick(6); changes > 0 && !packed.empty(); --changes)
      packed[bench.pick(packed.size())] = static_cast<uint8_t>(bench.pick(256));
    if (n % 3 == 0) packed.resize(bench.pick(packed.size() + 1));
    bench.note(sdk::cat("damaged input ", n));
    Bytes out;
    const int64_t length = context.decompress(packed, 65536, out);
    require(length >= 0 || length == -EIO, "damaged input gives ", length, " instead of -EIO");
  }
}

void refuses_unknown_framing(Bench& bench) {
  const auto& ops = bench.table<instar_codec_ops>();
  const instar_codec_params params{sizeof params, 0xffff, 0, 0, 0};
  void* context = nullptr;
  sdk::OutgoingCall call;
  const int result = ops.open(bench.host(), call.abi(), &params, &context);
  require(result < 0, "opens with a framing that does not exist");
  require(!call.error(result).message.empty(), "refuses without a message");
}

void contexts_work_at_once(Bench& bench) {
  std::vector<Bytes> samples;
  for (unsigned n = 0; n < kSamples; ++n)
    samples.push_back(sample(bench, n));
  constexpr size_t kThreads = 4;
  std::vector<std::string> problems(kThreads);
  std::vector<std::thread> threads;
  bench.table<instar_codec_ops>();
  for (size_t t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      try {
        Context context(bench);
        for (const auto& in : samples) {
          Bytes out;
          context.decompress(context.pack(in), in.size(), out);
          require_equal(out, in, "round trip in several threads");
        }
      } catch (const Ended& ended) {
        problems[t] = ended.outcome.message;
      }
    });
  for (auto& thread : threads)
    thread.join();
  for (const auto& problem : problems)
    require(problem.empty(), problem);
}

}  // namespace

std::vector<Rule> codec_rules() {
  return {
      {"C1", "a block survives the round trip", kCodecs, &round_trip},
      {"C2", "an output that is too small is -ENOSPC", kCodecs, &too_small_is_enospc},
      {"C3", "bytes behind the stream are ignored", kCodecs, &rubbish_behind_is_ignored},
      {"C4", "decompressing stops when the output is full", kCodecs, &stops_when_full},
      {"C5", "a block's result does not depend on others", kCodecs, &same_result_every_time},
      {"C6", "damaged input is an error", kCodecs, &rubbish_is_an_error},
      {"C7", "unknown parameters are refused", kCodecs, &refuses_unknown_framing},
      {"C8", "contexts work at once", kCodecs, &contexts_work_at_once},
  };
}

}  // namespace instar::conformance
