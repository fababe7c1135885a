// SPDX-License-Identifier: Apache-2.0
/** @file parent_name.hpp Names of parents as Windows programs record them, as names of files here. */
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../abi/graph.h"
#include "bytes.hpp"
#include "driver.hpp"
#include "uuid.hpp"

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

/** How `name`, as the image `image` has it, is called from here. */
inline std::string name_beside(const std::string& image, const std::string& name) {
  const size_t slash = image.rfind('/');
  const bool relative = !name.starts_with('/') && name.find(':') == std::string::npos;
  return relative && slash != std::string::npos ? image.substr(0, slash + 1) + name : name;
}

/** As a new image records it for Windows programs: ".\\disks\\parent.vhd"; an absolute name stays. What
 * relative_name or absolute_name would take for another one is refused. */
inline Result<std::string> recorded_name(const std::string& name) {
  if (name.empty() || name.find_first_of("\\:") != std::string::npos)
    return fail(EINVAL, "The name of a parent can't be recorded if it has a '\\' or a ':': ", name);
  if (name.starts_with('/')) return name;
  std::string recorded = name.starts_with("./") ? name : "./" + name;
  std::replace(recorded.begin(), recorded.end(), '/', '\\');
  return recorded;
}

/** The bytes of UTF-16, little-endian. */
inline std::vector<uint8_t> utf16_bytes(std::string_view text) {
  std::vector<uint8_t> bytes;
  for (const uint16_t unit : utf16_of(text)) {
    bytes.push_back(static_cast<uint8_t>(unit));
    bytes.push_back(static_cast<uint8_t>(unit >> 8));
  }
  return bytes;
}

/** The reverse of uuid_text. */
inline Result<Uuid> parse_uuid(std::string_view text, bool mixed) {
  static constexpr size_t kMixedOrder[] = {3, 2, 1, 0, 5, 4, 7, 6};
  constexpr std::string_view kDigits = "0123456789abcdef";
  Uuid uuid{};
  size_t digits = 0;
  for (const char c : text) {
    const size_t digit = kDigits.find(c);
    if (digit == kDigits.npos) continue;
    const size_t i = digits++ / 2;
    if (i == uuid.size()) break;
    uint8_t& byte = uuid[mixed && i < 8 ? kMixedOrder[i] : i];
    byte = static_cast<uint8_t>(byte << 4 | digit);
  }
  if (digits != 2 * uuid.size()) return fail(EINVAL, "The parent has no valid ID: ", text);
  return uuid;
}

/** What an image that is made, or changed, records of its parent. */
struct ParentRecord {
  std::string identity;  ///< see instar.identity/1
  uint64_t size = 0;
};

/** Fails unless the parent of a new image is of its format. */
inline Status check_parent_format(const Options& options, const char* format) {
  const std::string given = options.text("backing_fmt", format);
  if (given == format) return {};
  return fail(EINVAL, "The backing file of a ", format, " image has to be one, not ", given);
}

/** Opens an image as the parent of `image`, of the same format, and closes it again. */
inline Result<ParentRecord> look_at_parent(const Host& host, const Call& call,
                                           const std::string& image, const std::string& name,
                                           const char* format) {
  const auto* graph = host.service<instar_graph_ops>(INSTAR_GRAPH_ID);
  if (graph == nullptr) return fail(ENOTSUP, "the host has no graph");
  const std::string full = name_beside(image, name);
  instar_image_spec spec{};
  spec.struct_size = sizeof spec;
  spec.open_flags = INSTAR_OPEN_NO_BACKING | INSTAR_OPEN_FORCE_SHARE;
  spec.filename = full.c_str();
  spec.format = format;
  instar_image* opened = nullptr;
  OutgoingCall opening(&call);
  INSTAR_CHECK(opening.status(graph->open(host.abi(), opening.abi(), &spec, &opened)));
  const NodeRef node(graph->node(opened));
  ParentRecord record;
  auto identity = node.identity();
  const auto size = node.size();
  OutgoingCall closing;
  INSTAR_CHECK(closing.status(graph->close(opened, closing.abi())));
  if (!identity) return std::move(identity).error();
  if (!size) return size.error();
  record.identity = *std::move(identity);
  record.size = *size;
  return record;
}

/** When a file was changed, in seconds since 1970; nullopt if it is not one of this system. */
inline std::optional<int64_t> time_of_file(const std::string& name) {
  struct stat status {};
  if (::stat(name.c_str(), &status) != 0) return std::nullopt;
  return status.st_mtime;
}

}  // namespace instar::sdk
