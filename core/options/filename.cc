// SPDX-License-Identifier: Apache-2.0
#include "core/options/filename.hpp"

#include <algorithm>

namespace instar::options {

std::optional<std::string_view> protocol_prefix(std::string_view name) {
  const size_t end = name.find_first_of(":/");
  if (end == std::string_view::npos || name[end] != ':') return std::nullopt;
  return name.substr(0, end);
}

std::optional<std::string_view> json_name_text(std::string_view name) {
  constexpr std::string_view kPrefix = "json:";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  return name.substr(kPrefix.size());
}

bool is_absolute_path(std::string_view path) {
  return path.starts_with('/');
}

std::string combine_paths(std::string_view base, std::string_view name) {
  if (is_absolute_path(name)) return std::string(name);
  size_t keep = 0;
  if (const auto protocol = protocol_prefix(base)) keep = protocol->size() + 1;
  const size_t slash = base.rfind('/');
  if (slash != std::string_view::npos) keep = std::max(keep, slash + 1);
  return std::string(base.substr(0, keep)) + std::string(name);
}

}  // namespace instar::options
