// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/curl/s3_reply.hpp"

#include <charconv>

#include "sdk/cpp/result.hpp"

namespace instar::curl {

namespace {

constexpr size_t kLongest = 1000;

/** The character that "&NAME;" stands for; 0: none that could be in a message. */
char referenced(std::string_view name) {
  if (name == "lt") return '<';
  if (name == "gt") return '>';
  if (name == "amp") return '&';
  if (name == "quot") return '"';
  if (name == "apos") return '\'';
  if (!name.starts_with('#')) return 0;
  name.remove_prefix(1);
  const bool hex = name.starts_with('x');
  if (hex) name.remove_prefix(1);
  unsigned number = 0;
  const auto end = name.data() + name.size();
  const auto parsed = std::from_chars(name.data(), end, number, hex ? 16 : 10);
  return parsed.ec == std::errc() && parsed.ptr == end && number < 0x80 ? static_cast<char>(number)
                                                                        : char{0};
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

}  // namespace

std::optional<std::string> xml_text(std::string_view xml, std::string_view element) {
  const std::string open = sdk::cat("<", element, ">");
  const size_t begin = xml.find(open);
  if (begin == xml.npos) return std::nullopt;
  xml.remove_prefix(begin + open.size());
  xml = xml.substr(0, xml.find('<'));
  std::string text;
  for (size_t i = 0; i < xml.size() && text.size() < kLongest; ++i) {
    char c = xml[i];
    if (c == '&') {
      const size_t end = xml.find(';', i);
      if (end == xml.npos) break;
      c = referenced(xml.substr(i + 1, end - i - 1));
      i = end;
    }
    if (!is_control(c)) text += c;
  }
  return text;
}

std::string describe_refusal(long code, std::string_view xml) {
  const auto reason = xml_text(xml, "Code");
  if (!reason || reason->empty()) return sdk::cat("The requested URL returned error: ", code);
  std::string text = sdk::cat(*reason, " (", code, ")");
  if (const auto message = xml_text(xml, "Message"); message && !message->empty())
    text += sdk::cat(": ", *message);
  return text;
}

}  // namespace instar::curl
