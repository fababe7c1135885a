// SPDX-License-Identifier: Apache-2.0
/** @file parent_name.hpp Names of parents as Windows programs record them, as names of files here. */
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "bytes.hpp"
#include "driver.hpp"

namespace instar::sdk {

/** UTF-8 of UTF-16 up to its first NUL; U+FFFD for halves of a pair. */
inline std::string utf8_of(const std::vector<uint16_t>& units) {
  std::string text;
  const auto continuation = [&](uint32_t code, int shift) {
    text += static_cast<char>(0x80 | (code >> shift & 0x3f));
  };
  for (size_t i = 0; i < units.size() && units[i] != 0; ++i) {
    uint32_t code = units[i];
    const bool pair =
        (code & 0xfc00) == 0xd800 && i + 1 < units.size() && (units[i + 1] & 0xfc00) == 0xdc00;
    if (pair) {
      code = 0x10000 + ((code & 0x3ff) << 10) + (units[++i] & 0x3ffu);
    } else if ((code & 0xf800) == 0xd800) {
      code = 0xfffd;
    }
    if (code < 0x80) {
      text += static_cast<char>(code);
      continue;
    }
    const int extra = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    text += static_cast<char>((0xff00 >> (extra + 1) & 0xff) | code >> (6 * extra));
    for (int shift = 6 * (extra - 1); shift >= 0; shift -= 6)
      continuation(code, shift);
  }
  return text;
}
/** The same of bytes. */
inline std::string utf8_of(ConstBytes bytes, std::endian order) {
  std::vector<uint16_t> units;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2)
    units.push_back(order == std::endian::big ? load_be<uint16_t>(&bytes[i])
                                              : load_le<uint16_t>(&bytes[i]));
  return utf8_of(units);
}

/** UTF-16 of UTF-8; U+FFFD for what is not. */
inline std::vector<uint16_t> utf16_of(std::string_view text) {
  std::vector<uint16_t> units;
  for (size_t i = 0; i < text.size();) {
    const auto first = static_cast<uint8_t>(text[i++]);
    const int extra = first < 0x80   ? 0
                      : first < 0xc0 ? -1
                      : first < 0xe0 ? 1
                      : first < 0xf0 ? 2
                                     : 3;
    uint32_t code = extra <= 0 ? first : first & (0x3fu >> extra);
    int left = extra;
    for (; left > 0 && i < text.size() && (text[i] & 0xc0) == 0x80; --left)
      code = code << 6 | (static_cast<uint8_t>(text[i++]) & 0x3fu);
    if (left != 0 || code > 0x10ffff) code = 0xfffd;
    if (code >= 0x10000) {
      units.push_back(static_cast<uint16_t>(0xd7c0 + (code >> 10)));
      code = 0xdc00 | (code & 0x3ff);
    }
    units.push_back(static_cast<uint16_t>(code));
  }
  return units;
}

/** "..\disks\parent.vhd": below the image's folder. "" for names that lead elsewhere: "C:\…", "\\…". */
inline std::string relative_name(std::string name) {
  std::replace(name.begin(), name.end(), '\\', '/');
  if (name.starts_with('/') || (name.size() > 1 && name[1] == ':')) return {};
  while (name.starts_with("./"))
    name.erase(0, 2);
  // No protocol is meant.
  return name.find(':') != std::string::npos ? "./" + name : name;
}

/** The file that an absolute name of Windows means, looked for beside the image; a name of this
 * system as it is. */
inline std::string absolute_name(const std::string& name) {
  if (name.starts_with('/')) return name;
  return relative_name(name.substr(name.find_last_of("\\/") + 1));
}

/** Opens the first of the names that is there, as the child "backing"; what the user says instead of
 * them is taken. An empty NodeRef: nobody wants it. @param found the name */
inline Result<NodeRef> open_parent(const OpenContext& context,
                                   const std::vector<std::string>& names, const char* format,
                                   std::string& found) {
  Error first = fail(ENOENT, "The image does not name its parent");
  bool tried = false;
  for (const std::string& name : names) {
    if (name.empty()) continue;
    auto node = context.child("backing", INSTAR_CHILD_BACKING, name.c_str(), format);
    if (node || node.error().code != ENOENT) {
      found = name;
      return node;
    }
    if (!std::exchange(tried, true)) first = std::move(node).error();
  }
  return first;
}

}  // namespace instar::sdk
