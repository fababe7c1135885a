// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/tar/ovf.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

namespace instar::tar {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

/** "href" of "ovf:href". */
std::string_view local_name(std::string_view name) {
  const size_t colon = name.find(':');
  return colon == name.npos ? name : name.substr(colon + 1);
}

std::string unescaped(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, char>, 5> kEntities = {
      {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}}};
  std::string out;
  while (!text.empty()) {
    const auto* entity = std::find_if(kEntities.begin(), kEntities.end(), [&](const auto& known) {
      return text.starts_with(known.first);
    });
    const bool found = entity != kEntities.end();
    out += found ? entity->second : text.front();
    text.remove_prefix(found ? entity->first.size() : 1);
  }
  return out;
}

using Attributes = std::map<std::string, std::string, std::less<>>;

/** What stands between a tag's name and its end. */
Attributes attributes_of(std::string_view tag) {
  Attributes found;
  for (;;) {
    const size_t sign = tag.find('=');
    if (sign == tag.npos) return found;
    std::string_view name = tag.substr(0, sign);
    name.remove_prefix(std::min(name.find_first_not_of(kSpace), name.size()));
    name = name.substr(0, name.find_first_of(kSpace));
    const size_t begin = tag.find_first_of("\"'", sign);
    if (begin == tag.npos) return found;
    const size_t end = tag.find(tag[begin], begin + 1);
    if (end == tag.npos) return found;
    found.emplace(local_name(name), unescaped(tag.substr(begin + 1, end - begin - 1)));
    tag.remove_prefix(end + 1);
  }
}

/** Where the tag that begins at `begin` ends: at a '>' outside of quotes. */
size_t end_of_tag(std::string_view text, size_t begin) {
  char quote = 0;
  for (size_t at = begin; at < text.size(); ++at) {
    const char c = text[at];
    if (quote != 0)
      quote = c == quote ? '\0' : quote;
    else if (c == '"' || c == '\'')
      quote = c;
    else if (c == '>')
      return at;
  }
  return text.npos;
}

/** Calls each(local name, attributes) for the elements. */
template <class Each>
void each_element(std::string_view text, Each each) {
  for (size_t at = text.find('<'); at != text.npos; at = text.find('<', at)) {
    constexpr std::string_view kComment = "<!--";
    const bool comment = text.substr(at).starts_with(kComment);
    const size_t end = comment ? text.find("-->", at) : end_of_tag(text, at);
    if (end == text.npos) return;
    const auto tag = text.substr(at + 1, end - at - 1);
    const size_t name_end = std::min(tag.find_first_of(" \t\r\n/"), tag.size());
    if (!comment && name_end != 0)
      each(local_name(tag.substr(0, name_end)), attributes_of(tag.substr(name_end)));
    at = end;
  }
}

}  // namespace

std::vector<OvfDisk> disks_of(std::string_view ovf) {
  std::map<std::string, OvfDisk, std::less<>> files;  // by id
  std::vector<std::string> wanted;
  each_element(ovf, [&](std::string_view name, Attributes attributes) {
    if (name == "File")
      files.emplace(attributes["id"],
                    OvfDisk{attributes["href"], attributes.contains("chunkSize")});
    const auto& reference = name == "Disk" ? attributes["fileRef"] : std::string();
    if (!reference.empty() && std::find(wanted.begin(), wanted.end(), reference) == wanted.end())
      wanted.push_back(reference);
  });
  std::vector<OvfDisk> disks;
  for (const auto& id : wanted)
    if (const auto file = files.find(id); file != files.end()) disks.push_back(file->second);
  return disks;
}

}  // namespace instar::tar
