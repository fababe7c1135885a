// SPDX-License-Identifier: Apache-2.0
// Sinks, messages, map and progress. Expected texts were taken from qemu-img 10.0.2.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <thread>
#include <vector>

#include "core/base/fd.hpp"
#include "core/base/file.hpp"
#include "core/options/json_text.hpp"
#include "core/output/map_printer.hpp"
#include "core/output/messages.hpp"
#include "core/output/progress.hpp"
#include "core/output/sink.hpp"
#include "sdk/abi/node.h"

namespace instar::output {
namespace {

constexpr uint32_t kData = INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED;
constexpr uint32_t kPlain = kData | INSTAR_EXTENT_OFFSET;

TEST(Messages, PrefixAndHint) {
  EXPECT_EQ(error_text("qemu-img", "x.q: bad"), "qemu-img: x.q: bad\n");
  EXPECT_EQ(error_text("instar", "bad", "first\nsecond"), "instar: bad\nfirst\nsecond\n");
  EXPECT_EQ(error_text("instar", "bad", "first\n"), "instar: bad\nfirst\n");
  EXPECT_EQ(warning_text("qemu-img", "short", "Please"), "qemu-img: warning: short\nPlease");
}

TEST(FdSink, BuffersAndKeepsTheFirstError) {
  const std::string path = testing::TempDir() + "/instar_sink";
  std::string expected;
  {
    const base::Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
    FdSink sink(fd.get());
    for (const size_t length : {5, 70'000, 60'000, 10'000, 1}) {
      const std::string text(length, static_cast<char>('a' + length % 26));
      sink.write(text);
      expected += text;
    }
  }
  EXPECT_EQ(*base::read_file(path, 1 << 20), expected);
  unlink(path.c_str());

  const base::Fd full(open("/dev/full", O_WRONLY));
  FdSink failing(full.get());
  failing.write("x");
  EXPECT_EQ(failing.flush().error().code, ENOSPC);
  EXPECT_EQ(failing.flush().error().code, ENOSPC);
}

std::string map_text(MapStyle style, const std::vector<instar_map_extent>& runs,
                     std::string* error = nullptr) {
  StringSink sink;
  {
    MapPrinter printer(sink, style);
    printer.begin();
    for (const instar_map_extent& run : runs) {
      if (const Status status = printer.add(run); !status) {
        if (error != nullptr) *error = status.error().message;
        break;
      }
      if (&run == &runs.back()) printer.end();
    }
  }
  return sink.text();
}

TEST(Map, Human) {
  EXPECT_EQ(map_text(MapStyle::kHuman, {{0, 0x100000, 0x50000, kPlain, 0, "a.qcow2"},
                                        {0x100000, 0x200000, 0, INSTAR_EXTENT_ZERO, 0, nullptr},
                                        {0x300000, 0x10000, 0x150000, kPlain, 0, "a.qcow2"}}),
            "Offset          Length          Mapped to       File\n"
            "0               0x100000        0x50000         a.qcow2\n"
            "0x300000        0x10000         0x150000        a.qcow2\n");
}

TEST(Map, HumanRefusesWhatLiesNowherePlain) {
  constexpr const char* kHeader = "Offset          Length          Mapped to       File\n";
  std::string error;
  EXPECT_EQ(map_text(MapStyle::kHuman, {{0, 512, 0, kData | INSTAR_EXTENT_COMPRESSED, 0, nullptr}},
                     &error),
            kHeader);
  EXPECT_EQ(error, "File contains external, encrypted or compressed clusters.");
  // Zeroes without a place are refused in the first run only.
  const instar_map_extent zero = {0, 512, 0, kData | INSTAR_EXTENT_ZERO, 0, nullptr};
  error.clear();
  map_text(MapStyle::kHuman, {zero}, &error);
  EXPECT_NE(error, "");
  error.clear();
  map_text(MapStyle::kHuman, {{0, 512, 0, 0, 0, nullptr}, zero}, &error);
  EXPECT_EQ(error, "");
}

TEST(Map, HumanWithAVeryLongName) {
  const std::string name(300'000, 'n');
  const std::string text = map_text(MapStyle::kHuman, {{0, 1, 0, kPlain, 0, name.c_str()}});
  EXPECT_TRUE(text.ends_with(name + "\n"));
}

TEST(Map, Json) {
  EXPECT_EQ(
      map_text(MapStyle::kJson,
               {{0, 1048576, 327680, kPlain, 0, "a"},
                {1048576, 2097152, 0, INSTAR_EXTENT_ZERO, 1, nullptr},
                {3145728, 65536, 0, kData | INSTAR_EXTENT_COMPRESSED, 0, nullptr},
                {3211264, 10, 3211264,
                 INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_ZERO | INSTAR_EXTENT_OFFSET, 12, "a"}}),
      R"([{ "start": 0, "length": 1048576, "depth": 0, "present": true, "zero": false, "data": true, "compressed": false, "offset": 327680},
{ "start": 1048576, "length": 2097152, "depth": 1, "present": false, "zero": true, "data": false, "compressed": false},
{ "start": 3145728, "length": 65536, "depth": 0, "present": true, "zero": false, "data": true, "compressed": true},
{ "start": 3211264, "length": 10, "depth": 12, "present": true, "zero": true, "data": false, "compressed": false, "offset": 3211264}]
)");
  EXPECT_EQ(
      map_text(MapStyle::kJson, {{20971520, 0, 0, 0, 0, nullptr}}),
      R"([{ "start": 20971520, "length": 0, "depth": 0, "present": false, "zero": false, "data": false, "compressed": false}]
)");
}

TEST(Map, EveryCombinationOfFlagsIsValidJson) {
  std::vector<instar_map_extent> runs;
  for (uint32_t flags = 0; flags < 128; flags++)
    runs.push_back({UINT64_MAX, UINT64_MAX, UINT64_MAX, flags, INT32_MAX, nullptr});
  const auto parsed = options::parse_json(map_text(MapStyle::kJson, runs));
  ASSERT_TRUE(parsed);
  for (uint32_t flags = 0; flags < 128; flags++) {
    const auto& run = parsed->get_array()[flags].get_object();
    EXPECT_EQ(run.at("present").get_bool(), (flags & INSTAR_EXTENT_ALLOCATED) != 0);
    EXPECT_EQ(run.at("zero").get_bool(), (flags & INSTAR_EXTENT_ZERO) != 0);
    EXPECT_EQ(run.at("data").get_bool(), (flags & INSTAR_EXTENT_DATA) != 0);
    EXPECT_EQ(run.at("compressed").get_bool(), (flags & INSTAR_EXTENT_COMPRESSED) != 0);
    EXPECT_EQ(run.contains("offset"), (flags & INSTAR_EXTENT_OFFSET) != 0);
  }
}

/** Time that stands still unless told. */
struct FakeClock {
  std::chrono::steady_clock::time_point now{std::chrono::seconds(1000)};
  Progress::Clock get() {
    return [this] { return now; };
  }
};

struct Shown {
  std::string out;
  std::string errors;
};

Shown show(ProgressSettings settings, const std::vector<std::pair<uint64_t, uint64_t>>& reports) {
  StringSink out;
  StringSink errors;
  FakeClock clock;
  Progress progress(settings, out, errors, clock.get());
  for (const auto& [done, total] : reports)
    progress.report(done, total);
  progress.finish();
  return {out.text(), errors.text()};
}

TEST(Progress, QemuStyle) {
  EXPECT_EQ(show({ProgressStyle::kQemu, 1}, {{0, 17}, {16, 17}, {17, 17}, {1, 1}}).out,
            "    (0.00/100%)\r    (94.12/100%)\r    (100.00/100%)\r    (100.00/100%)\r\n");
}

TEST(Progress, StepsMustBeExceeded) {
  std::vector<std::pair<uint64_t, uint64_t>> reports;
  for (uint64_t percent = 0; percent <= 5; percent++)
    reports.emplace_back(percent, 100);
  EXPECT_EQ(show({ProgressStyle::kQemu, 2}, reports).out, "    (0.00/100%)\r    (3.00/100%)\r\n");
  EXPECT_EQ(show({ProgressStyle::kQemu, 2}, {{50, 100}, {0, 100}, {0, 0}}).out,
            "    (50.00/100%)\r    (0.00/100%)\r    (100.00/100%)\r\n");
}

TEST(Progress, SignalAsksForOneLine) {
  answer_progress_signal();
  const ProgressSettings silent{ProgressStyle::kNone, 1};
  EXPECT_EQ(show(silent, {{10, 100}, {20, 100}}).errors, "");
  raise(SIGUSR1);
  const Shown shown = show(silent, {{10, 100}, {20, 100}});
  EXPECT_EQ(shown.errors, "    (10.00/100%)\n");
  EXPECT_EQ(shown.out, "");
}

TEST(Progress, Json) {
  StringSink out;
  FakeClock clock;
  Progress progress({ProgressStyle::kJson, 1}, out, out, clock.get());
  progress.report(0, 1);
  clock.now += std::chrono::seconds(2);
  progress.report(1, 200);  // too small a step
  progress.report(50, 200);
  clock.now += std::chrono::milliseconds(500);
  progress.report(200, 200);
  progress.report(1, 1);  // has been said
  progress.finish();
  EXPECT_EQ(
      out.text(),
      "{\"percent\": 0.00, \"done\": 0, \"total\": 0, \"elapsed\": 0.000, \"rate\": null, "
      "\"eta\": null}\n"
      "{\"percent\": 25.00, \"done\": 50, \"total\": 200, \"elapsed\": 2.000, \"rate\": 25, "
      "\"eta\": 6.000}\n"
      "{\"percent\": 100.00, \"done\": 200, \"total\": 200, \"elapsed\": 2.500, \"rate\": 80, "
      "\"eta\": 0.000}\n");
}

TEST(Progress, JsonWithoutBytesHasNoRate) {
  const std::string text = show({ProgressStyle::kJson, 1, false}, {{3, 4}, {1, 1}}).out;
  EXPECT_EQ(
      text,
      "{\"percent\": 75.00, \"done\": 3, \"total\": 4, \"elapsed\": 0.000, \"eta\": null}\n"
      "{\"percent\": 100.00, \"done\": 4, \"total\": 4, \"elapsed\": 0.000, \"eta\": null}\n");
}

TEST(Messages, Json) {
  EXPECT_EQ(json_message("error", "no \"x\"", ""), "{\"error\":{\"message\":\"no \\\"x\\\"\"}}\n");
  EXPECT_EQ(json_message("warning", "a", "b\nc"),
            "{\"warning\":{\"message\":\"a\",\"hint\":\"b\\u000ac\"}}\n");
}

TEST(Messages, Cautions) {
  EXPECT_EQ(caution_text("a", ""), "WARNING: a\n");
  EXPECT_EQ(caution_text("a", "b\nc"), "WARNING: a\n         b\n         c\n");
}

TEST(Progress, Bar) {
  StringSink out;
  FakeClock clock;
  Progress progress({ProgressStyle::kBar, 1, true, 60}, out, out, clock.get());
  progress.report(0, 100 << 20);
  clock.now += std::chrono::milliseconds(50);
  progress.report(1 << 20, 100 << 20);  // too soon after the last one
  clock.now += std::chrono::milliseconds(1950);
  progress.report(25 << 20, 100 << 20);
  clock.now += std::chrono::seconds(62);
  progress.report(100 << 20, 100 << 20);
  progress.finish();
  EXPECT_EQ(out.text(),
            "\r  0.0% [--------------------]\x1b[K"
            "\r 25.0% [#####---------------] 12.5 MiB/s ETA 0:06\x1b[K"
            "\r100.0% [####################] 1.56 MiB/s in 1:04\x1b[K\n");
}

TEST(Progress, BarMakesRoom) {
  StringSink out;
  FakeClock clock;
  Progress progress({ProgressStyle::kBar, 1, false, 40}, out, out, clock.get());
  progress.make_room();  // nothing is shown yet
  progress.report(0, 4);
  progress.make_room();
  out.write("text\n");
  progress.report(1, 4);  // at once, for the last one is not to be seen
  progress.report(4, 4);
  progress.make_room();
  out.write("text\n");
  progress.finish();
  EXPECT_EQ(out.text(),
            "\r  0.0%\x1b[K\r\x1b[Ktext\n"
            "\r 25.0% ETA 0:00\x1b[K\r100.0% in 0:00\x1b[K\ntext\n");
}

TEST(Progress, ManyThreadsAtOnce) {
  StringSink out;
  StringSink errors;
  Progress progress({ProgressStyle::kQemu, 1}, out, errors);
  constexpr size_t kThreads = 4;
  std::vector<std::jthread> threads;
  threads.reserve(kThreads);
  for (size_t i = 0; i < kThreads; i++) {
    threads.emplace_back([&] {
      for (uint64_t done = 1; done < 1000; done++)
        progress.report(done, 1000);
    });
  }
  threads.clear();
  progress.report(1, 1);
  progress.finish();
  EXPECT_TRUE(out.text().ends_with("    (100.00/100%)\r\n"));
}

}  // namespace
}  // namespace instar::output
