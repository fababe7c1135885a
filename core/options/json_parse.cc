// SPDX-License-Identifier: Apache-2.0
#include <boost/json/parse.hpp>
#include <charconv>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "core/base/hex.hpp"
#include "core/base/utf8.hpp"
#include "core/options/json_text.hpp"

namespace instar::options {
namespace {

template <class... Parts>
Error parse_error(const Parts&... parts) {
  return fail(EINVAL, "JSON parse error, ", parts...);
}

enum class TokenKind { kPunctuation, kString, kInteger, kFloat, kKeyword };

struct Token {
  TokenKind kind;
  std::string_view text;  ///< strings with their quotes

  bool is(char c) const { return kind == TokenKind::kPunctuation && text[0] == c; }
};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/** Cuts text into tokens. What it can't cut is reported with all that belongs to it, offending byte
 * included. */
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  /** The next token; nothing at the end. */
  Result<std::optional<Token>> next() {
    while (at_ < text_.size() && is_space(text_[at_]))
      at_++;
    if (at_ == text_.size()) return std::optional<Token>();
    start_ = at_;
    const char c = text_[at_];
    if (std::string_view("{}[]:,").find(c) != std::string_view::npos) {
      at_++;
      return token(TokenKind::kPunctuation);
    }
    if (c == '"' || c == '\'') return string(c);
    if (c == '-' || is_digit(c)) return number();
    if (!is_keyword_letter(c)) return stray();
    while (at_ < text_.size() && is_keyword_letter(text_[at_]))
      at_++;
    return token(TokenKind::kKeyword);
  }

 private:
  static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
  static bool is_keyword_letter(char c) { return c >= 'a' && c <= 'z'; }
  static bool may_stand_in_string(char c) {
    const auto byte = static_cast<uint8_t>(c);
    return byte >= 0x20 && byte <= 0xFD;
  }

  Result<std::optional<Token>> token(TokenKind kind) const {
    return std::optional(Token{kind, text_.substr(start_, at_ - start_)});
  }

  Error stray() const {
    return parse_error("stray '", text_.substr(start_, at_ + 1 - start_), "'");
  }

  Result<std::optional<Token>> string(char quote) {
    for (at_++; at_ < text_.size(); at_++) {
      if (!may_stand_in_string(text_[at_])) return stray();
      if (text_[at_] == quote) {
        at_++;
        return token(TokenKind::kString);
      }
      if (text_[at_] != '\\') continue;
      at_++;
      if (at_ == text_.size() || !may_stand_in_string(text_[at_])) return stray();
    }
    return stray();
  }

  /** Skips digits; false if there is none. */
  bool digits() {
    const size_t before = at_;
    while (at_ < text_.size() && is_digit(text_[at_]))
      at_++;
    return at_ > before;
  }
  bool skip(std::string_view any_of) {
    if (at_ == text_.size() || any_of.find(text_[at_]) == std::string_view::npos) return false;
    at_++;
    return true;
  }

  Result<std::optional<Token>> number() {
    skip("-");
    const bool zero = skip("0");
    if (zero) {
      if (at_ < text_.size() && is_digit(text_[at_])) return stray();
    } else if (!digits()) {
      return stray();
    }
    TokenKind kind = TokenKind::kInteger;
    if (skip(".")) {
      kind = TokenKind::kFloat;
      if (!digits()) return stray();
    }
    // QEMU knows no exponent right behind a lone zero.
    if ((!zero || kind == TokenKind::kFloat) && skip("eE")) {
      kind = TokenKind::kFloat;
      skip("+-");
      if (!digits()) return stray();
    }
    return token(kind);
  }

  std::string_view text_;
  size_t start_ = 0;
  size_t at_ = 0;
};

/** The code unit after "\u" at the front of `text`, or -1. */
int32_t read_unicode_escape(std::string_view text) {
  if (text.size() < 6 || text[0] != '\\' || text[1] != 'u') return -1;
  int32_t unit = 0;
  for (int i = 2; i < 6; i++) {
    const int digit = base::hex_digit_value(text[i]);
    if (digit < 0) return -1;
    unit = unit << 4 | digit;
  }
  return unit;
}

Status decode_unicode_escape(std::string& out, std::string_view& text) {
  int32_t codepoint = read_unicode_escape(text);
  size_t length = 6;
  if (codepoint >= 0xD800 && codepoint <= 0xDBFF) {
    const int32_t low = read_unicode_escape(text.substr(length));
    if (low >= 0xDC00 && low <= 0xDFFF) {
      codepoint = 0x10000 + ((codepoint & 0x3FF) << 10) + (low & 0x3FF);
      length = 12;
    }
  }
  if (!base::is_valid_codepoint(codepoint))
    return parse_error(text.substr(0, length), " is not a valid Unicode character");
  base::append_codepoint(out, codepoint);
  text.remove_prefix(length);
  return {};
}

Status decode_escape(std::string& out, std::string_view& text) {
  constexpr std::string_view kLetters = "\"'\\/bfnrt";
  constexpr std::string_view kMeanings = "\"'\\/\b\f\n\r\t";
  if (text[1] == 'u') return decode_unicode_escape(out, text);
  const size_t known = kLetters.find(text[1]);
  if (known == std::string_view::npos) return parse_error("invalid escape sequence in string");
  out += kMeanings[known];
  text.remove_prefix(2);
  return {};
}

/** @param quoted with its quotes, as the lexer checked it */
Result<std::string> decode_string(std::string_view quoted) {
  std::string out;
  const char quote = quoted.front();
  quoted.remove_prefix(1);
  while (quoted.front() != quote) {
    if (quoted.front() == '\\') {
      INSTAR_CHECK(decode_escape(out, quoted));
      continue;
    }
    const int32_t codepoint = base::take_codepoint(quoted);
    if (codepoint == base::kInvalidCodepoint)
      return parse_error("invalid UTF-8 sequence in string");
    base::append_codepoint(out, codepoint);
  }
  return out;
}

/** Builds a value from the tokens of one message. */
class Parser {
 public:
  explicit Parser(const std::vector<Token>& tokens) : tokens_(tokens) {}

