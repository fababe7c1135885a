// SPDX-License-Identifier: Apache-2.0
/** @file rule.hpp What a rule is, and what testing one gives. RULES.md tells authors of each. */
#pragma once

#include <string>
#include <vector>

#include "sdk/cpp/result.hpp"

namespace instar::conformance {

enum class Verdict { kPassed, kFailed, kCrashed, kHung, kSkipped, kWarning };

const char* verdict_name(Verdict verdict);

struct Outcome {
  Verdict verdict = Verdict::kPassed;
  std::string message;
};

/** Ends a test; thrown by require() and skip() and caught by the runner. */
struct Ended {
  Outcome outcome;
};

template <class... Parts>
[[noreturn]] void broken(const Parts&... parts) {
  throw Ended{{Verdict::kFailed, sdk::cat(parts...)}};
}
template <class... Parts>
[[noreturn]] void skip(const Parts&... parts) {
  throw Ended{{Verdict::kSkipped, sdk::cat(parts...)}};
}
template <class... Parts>
[[noreturn]] void warn(const Parts&... parts) {
  throw Ended{{Verdict::kWarning, sdk::cat(parts...)}};
}
template <class... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) broken(parts...);
}
/** The value, or the end of the test with the error's message behind `what`. */
template <class T, class... Parts>
T need(sdk::Result<T> result, const Parts&... what) {
  if (!result) broken(what..., ": ", result.error().message);
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

class Bench;

/** What a rule is about; to be combined. */
enum Subjects : unsigned {
  kFormats = 1,
  kProtocols = 2,
  kFilters = 4,
  kCodecs = 8,
  kOthers = 16,  ///< commands, encryption: only what holds for every library
  kNodes = kFormats | kProtocols | kFilters,
  kAll = 31,
};

struct Rule {
  const char* id;
  const char* title;
  unsigned subjects;
  void (*test)(Bench& bench);
  unsigned seconds = 60;  ///< longer than that is a hang
};

/** All rules in the order in which they are tested. */
std::vector<Rule> all_rules();

std::vector<Rule> library_rules();
std::vector<Rule> node_rules();
std::vector<Rule> write_rules();
std::vector<Rule> fault_rules();
std::vector<Rule> hostile_rules();
std::vector<Rule> codec_rules();
std::vector<Rule> protocol_rules();
std::vector<Rule> parity_rules();

}  // namespace instar::conformance
