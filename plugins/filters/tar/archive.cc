// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/tar/archive.hpp"

#include <charconv>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string_view>

namespace instar::tar {
namespace {

using sdk::Call;
using sdk::errno_text;
using sdk::fail;
using sdk::NodeRef;
using sdk::Result;
using sdk::Status;

constexpr size_t kMostMembers = 100000;
/** Of a long name, or of a member's attributes. */
constexpr uint64_t kMostText = 1u << 20;

template <size_t N>
std::string_view text_of(const char (&field)[N]) {
  return {field, ::strnlen(field, N)};
}

/** nullopt: not a number, or too large for a file. */
template <size_t N>
std::optional<uint64_t> number_of(const char (&field)[N]) {
  uint64_t value = 0;
  if ((static_cast<uint8_t>(field[0]) & 0x80) != 0) {
    for (size_t i = 0; i < N; ++i) {
      const auto byte = static_cast<uint8_t>(field[i]);
      if (value >> 55 != 0) return std::nullopt;
      value = value << 8 | (i == 0 ? byte & 0x7fu : byte);
    }
    return value;
  }
  std::string_view digits = text_of(field);
  while (digits.starts_with(' '))
    digits.remove_prefix(1);
  while (digits.ends_with(' '))
    digits.remove_suffix(1);
  if (digits.empty()) return uint64_t{0};
  const char* end = digits.data() + digits.size();
  const auto [at, error] = std::from_chars(digits.data(), end, value, 8);
  return error == std::errc() && at == end ? std::optional(value) : std::nullopt;
}

/** The sum of all bytes, with blanks for its own field. Some old programs took them as signed. */
bool has_right_checksum(const Header& header) {
  const auto* bytes = reinterpret_cast<const char*>(&header);
  uint64_t plain = 0;
  int64_t with_signs = 0;
  for (size_t i = 0; i < sizeof header; ++i) {
    const size_t at = i - offsetof(Header, checksum);
    const char byte = at < sizeof header.checksum ? ' ' : bytes[i];
    plain += static_cast<uint8_t>(byte);
    with_signs += static_cast<signed char>(byte);
  }
  const auto told = number_of(header.checksum);
  return told && (*told == plain || static_cast<int64_t>(*told) == with_signs);
}

/** What stands before a member and is said of it. */
struct Attributes {
  std::string name;
  std::optional<uint64_t> size;
  bool sparse = false;
};

class Reader {
 public:
  Reader(const Call& call, const NodeRef& file, uint64_t size)
      : call_(call), file_(file), size_(size) {}

  Result<std::vector<Member>> run() {
    for (;;) {
      INSTAR_TRY(const bool more, next_header());
      if (!more) return std::move(members_);
      INSTAR_CHECK(take());
    }
  }

