// SPDX-License-Identifier: Apache-2.0
/** @file cli_service.cc The service "instar.options/1". */
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/sizes.hpp"
#include "core/host/services.hpp"
#include "core/host/session.hpp"
#include "core/objects/objects.hpp"
#include "core/options/arguments.hpp"
#include "core/output/messages.hpp"
#include "sdk/cpp/call.hpp"

namespace instar::host {

namespace {

using sdk::Call;
using sdk::guard;

std::vector<options::ArgumentSpec> argument_specs(const instar_arg_spec* specs, size_t count) {
  std::vector<options::ArgumentSpec> out;
  out.reserve(count);
  for (size_t i = 0; i < count; ++i)
    out.push_back({specs[i].id, specs[i].letter, specs[i].takes_value == 1,
                   specs[i].name != nullptr ? std::string_view(specs[i].name) : std::string_view(),
                   specs[i].secondary != 0, specs[i].takes_value == 2});
  return out;
}

/** Values are handed over NUL-terminated. */
int hand_over(const std::vector<options::ArgumentEvent>& events, void* opaque, instar_arg_fn each) {
  for (const auto& event : events) {
    const std::string value(event.value.value_or(std::string_view()));
    const int result = each(opaque, event.id, event.value ? value.c_str() : nullptr);
    if (result < 0) return result;
  }
  return 0;
}

int parse(const instar_host*, int argc, const char* const* argv, const instar_arg_spec* specs,
          size_t spec_count, void* opaque, instar_arg_fn each) noexcept {
  return static_cast<int>(guard(nullptr, [&](const Call&) -> Result<int> {
    const std::vector<std::string_view> words(argv + std::min(argc, 2), argv + argc);
    const auto rows = argument_specs(specs, spec_count);
    const auto parsed = options::parse_arguments(
        words, rows, {sdk::cat(argv[0], " ", argv[1]), std::getenv("POSIXLY_CORRECT") != nullptr});
    if (const int result = hand_over(parsed.events, opaque, each); result < 0) return result;
    if (!parsed.error) return 0;
    output::write_stderr(sdk::cat(parsed.error->message, "\n", parsed.error->hint, "\n"));
    return -EINVAL;
  }));
}

int64_t signed_size(const base::ParsedSize& parsed) {
  if (parsed.error == base::SizeError::kInvalid) return INSTAR_SIZE_INVALID;
  if (parsed.error == base::SizeError::kOutOfRange) return INSTAR_SIZE_RANGE;
  if (parsed.bytes > uint64_t{base::kMaxSize}) return INSTAR_SIZE_LARGE;
  return static_cast<int64_t>(parsed.bytes);
}

int64_t parse_size(const char* text) noexcept {
  return signed_size(base::parse_size(text));
}

int64_t parse_number(const char* text) noexcept {
  return signed_size(base::parse_unsigned(text));
}

int format_size(uint64_t bytes, const instar_sink* sink) noexcept {
  return static_cast<int>(
      guard(nullptr, [&](const Call&) { return sdk::send(sink, base::format_size(bytes)); }));
}

int add_object(const instar_host* host, instar_call* abi, const char* definition) noexcept {
  return static_cast<int>(guard(abi, [&](const Call&) -> Result<int> {
    INSTAR_TRY(const std::string help, objects::Objects::instance().add(definition));
    if (help.empty()) return 0;
    output_service()->print(host, help.data(), help.size());
    return 1;
  }));
}

constexpr instar_cli_ops kOps = {sizeof(instar_cli_ops), 0,           &parse,       &parse_size,
                                 &format_size,           &add_object, &parse_number};

}  // namespace

const instar_cli_ops* cli_service() {
  return &kOps;
}

}  // namespace instar::host
