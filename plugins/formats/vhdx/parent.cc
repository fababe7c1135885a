// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vhdx/parent.hpp"

#include "plugins/formats/vhdx/format.hpp"
#include "sdk/cpp/parent_name.hpp"

namespace instar::vhdx {

using sdk::fail;
using sdk::Result;

namespace {

/** "{0123ABCD-…}" as sdk::uuid_text writes it. */
std::string plain_guid(const std::string& text) {
  std::string plain;
  for (const char c : text)
    if (c != '{' && c != '}') plain += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return plain;
}

std::string value_of(const ParentLocator& locator, const char* key) {
  const auto found = locator.find(key);
  return found != locator.end() ? found->second : "";
}

}  // namespace

Result<ParentLocator> parse_parent_locator(const std::vector<uint8_t>& item) {
  const auto invalid = [] { return fail(EINVAL, "The image's parent locator is not valid"); };
  ParentLocatorHeader header;
  if (item.size() < sizeof header) return invalid();
  std::memcpy(&header, item.data(), sizeof header);
  if (header.type != kVhdxParent)
    return fail(ENOTSUP, "The image's parent is of an unknown type (",
                sdk::uuid_text(header.type, true), ")");
  const uint64_t count = header.key_value_count;
  if (sizeof header + count * sizeof(ParentLocatorEntry) > item.size()) return invalid();
  const auto text = [&](uint64_t offset, uint64_t length) {
    return sdk::utf8_of(sdk::ConstBytes(item).subspan(offset, length), std::endian::little);
  };
  ParentLocator locator;
  for (uint64_t i = 0; i < count; ++i) {
    ParentLocatorEntry entry;
    std::memcpy(&entry, &item[sizeof header + i * sizeof entry], sizeof entry);
    const uint64_t key_end = uint64_t{entry.key_offset} + entry.key_length;
    const uint64_t value_end = uint64_t{entry.value_offset} + entry.value_length;
    if (key_end > item.size() || value_end > item.size()) return invalid();
    locator[text(entry.key_offset, entry.key_length)] =
        text(entry.value_offset, entry.value_length);
  }
  return locator;
}

std::vector<std::string> parent_names(const ParentLocator& locator) {
  return {sdk::relative_name(value_of(locator, "relative_path")),
          sdk::absolute_name(value_of(locator, "absolute_win32_path")),
          sdk::absolute_name(value_of(locator, "volume_path"))};
}

Result<std::string> check_parent(const sdk::NodeRef& parent, const std::string& name,
                                 const ParentLocator& locator) {
  INSTAR_TRY(std::string found, parent.identity());
  const std::string wanted = plain_guid(value_of(locator, "parent_linkage"));
  if (!found.empty() &&
      (found == wanted || found == plain_guid(value_of(locator, "parent_linkage2"))))
    return found;
  return fail(EINVAL, "'", name, "' is not the parent of this image, or was changed: its ID is ",
              found.empty() ? "missing" : found, ", not ", wanted);
}

void expect_parent(ParentLocator& locator, const std::string& present, const std::string& next) {
  locator["parent_linkage"] = sdk::cat("{", present, "}");
  locator["parent_linkage2"] = sdk::cat("{", next, "}");
}

std::vector<uint8_t> parent_item(const ParentLocator& locator) {
  ParentLocatorHeader header{kVhdxParent, 0, static_cast<uint16_t>(locator.size())};
  std::vector<uint8_t> item(sizeof header + locator.size() * sizeof(ParentLocatorEntry));
  std::memcpy(item.data(), &header, sizeof header);
  size_t place = sizeof header;
  const auto add = [&](const std::string& text) {
    const auto bytes = sdk::utf16_bytes(text);
    item.insert(item.end(), bytes.begin(), bytes.end());
    return static_cast<uint16_t>(bytes.size());
  };
  for (const auto& [key, value] : locator) {
    ParentLocatorEntry entry;
    entry.key_offset = static_cast<uint32_t>(item.size());
    entry.key_length = add(key);
    entry.value_offset = static_cast<uint32_t>(item.size());
    entry.value_length = add(value);
    std::memcpy(&item[place], &entry, sizeof entry);
    place += sizeof entry;
  }
  return item;
}

Result<ParentLocator> locate_parent(const sdk::Host& host, const sdk::Call& call,
                                    const std::string& image, const std::string& name) {
  constexpr size_t kLongest = UINT16_MAX / 2;  // a value's length is 16 bits
  if (name.size() > kLongest) return fail(ENOSPC, "The name of the parent is too long");
  INSTAR_TRY(const std::string recorded, sdk::recorded_name(name));
  INSTAR_TRY(const auto parent, sdk::look_at_parent(host, call, image, name, "vhdx"));
  ParentLocator locator;
  locator["parent_linkage"] = sdk::cat("{", parent.identity, "}");
  locator[name.starts_with('/') ? "absolute_win32_path" : "relative_path"] = recorded;
  return locator;
}

}  // namespace instar::vhdx