 private:
  sdk::Error damaged(std::string_view why) const {
    return fail(EIO, "the tar archive is damaged at byte ", position_, ": ", why);
  }
  /** False: the block of zeroes at the end. */
  Result<bool> next_header() {
    if (call_.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
    if (size_ - position_ < kBlock) return fail(EIO, "the tar archive is cut off: it has no end");
    INSTAR_CHECK(file_.read(call_, position_, &header_, sizeof header_));
    if (sdk::is_zero(&header_, sizeof header_)) return false;
    if (!has_right_checksum(header_)) {
      if (position_ == 0) return fail(EINVAL, "not a tar archive");
      return damaged("no header");
    }
    const auto size = number_of(header_.size);
    if (!size) return damaged("a wrong size");
    length_ = *size;
    position_ += kBlock;
    return true;
  }

  Status take() {
    switch (header_.type) {
      case 'x':
        return read_attributes();
      case 'L':
        return read_text(&attributes_.name);
      case 'g':  // of all that follows: nothing of interest
      case 'K':
      case 'V':
        return skip();
      default:
        return take_member();
    }
  }
  Status take_member() {
    const char type = header_.type;
    const bool has_content = type < '1' || type > '6';  // no link, device or folder
    const bool regular = type == '\0' || type == '0' || type == '7' || type == 'S' || type == 'M';
    length_ = has_content ? attributes_.size.value_or(length_) : 0;
    const bool plain = type != 'S' && type != 'M' && !attributes_.sparse;
    if (type == 'S') INSTAR_CHECK(skip_sparse_map());
    std::string name = attributes_.name.empty() ? name_of_header() : attributes_.name;
    if (name.starts_with("./")) name.erase(0, 2);
    if (regular && !name.ends_with('/')) members_.push_back({name, position_, length_, plain});
    if (members_.size() > kMostMembers)
      return fail(EFBIG, "the tar archive has more than ", kMostMembers, " members");
    attributes_ = {};
    return skip();
  }
  std::string name_of_header() const {
    const bool posix = std::memcmp(header_.magic, "ustar", sizeof header_.magic) == 0;
    const auto prefix = posix ? text_of(header_.prefix) : std::string_view();
    return prefix.empty() ? std::string(text_of(header_.name))
                          : sdk::cat(prefix, "/", text_of(header_.name));
  }
  /** What doesn't fit into the header of GNU's sparse files stands in blocks behind it. */
  Status skip_sparse_map() {
    constexpr size_t kMoreInHeader = 482;
    constexpr size_t kMoreInBlock = 504;
    const auto* bytes = reinterpret_cast<const char*>(&header_);
    for (bool more = bytes[kMoreInHeader] != 0; more; position_ += kBlock) {
      char block[kBlock];
      if (size_ - position_ < kBlock) return damaged("it is cut off");
      if (call_.cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
      INSTAR_CHECK(file_.read(call_, position_, block, sizeof block));
      more = block[kMoreInBlock] != 0;
    }
    return {};
  }

  /** Beyond the content, which ends with a whole block. */
  Status skip() {
    if (length_ > size_ - position_)
      return damaged(sdk::cat("a member of ", length_, " bytes is cut off"));
    position_ = sdk::round_up(position_ + length_, kBlock);
    return {};
  }
  Status read_text(std::string* out) {
    if (length_ > kMostText || length_ > size_ - position_) return damaged("a name is too long");
    out->resize(static_cast<size_t>(length_));
    INSTAR_CHECK(file_.read(call_, position_, out->data(), out->size()));
    if (header_.type == 'L') out->resize(::strnlen(out->data(), out->size()));
    return skip();
  }
  /** Lines of "LENGTH KEY=VALUE", where the length is that of the whole line. */
  Status read_attributes() {
    std::string text;
    INSTAR_CHECK(read_text(&text));
    std::string_view left = text;
    while (!left.empty()) {
      size_t length = 0;
      const auto [at, error] = std::from_chars(left.data(), left.data() + left.size(), length);
      const auto digits = static_cast<size_t>(at - left.data());
      if (error != std::errc() || length > left.size() || length < digits + 2)
        return damaged("wrong attributes");
      const auto line = left.substr(digits + 1, length - digits - 2);
      left.remove_prefix(length);
      const size_t sign = line.find('=');
      if (sign == line.npos) return damaged("wrong attributes");
      INSTAR_CHECK(note(line.substr(0, sign), line.substr(sign + 1)));
    }
    return {};
  }
  Status note(std::string_view key, std::string_view value) {
    if (key == "path" || key == "GNU.sparse.name") attributes_.name = value;
    if (key.starts_with("GNU.sparse.")) attributes_.sparse = true;
    if (key != "size") return {};
    uint64_t size = 0;
    const auto [at, error] = std::from_chars(value.data(), value.data() + value.size(), size);
    if (error != std::errc() || at != value.data() + value.size()) return damaged("a wrong size");
    attributes_.size = size;
    return {};
  }

  const Call& call_;
  const NodeRef& file_;
  const uint64_t size_;
  uint64_t position_ = 0;  ///< no larger than size_
  uint64_t length_ = 0;    ///< of the content at position_
  Header header_{};
  Attributes attributes_;  ///< of the next member
  std::vector<Member> members_;
};

}  // namespace

Result<std::vector<Member>> read_members(const Call& call, const NodeRef& file) {
  INSTAR_TRY(const uint64_t size, file.size());
  return Reader(call, file, sdk::round_down(size, kBlock)).run();
}

}  // namespace instar::tar
