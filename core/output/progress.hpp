// SPDX-License-Identifier: Apache-2.0
/**
 * @file progress.hpp How far a long operation is.
 *
 * QEMU's style prints "    (12.34/100%)\r" whenever it moved by more than a step, and always at 0
 * and 100; scripts parse it. SIGUSR1 asks for one line on stderr where no progress is shown.
 */
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "core/output/sink.hpp"

namespace instar::output {

enum class ProgressStyle {
  kNone,  ///< only answers SIGUSR1
  kQemu,
  kBar,  ///< for people, on a terminal: a bar, rate and time left
  /** A line of JSON per step: {"percent": 12.50, "done": 5, "total": 40, "elapsed": 1.250, "rate": 4,
   * "eta": 8.750}; times in seconds, the rate in bytes a second, null where it is not known yet. */
  kJson,
};

struct ProgressSettings {
  ProgressStyle style = ProgressStyle::kNone;
  double min_step = 1;   ///< percent
  bool in_bytes = true;  ///< done and total are bytes: there is a rate
  int columns = 80;      ///< of the terminal
};

/** report may be called from several threads at once; finish once, at the end. */
class Progress {
 public:
  using Clock = std::function<std::chrono::steady_clock::time_point()>;

  /** Both sinks outlive it. `errors` gets the answers to SIGUSR1. */
  Progress(const ProgressSettings& settings, Sink& out, Sink& errors,
           Clock clock = &std::chrono::steady_clock::now);

  /** done of total; a total of 0 counts as all done, and one of 1 as that of the last report. */
  void report(uint64_t done, uint64_t total);

  /** Before other text on the terminal: a bar that is complete stays above it, one that is not goes,
   * and comes back with the next report. */
  void make_room();

  /** Ends the line that was shown; in QEMU's style also where none was. */
  void finish();

 private:
  bool is_due(float percent) const;
  bool shows_bar() const;
  void print(float percent, uint64_t done, uint64_t total);
  void print_bar(float percent, uint64_t done, uint64_t total);
  void print_json(float percent, uint64_t done, uint64_t total);
  double elapsed() const;

  const ProgressSettings settings_;
  Sink& out_;
  Sink& errors_;
  const Clock clock_;
  std::mutex mutex_;
  const std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_bar_;
  uint64_t total_ = 0;      ///< of the last report
  bool told_ = false;       ///< something was printed
  float last_printed_ = 0;  // single precision: its rounding is visible in the digits
};

/** Installs the handler of SIGUSR1, which every Progress of style kNone answers. */
void answer_progress_signal();

/** Width of the terminal behind `fd`, or 0 if it is none. */
int terminal_columns(int fd);

}  // namespace instar::output
