// SPDX-License-Identifier: Apache-2.0
#include "sdk/conformance/runner.hpp"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "core/base/fd.hpp"

namespace instar::conformance {
namespace {

using Clock = std::chrono::steady_clock;

/** A folder that goes with the object. */
class ScratchFolder {
 public:
  ScratchFolder() {
    const char* base = std::getenv("TMPDIR");
    path_ = std::string(base != nullptr ? base : "/tmp") + "/instar-conformance-XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  ~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/** Keeps a plugin that allocates without end from taking the machine down. Sanitizers need all the
 * addresses there are. */
void limit_address_space() {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  const rlimit limit{uint64_t{8} << 30, uint64_t{8} << 30};
  setrlimit(RLIMIT_AS, &limit);
#endif
}

/** The test itself, in its own process: notes are lines "@…", the end is "=", verdict, message. */
[[noreturn]] void test_and_exit(const Rule& rule, const Settings& settings, const Subject& subject,
                                const std::string& folder, int report) {
  setpgid(0, 0);
  limit_address_space();
  Outcome outcome;
  try {
    Bench bench(settings, subject, folder, report);
    rule.test(bench);
  } catch (const Ended& ended) {
    outcome = ended.outcome;
  } catch (const std::exception& e) {
    outcome = {Verdict::kFailed, e.what()};
  }
  std::string line = "=";
  line += static_cast<char>('0' + static_cast<int>(outcome.verdict));
  // A line: what a program said may have more of them.
  while (outcome.message.ends_with('\n'))
    outcome.message.pop_back();
  std::replace(outcome.message.begin(), outcome.message.end(), '\n', ' ');
  line += outcome.message;
  const ssize_t written = write(report, line.data(), line.size());
  _exit(written == static_cast<ssize_t>(line.size()) ? 0 : 1);
}

/** What the test says until it ends; false when the time is over first. */
bool listen(int from, Clock::time_point deadline, std::string& said) {
  std::array<char, 4096> buffer{};
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd wait{from, POLLIN, 0};
    if (left <= 0) return false;
    if (poll(&wait, 1, static_cast<int>(left)) <= 0) continue;
    const ssize_t n = read(from, buffer.data(), buffer.size());
    if (n <= 0) return true;
    said.append(buffer.data(), static_cast<size_t>(n));
  }
}

/** ", at: NOTE" with the last note, for a test that did not end by itself. */
std::string last_note(const std::string& said) {
  const size_t end = said.rfind('\n');
  if (end == std::string::npos) return {};
  const size_t before = end == 0 ? std::string::npos : said.rfind('\n', end - 1);
  const size_t begin = before == std::string::npos ? 0 : before + 1;
  return ", at: " + said.substr(begin + 1, end - begin - 1);
}

Outcome judge(const std::string& said, int status, const rusage& used, const Limits& limits) {
  if (WIFSIGNALED(status))
    return {Verdict::kCrashed, std::string(strsignal(WTERMSIG(status))) + last_note(said)};
  const size_t last_line = said.rfind('\n') == std::string::npos ? 0 : said.rfind('\n') + 1;
  const size_t end = said.find('=', last_line);
  if (end == std::string::npos || end + 1 >= said.size())
    return {Verdict::kCrashed, sdk::cat("exit status ", WEXITSTATUS(status), last_note(said))};
  const auto peak = static_cast<uint64_t>(used.ru_maxrss) * 1024;
  if (limits.memory_bytes != 0 && peak > limits.memory_bytes)
    return {Verdict::kFailed, sdk::cat("used ", peak >> 20, " MiB of memory")};
  return {static_cast<Verdict>(said[end + 1] - '0'), said.substr(end + 2)};
}

}  // namespace

const char* verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPassed:
      return "Passed";
    case Verdict::kFailed:
      return "Failed";
    case Verdict::kCrashed:
      return "Crashed";
    case Verdict::kHung:
      return "Hung";
    case Verdict::kSkipped:
      return "Skipped";
    case Verdict::kWarning:
      return "Warning";
  }
  return "Unknown";
}

Outcome run_rule(const Rule& rule, const Settings& settings, const Subject& subject,
                 const Limits& limits) {
  const ScratchFolder folder;
  int ends[2];
  if (folder.path().empty() || pipe(ends) != 0)
    return {Verdict::kFailed, sdk::cat("the kit itself: ", sdk::errno_text(errno))};
  const base::Fd from(ends[0]);
  base::Fd to(ends[1]);
  const pid_t child = fork();
  if (child < 0) return {Verdict::kFailed, sdk::cat("fork: ", sdk::errno_text(errno))};
  if (child == 0) test_and_exit(rule, settings, subject, folder.path(), to.get());
  to.reset();
  const double seconds = rule.seconds * limits.time_factor;
  const auto deadline = Clock::now() + std::chrono::milliseconds(static_cast<int>(seconds * 1000));
  std::string said;
  const bool ended = listen(from.get(), deadline, said);
  if (!ended) kill(-child, SIGKILL);
  int status = 0;
  rusage used{};
  wait4(child, &status, 0, &used);
  if (!ended)
    return {Verdict::kHung,
            sdk::cat("not done after ", static_cast<int>(seconds), " s", last_note(said))};
  return judge(said, status, used, limits);
}

}  // namespace instar::conformance
