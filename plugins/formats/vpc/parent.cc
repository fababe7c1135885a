// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vpc/parent.hpp"

#include "sdk/cpp/parent_name.hpp"

namespace instar::vpc {

using sdk::Call;
using sdk::fail;
using sdk::HostFile;
using sdk::Result;
using sdk::Status;

namespace {

constexpr uint32_t kLongestName = 64u << 10;  // bytes

/** "file:///dir/parent%20disk.vhd" */
std::string path_of_url(std::string_view url) {
  constexpr std::string_view kScheme = "file://";
  if (!url.starts_with(kScheme)) return {};
  url.remove_prefix(kScheme.size());
  if (url.starts_with("localhost/")) url.remove_prefix(std::string_view("localhost").size());
  std::string path;
  for (size_t i = 0; i < url.size(); ++i) {
    const auto digit = [&](size_t at) {
      const char c = at < url.size() ? url[at] : 'x';
      return std::string_view("0123456789abcdef").find(static_cast<char>(c >= 'A' ? c | 0x20 : c));
    };
    const size_t high = digit(i + 1);
    const size_t low = digit(i + 2);
    if (url[i] == '%' && high < 16 && low < 16) {
      path += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      path += url[i];
    }
  }
  path = path.substr(0, path.find('\0'));
  return path.starts_with('/') ? path : sdk::relative_name(path);
}

}  // namespace

Result<std::vector<std::string>> parent_names(const Call& call, const HostFile& file,
                                              const DynamicHeader& header) {
  std::vector<std::string> relative;
  std::vector<std::string> absolute;
  for (const ParentLocator& locator : header.parent_locators) {
    const uint32_t code = locator.platform_code;
    const uint32_t length = locator.data_length;
    if (code != kRelativeUtf16 && code != kAbsoluteUtf16 && code != kUrl) continue;
    if (length > kLongestName)
      return fail(EINVAL, "A name of the image's parent is too long (", length, " bytes)");
    std::vector<uint8_t> name(length);
    INSTAR_CHECK(file.read(call, locator.data_offset, name.data(), name.size()));
    if (code == kUrl)
      absolute.push_back(path_of_url({reinterpret_cast<const char*>(name.data()), name.size()}));
    else if (code == kRelativeUtf16)
      relative.push_back(sdk::relative_name(sdk::utf8_of(name, std::endian::little)));
    else
      absolute.push_back(sdk::absolute_name(sdk::utf8_of(name, std::endian::little)));
  }
  const std::vector<uint16_t> plain(std::begin(header.parent_unicode_name),
                                    std::end(header.parent_unicode_name));
  relative.push_back(sdk::absolute_name(sdk::utf8_of(plain)));
  relative.insert(relative.end(), absolute.begin(), absolute.end());
  return relative;
}

Status check_parent(const sdk::NodeRef& parent, const std::string& name,
                    const DynamicHeader& header) {
  const std::string wanted = sdk::uuid_text(header.parent_unique_id, false);
  INSTAR_TRY(const std::string found, parent.identity());
  if (found == wanted) return {};
  return fail(EINVAL, "'", name, "' is not the parent of this image: its ID is ",
              found.empty() ? "missing" : found, ", not ", wanted);
}

uint32_t parent_time(const std::string& image, const std::string& name) {
  const auto time = sdk::time_of_file(sdk::name_beside(image, name));
  return time && *time > kEpoch ? static_cast<uint32_t>(*time - kEpoch) : 0;
}

Result<ParentFields> parent_fields(const sdk::Host& host, const Call& call,
                                   const std::string& image, const std::string& name) {
  INSTAR_TRY(const std::string recorded, sdk::recorded_name(name));
  INSTAR_TRY(const auto parent, sdk::look_at_parent(host, call, image, name, "vpc"));
  ParentFields fields;
  INSTAR_TRY(fields.unique_id, sdk::parse_uuid(parent.identity, false));
  fields.time_stamp = parent_time(image, name);
  fields.name = name.substr(name.rfind('/') + 1);
  fields.platform_code = name.starts_with('/') ? kAbsoluteUtf16 : kRelativeUtf16;
  fields.path = sdk::utf16_bytes(recorded);
  return fields;
}

Status record_parent(DynamicHeader& header, const ParentFields& parent, uint64_t offset,
                     uint32_t space) {
  const auto name = sdk::utf16_of(parent.name);
  if (parent.path.size() > space || name.size() >= std::size(header.parent_unicode_name))
    return fail(ENOSPC, "The name of the parent is too long");
  header.parent_unique_id = parent.unique_id;
  header.parent_time_stamp = parent.time_stamp;
  std::fill(std::begin(header.parent_unicode_name), std::end(header.parent_unicode_name),
            Be<uint16_t>(0));
  std::copy(name.begin(), name.end(), std::begin(header.parent_unicode_name));
  std::fill(std::begin(header.parent_locators), std::end(header.parent_locators), ParentLocator{});
  ParentLocator& locator = header.parent_locators[0];
  locator.platform_code = parent.platform_code;
  locator.data_space = space / kSectorSize;
  locator.data_length = static_cast<uint32_t>(parent.path.size());
  locator.data_offset = offset;
  header.checksum = checksum_of(header);
  return {};
}

ParentLocator place_of_path(const DynamicHeader& header) {
  for (ParentLocator locator : header.parent_locators) {
    if (locator.platform_code != kRelativeUtf16 && locator.platform_code != kAbsoluteUtf16)
      continue;
    // There are tools that write bytes.
    if (locator.data_space < kSectorSize) locator.data_space = locator.data_space * kSectorSize;
    return locator;
  }
  return {};
}

}  // namespace instar::vpc
