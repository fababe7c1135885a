// SPDX-License-Identifier: Apache-2.0
// A descriptor is text: comments and lines of spaces, then its version.
#include "plugins/formats/vmdk/image.hpp"

namespace instar::vmdk {

namespace {

/** With its end, of either kind. */
bool is_version(std::string_view line) {
  for (const char* version : {"version=1", "version=2", "version=3"})
    if (line.starts_with(version)) return line.substr(9) == "\n" || line.substr(9) == "\r\n";
  return false;
}

bool is_blank(std::string_view line) {
  const size_t end = line.find_first_not_of(' ');
  return end > 0 && end != line.npos && (line.substr(end) == "\n" || line.substr(end) == "\r\n");
}

}  // namespace

int Image::probe(sdk::ConstBytes head, std::string_view) {
  std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  while (!text.empty()) {
    const size_t length = std::min(text.find('\n'), text.size() - 1) + 1;
    const std::string_view line = text.substr(0, length);
    if (!line.starts_with('#') && !is_blank(line)) return is_version(line) ? 100 : 0;
    text.remove_prefix(length);
  }
  return 0;
}

}  // namespace instar::vmdk
