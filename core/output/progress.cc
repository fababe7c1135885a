// SPDX-License-Identifier: Apache-2.0
#include "core/output/progress.hpp"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "core/base/sizes.hpp"
#include "core/base/strings.hpp"

namespace instar::output {
namespace {

constexpr auto kBarInterval = std::chrono::milliseconds(100);

std::atomic<bool> signal_pending = false;
static_assert(std::atomic<bool>::is_always_lock_free);  // it is set in a signal handler

void on_signal(int) {
  signal_pending.store(true, std::memory_order_relaxed);
}

std::string percent_text(float percent) {
  std::string text = "    (";
  base::append_fixed(text, percent, 2);
  text += "/100%)";
  return text;
}

/** "1:02:03" or "2:03". */
std::string duration_text(double seconds) {
  const auto total = static_cast<uint64_t>(std::clamp(seconds, 0.0, 359'999.0));
  std::string text;
  if (total >= 3600) {
    base::append_decimal(text, total / 3600);
    text += ':';
  }
  base::append_zero_padded(text, total / 60 % 60, total >= 3600 ? 2 : 1);
  text += ':';
  base::append_zero_padded(text, total % 60, 2);
  return text;
}

/** @param done > 0 */
double seconds_left(double elapsed, uint64_t done, uint64_t total) {
  return elapsed * static_cast<double>(total - std::min(done, total)) / static_cast<double>(done);
}

}  // namespace

Progress::Progress(const ProgressSettings& settings, Sink& out, Sink& errors, Clock clock)
    : settings_(settings), out_(out), errors_(errors), clock_(std::move(clock)), start_(clock_()) {}

double Progress::elapsed() const {
  return std::chrono::duration<double>(clock_() - start_).count();
}

bool Progress::is_due(float percent) const {
  const auto step = static_cast<float>(settings_.min_step);
  return percent > last_printed_ + step || percent < last_printed_ - step || percent == 100 ||
         percent == 0;
}

void Progress::report(uint64_t done, uint64_t total) {
  const double exact =
      total == 0 ? 100.0 : 100.0 * static_cast<double>(done) / static_cast<double>(total);
  const float percent = std::min(static_cast<float>(exact), 100.0f);
  const std::lock_guard lock(mutex_);
  if (total == 1) {
    done *= total_;
    total = total_;
  }
  total_ = total;
  if (settings_.style == ProgressStyle::kBar) return print_bar(percent, done, total);
  if (!is_due(percent)) return;
  const bool repeated = told_ && percent == last_printed_;
  told_ = true;
  if (repeated && settings_.style == ProgressStyle::kJson) return;
  last_printed_ = percent;
  print(percent, done, total);
}

void Progress::print(float percent, uint64_t done, uint64_t total) {
  switch (settings_.style) {
    case ProgressStyle::kQemu:
      out_.write(percent_text(percent) + '\r');
      static_cast<void>(out_.flush());
      return;
    case ProgressStyle::kJson:
      return print_json(percent, done, total);
    case ProgressStyle::kNone:
    case ProgressStyle::kBar:
      break;
  }
  if (!signal_pending.exchange(false, std::memory_order_relaxed)) return;
  errors_.write(percent_text(percent) + '\n');
  static_cast<void>(errors_.flush());
}

void Progress::print_json(float percent, uint64_t done, uint64_t total) {
  std::string line = "{\"percent\": ";
  base::append_fixed(line, percent, 2);
  line += cat(", \"done\": ", done, ", \"total\": ", total, ", \"elapsed\": ");
  const double seconds = elapsed();
  const bool known = done > 0 && seconds > 0;
  base::append_fixed(line, seconds, 3);
  if (settings_.in_bytes) {
    line += ", \"rate\": ";
    line += known ? cat(static_cast<uint64_t>(static_cast<double>(done) / seconds)) : "null";
  }
  line += ", \"eta\": ";
  if (known)
    base::append_fixed(line, seconds_left(seconds, done, total), 3);
  else
    line += "null";
  out_.write(line + "}\n");
  static_cast<void>(out_.flush());
}

void Progress::print_bar(float percent, uint64_t done, uint64_t total) {
  constexpr int kTextColumns = 40;  // all but the bar itself
  constexpr int kLongestBar = 60;
  const auto now = clock_();
  const bool last = percent == 100;
  if (!last && shows_bar() && now - last_bar_ < kBarInterval) return;
  last_bar_ = now;
  last_printed_ = percent;

  std::string line = "\r";
  std::string number;
  base::append_fixed(number, percent, 1);
  base::append_right(line, number, 5);
  line += '%';
  const int width = std::clamp(settings_.columns - kTextColumns, 0, kLongestBar);
  if (width > 0) {
    const auto filled = static_cast<size_t>(static_cast<float>(width) * percent / 100);
    line += " [" + std::string(filled, '#') +
            std::string(static_cast<size_t>(width) - filled, '-') + "]";
  }
  const double seconds = elapsed();
  if (settings_.in_bytes && seconds > 0)
    line += cat(" ", base::format_size(static_cast<uint64_t>(static_cast<double>(done) / seconds)),
                "/s");
  if (last) {
    line += " in " + duration_text(seconds);
  } else if (done > 0) {
    line += " ETA " + duration_text(seconds_left(seconds, done, total));
  }
  out_.write(line + "\x1b[K");  // clears what an earlier, longer line left
  static_cast<void>(out_.flush());
}

bool Progress::shows_bar() const {
  return settings_.style == ProgressStyle::kBar && last_bar_.time_since_epoch().count() != 0;
}

void Progress::make_room() {
  const std::lock_guard lock(mutex_);
  if (!shows_bar()) return;
  out_.write(last_printed_ == 100 ? "\n" : "\r\x1b[K");
  static_cast<void>(out_.flush());
  last_bar_ = {};
}

void Progress::finish() {
  if (settings_.style != ProgressStyle::kQemu && !shows_bar()) return;
  out_.write("\n");
  static_cast<void>(out_.flush());
}

void answer_progress_signal() {
  struct sigaction action = {};
  action.sa_handler = &on_signal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, nullptr);
}

int terminal_columns(int fd) {
  winsize size{};
  if (isatty(fd) == 0) return 0;
  if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

}  // namespace instar::output
