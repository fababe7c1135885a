// SPDX-License-Identifier: Apache-2.0
#include "plugins/commands/check/checking.hpp"

#include <cstdio>
#include <utility>

namespace instar::check {

using namespace instar::sdk;

namespace {

bool print_line(std::string_view prefix, std::string_view line) {
  return std::fwrite(prefix.data(), 1, prefix.size(), stderr) == prefix.size() &&
         std::fwrite(line.data(), 1, line.size(), stderr) == line.size();
}

}  // namespace

Status check_once(const CommandContext& context, const NodeRef& node, uint32_t fix,
                  std::string_view prefix, instar_check_result* result) {
  *result = {};
  result->struct_size = sizeof *result;
  void* self = nullptr;
  const auto* ops = node.interface<instar_check_ops>(INSTAR_CHECK_ID, &self);
  if (ops == nullptr) return fail(ENOTSUP, errno_text(ENOTSUP));
  const instar_sink messages{&prefix, [](void* opaque, const char* text, size_t length) {
                               const auto& start = *static_cast<std::string_view*>(opaque);
                               return print_line(start, {text, length}) ? 0 : -EIO;
                             }};
  OutgoingCall call(&context.call());
  return call.status(ops->check(self, call.abi(), fix, result, &messages, nullptr));
}

void add_counters(JsonWriter& json, const instar_check_result& result) {
  json.field("check-errors", result.check_errors);
  const std::pair<const char*, int64_t> counters[] = {
      {"image-end-offset", result.image_end_offset},
      {"corruptions", result.corruptions},
      {"leaks", result.leaks},
      {"corruptions-fixed", result.corruptions_fixed},
      {"leaks-fixed", result.leaks_fixed},
      {"total-clusters", result.total_clusters},
      {"allocated-clusters", result.allocated_clusters},
      {"fragmented-clusters", result.fragmented_clusters},
      {"compressed-clusters", result.compressed_clusters}};
  for (const auto& [name, value] : counters)
    if (value != 0) json.field(name, value);
}

ExitStatus status_of(const instar_check_result& result) {
  if (result.check_errors != 0) return kFailed;
  if (result.corruptions != 0) return kCorrupt;
  return result.leaks != 0 ? kLeaks : kGood;
}

}  // namespace instar::check