  Result<boost::json::value> value() {
    if (at_end()) return end_error();
    const Token& token = tokens_[at_++];
    switch (token.kind) {
      case TokenKind::kString: {
        INSTAR_TRY(const std::string text, decode_string(token.text));
        return boost::json::value(text);
      }
      case TokenKind::kInteger:
      case TokenKind::kFloat:
        return number(token);
      case TokenKind::kKeyword:
        return keyword(token.text);
      case TokenKind::kPunctuation:
        break;
    }
    if (token.is('{')) return object();
    if (token.is('[')) return array();
    return parse_error("expecting value");
  }

 private:
  bool at_end() const { return at_ == tokens_.size(); }
  bool at(char c) const { return tokens_[at_].is(c); }
  static Error end_error() { return parse_error("premature EOI"); }

  static Result<boost::json::value> keyword(std::string_view word) {
    if (word == "true") return boost::json::value(true);
    if (word == "false") return boost::json::value(false);
    if (word == "null") return boost::json::value(nullptr);
    return parse_error("invalid keyword '", word, "'");
  }

  template <class T>
  static std::optional<T> exactly(std::string_view text) {
    T number;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
  }

  static Result<boost::json::value> number(const Token& token) {
    if (token.kind == TokenKind::kInteger) {
      if (const auto number = exactly<int64_t>(token.text)) return boost::json::value(*number);
      if (const auto number = exactly<uint64_t>(token.text)) return boost::json::value(*number);
    }
    return boost::json::value(std::strtod(std::string(token.text).c_str(), nullptr));
  }

  Status pair(boost::json::object& object) {
    INSTAR_TRY(const boost::json::value key, value());
    if (!key.is_string()) return parse_error("key is not a string in object");
    if (at_end()) return end_error();
    if (!tokens_[at_++].is(':')) return parse_error("missing : in object pair");
    INSTAR_TRY(boost::json::value content, value());
    if (!object.emplace(key.get_string(), std::move(content)).second)
      return parse_error("duplicate key");
    return {};
  }

  Result<boost::json::value> object() {
    boost::json::object object;
    for (bool first = true;; first = false) {
      if (at_end()) return end_error();
      if (at('}')) break;
      if (!first && !tokens_[at_++].is(',')) return parse_error("expected separator in dict");
      if (at_end()) return end_error();
      INSTAR_CHECK(pair(object));
    }
    at_++;
    return boost::json::value(std::move(object));
  }

  Result<boost::json::value> array() {
    boost::json::array array;
    for (bool first = true;; first = false) {
      if (at_end()) return end_error();
      if (at(']')) break;
      if (!first && !tokens_[at_++].is(',')) return parse_error("expected separator in list");
      INSTAR_TRY(boost::json::value item, value());
      array.push_back(std::move(item));
    }
    at_++;
    return boost::json::value(std::move(array));
  }

  const std::vector<Token>& tokens_;
  size_t at_ = 0;
};

/** Collects the tokens of one message: up to where its brackets are balanced, or can't be any more.
 */
Result<std::vector<Token>> read_message(Lexer& lexer) {
  std::vector<Token> tokens;
  int braces = 0;
  int brackets = 0;
  do {
    INSTAR_TRY(const std::optional<Token> token, lexer.next());
    if (!token) break;
    braces += token->is('{') - token->is('}');
    brackets += token->is('[') - token->is(']');
    if (braces + brackets > kMaxJsonDepth) return fail(EINVAL, "JSON nesting depth limit exceeded");
    tokens.push_back(*token);
  } while ((braces > 0 || brackets > 0) && braces >= 0 && brackets >= 0);
  return tokens;
}

}  // namespace

Result<boost::json::value> parse_json(std::string_view text) {
  Lexer lexer(text);
  INSTAR_TRY(const std::vector<Token> tokens, read_message(lexer));
  if (tokens.empty()) return fail(EINVAL, "Expecting a JSON value");
  INSTAR_TRY(boost::json::value value, Parser(tokens).value());
  const auto rest = lexer.next();
  if (!rest || *rest) return fail(EINVAL, "Expecting at most one JSON value");
  return value;
}

Result<boost::json::value> parse_driver_json(std::string_view text) {
  boost::json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  options.allow_invalid_utf8 = true;
  boost::json::error_code error;
  auto value = boost::json::parse({text.data(), text.size()}, error, {}, options);
  if (error) return fail(EIO, "A driver's description of itself is no JSON: ", error.message());
  return value;
}

}  // namespace instar::options
