// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vmdk/descriptor.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>

namespace instar::vmdk {

using sdk::fail;
using sdk::Result;

namespace {

constexpr size_t kLongestLine = 2048;  // of what an extent's line can be
constexpr uint64_t kSectorsPerTrack = 63;

bool known(std::string_view type) {
  for (const char* name : {"FLAT", "SPARSE", "VMFS", "VMFSSPARSE", "SESPARSE"})
    if (type == name) return true;
  return false;
}

/** Whether the fields that were found are those that the type has. */
bool complete(std::string_view type, int fields, int64_t flat_offset) {
  if (type == "FLAT") return fields == 5 && flat_offset >= 0;
  return fields == 4;
}

}  // namespace

std::optional<std::string> find_quoted(std::string_view text, std::string_view name) {
  size_t begin = text.find(name);
  if (begin == text.npos) return std::nullopt;
  begin += name.size() + 2;
  if (begin >= text.size()) return std::nullopt;
  const size_t end = text.find('"', begin);
  if (end == text.npos) return std::nullopt;
  return std::string(text.substr(begin, end - begin));
}

std::optional<uint32_t> find_cid(std::string_view text, std::string_view name) {
  const size_t found = text.find(name);
  if (found == text.npos || found + name.size() + 1 > text.size()) return std::nullopt;
  const std::string digits(text.substr(found + name.size() + 1, 32));
  uint32_t cid = 0;
  if (std::sscanf(digits.c_str(), "%" SCNx32, &cid) != 1) return std::nullopt;
  return cid;
}

std::string replace_cid(std::string_view text, uint32_t cid) {
  const size_t own = text.find("CID");
  const size_t parent = text.find("parentCID");
  if (parent == text.npos || own >= parent) return std::string(text);
  const size_t begin = own + std::string_view("CID=").size();
  const size_t end = text.find_first_not_of("0123456789abcdefABCDEF", begin);
  const std::string digits = sdk::hex_digits(cid, 8);
  const bool plain = begin < end && end - begin <= digits.size();
  if (plain && (text[end] == '\n' || text[end] == '\r'))
    return std::string(text).replace(begin, end - begin, digits, digits.size() - (end - begin));
  return sdk::cat(text.substr(0, own), "CID=", digits, "\n", text.substr(parent));
}

std::string replace_parent(std::string_view text, std::string_view name, uint32_t cid) {
  std::string changed(text);
  const auto replace = [&](std::string_view key, std::string_view ends, const std::string& value) {
    const size_t at = changed.find(key);
    if (at == changed.npos) return;
    const size_t end = changed.find_first_of(ends, at + key.size());
    changed.replace(at, end == changed.npos ? end : end - at, value);
  };
  replace("parentCID=", "\r\n", sdk::cat("parentCID=", sdk::hex(cid).substr(2)));
  // The quote at its end stays, or goes with the rest of the line.
  if (name.empty())
    replace("parentFileNameHint=\"", "\r\n", "");
  else
    replace("parentFileNameHint=\"", "\"", sdk::cat("parentFileNameHint=\"", name));
  return changed;
}

Result<std::vector<ExtentLine>> parse_extents(std::string_view text) {
  std::vector<ExtentLine> extents;
  for (size_t begin = 0; begin < text.size();) {
    const std::string line(text.substr(begin, kLongestLine));
    const size_t end = std::min(text.find('\n', begin), text.size());
    char access[11], type[11], file[512];
    int64_t sectors = 0;
    int64_t flat_offset = -1;
    const int fields = std::sscanf(line.c_str(), "%10s %" SCNd64 " %10s \"%511[^\n\r\"]\" %" SCNd64,
                                   access, &sectors, type, file, &flat_offset);
    if (fields >= 4 && std::string_view(access) == "RW") {
      if (!complete(type, fields, flat_offset))
        return fail(EINVAL, "Invalid extent line: ", text.substr(begin, end - begin));
      if (sectors > 0 && known(type))
        extents.push_back({sectors, type, file, std::max<int64_t>(flat_offset, 0), begin, end});
    }
    begin = end + 1;
  }
  return extents;
}

namespace {

/** "RW 100 SPARSE …" with another number. */
std::string with_sectors(std::string line, uint64_t sectors) {
  constexpr std::string_view kBlanks = " \t";
  const size_t access = line.find_first_not_of(kBlanks);
  const size_t begin = line.find_first_not_of(kBlanks, line.find_first_of(kBlanks, access));
  const size_t end = line.find_first_of(kBlanks, begin);
  if (end == line.npos) return line;
  return line.replace(begin, end - begin, std::to_string(sectors));
}

/** Cylinders are as many as fit, by the heads and sectors that there are. */
void replace_geometry(std::string& text, uint64_t sectors) {
  const auto number = [&](std::string_view name) {
    const std::string digits = find_quoted(text, sdk::cat(name, " =")).value_or("");
    return std::strtoull(digits.c_str(), nullptr, 10);
  };
  const uint64_t cylinder = number("ddb.geometry.heads") * number("ddb.geometry.sectors");
  constexpr std::string_view kCylinders = "ddb.geometry.cylinders = \"";
  const size_t begin = text.find(kCylinders);
  const size_t end = begin == text.npos ? begin : text.find('"', begin + kCylinders.size());
  if (cylinder == 0 || end == text.npos) return;
  text.replace(begin, end + 1 - begin, sdk::cat(kCylinders, sectors / cylinder, '"'));
}

}  // namespace

Result<std::string> replace_extents(std::string_view text, const ExtentChange& change) {
  INSTAR_TRY(const auto lines, parse_extents(text));
  const size_t kept = std::min(change.kept, lines.size());
  const size_t heading = text.find("# Extent description");
  const size_t none =
      heading == text.npos ? text.size() : std::min(text.find('\n', heading), text.size());
  size_t at = kept == 0 ? none : lines[kept - 1].end;
  std::string changed(text.substr(0, kept == 0 ? at : lines[kept - 1].begin));
  if (kept != 0)
    changed +=
        with_sectors(std::string(text.substr(lines[kept - 1].begin, at - lines[kept - 1].begin)),
                     change.sectors);
  if (!change.added.empty())
    changed += sdk::cat('\n', change.added.substr(0, change.added.size() - 1));
  for (size_t i = kept; i < lines.size(); ++i) {
    changed += text.substr(at, lines[i].begin - at);
    at = std::min(lines[i].end + 1, text.size());
  }
  changed += text.substr(at);
  replace_geometry(changed, change.total);
  INSTAR_TRY(const auto found, parse_extents(changed));
  const auto added =
      static_cast<size_t>(std::count(change.added.begin(), change.added.end(), '\n'));
  const bool sound =
      found.size() == kept + added &&
      (kept == 0 || static_cast<uint64_t>(found[kept - 1].sectors) == change.sectors);
  if (!sound) return fail(EINVAL, "The image's descriptor is not one that can be changed");
  return changed;
}

std::string to_text(const NewDescriptor& descriptor) {
  const uint64_t heads = descriptor.adapter_type == "ide" ? 16 : 255;
  const uint64_t cylinders = descriptor.size / (kSectorsPerTrack * heads * 512);
  const auto hex = [](uint32_t cid) { return sdk::hex(cid).substr(2); };
  std::string parent;
  if (descriptor.parent_file)
    parent = sdk::cat("parentFileNameHint=\"", *descriptor.parent_file, '"');
  return sdk::cat(
      "# Disk DescriptorFile\nversion=1\nCID=", hex(descriptor.cid),
      "\nparentCID=", hex(descriptor.parent_cid), "\ncreateType=\"", descriptor.create_type, "\"\n",
      parent, "\n# Extent description\n", descriptor.extent_lines,
      "\n# The Disk Data Base\n#DDB\n\n", "ddb.virtualHWVersion = \"", descriptor.hardware_version,
      "\"\nddb.geometry.cylinders = \"", cylinders, "\"\nddb.geometry.heads = \"", heads,
      "\"\nddb.geometry.sectors = \"", kSectorsPerTrack, "\"\nddb.adapterType = \"",
      descriptor.adapter_type, "\"\nddb.toolsVersion = \"", descriptor.tools_version, "\"\n");
}

}  // namespace instar::vmdk
