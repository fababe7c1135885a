// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/blkdebug/config.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <span>
#include <utility>

namespace instar::blkdebug {

using sdk::fail;
using sdk::Result;
using sdk::Status;

namespace {

constexpr size_t kMaxName = 63;
constexpr size_t kMaxLine = 1023;  // what is longer counts as several lines
constexpr size_t kMaxConfig = 1u << 20;

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

std::string_view skip_spaces(std::string_view text) {
  while (!text.empty() && is_space(text.front()))
    text.remove_prefix(1);
  return text;
}

/** Takes up to `max` characters before the first one that ends them. */
template <class Ends>
std::string take(std::string_view& text, size_t max, Ends ends) {
  size_t n = 0;
  while (n < text.size() && n < max && !ends(text[n]))
    ++n;
  std::string taken(text.substr(0, n));
  text.remove_prefix(n);
  return taken;
}

using Check = Status (*)(std::string_view name, const std::string& value);

/** One kind of sections. */
struct Group {
  std::string_view name;
  std::vector<Section> Sections::*sections;
  std::span<const std::string_view> names;  ///< of its options
  Check check;
};
constexpr std::string_view kInjectNames[] = {"event",  "state", "iotype",     "errno",
                                             "sector", "once",  "immediately"};
constexpr std::string_view kSetStateNames[] = {"event", "state", "new_state"};
constexpr Group kGroups[] = {
    {"inject-error", &Sections::inject_error, kInjectNames, &check_inject_error},
    {"set-state", &Sections::set_state, kSetStateNames, &check_set_state},
};

bool knows(const Group& group, std::string_view name) {
  const auto known = group.names;
  return std::find(known.begin(), known.end(), name) != known.end();
}

/** Names were checked. */
Status add_section(const Group& group, Section section, Sections& out) {
  for (const auto& [name, value] : section)
    INSTAR_CHECK(group.check(name, value));
  (out.*group.sections).push_back(std::move(section));
  return {};
}

/** Reads the lines of one file, each with its newline. What follows a zero byte is not there. */
class Reader {
 public:
  explicit Reader(Sections& out) : out_(out) {}

  Status line(std::string_view line) {
    line = line.substr(0, line.find('\0'));
    if (line.starts_with('\n') || line.starts_with('#')) return {};
    if (line.starts_with('[') && line.size() > 1 && line[1] != ']') return open(line.substr(1));
    std::string_view rest = skip_spaces(line);
    if (rest.empty()) return fail(EINVAL, "parse error");
    std::string name = take(rest, kMaxName, is_space);
    if (group_ == nullptr) return fail(EINVAL, "no group defined");
    section_.emplace_back(std::move(name), value_in(rest));
    return {};
  }
  /** Takes what stands in the last section: names are checked before values. */
  Status finish() {
    if (group_ == nullptr) return {};
    INSTAR_CHECK(check_id());
    for (const auto& [name, value] : section_)
      if (!knows(*group_, name)) return fail(EINVAL, "Invalid parameter '", name, "'");
    return add_section(*group_, std::exchange(section_, {}), out_);
  }

 private:
  Status check_id() {
    const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    const auto fits = [&](char c) {
      return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
    };
    if (id_.empty()) return {};
    if (!is_letter(id_[0]) || !std::all_of(id_.begin(), id_.end(), fits))
      return sdk::Error{
          EINVAL, "Parameter 'id' expects an identifier",
          "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter."};
    if (!ids_.insert(sdk::cat(group_->name, " ", id_)).second)
      return fail(EINVAL, "Duplicate ID '", id_, "' for ", group_->name);
    return {};
  }
  static std::string value_in(std::string_view rest) {
    rest = skip_spaces(rest);
    if (!rest.starts_with('=')) return {};
    rest = skip_spaces(rest.substr(1));
    if (!rest.starts_with('"')) return {};
    rest.remove_prefix(1);
    return take(rest, SIZE_MAX, [](char c) { return c == '"'; });
  }
  /** NAME], or NAME "ID"] with an ID that no other section of that name has. */
  Status open(std::string_view rest) {
    INSTAR_CHECK(finish());
    std::string_view with_id = skip_spaces(rest);
    std::string name = take(with_id, kMaxName, is_space);
    with_id = skip_spaces(with_id);
    std::string id;
    if (with_id.starts_with('"')) {
      with_id.remove_prefix(1);
      id = take(with_id, kMaxName, [](char c) { return c == '"'; });
    }
    if (id.empty()) name = take(rest, kMaxName, [](char c) { return c == ']'; });
    group_ = std::find_if(std::begin(kGroups), std::end(kGroups),
                          [&](const Group& group) { return group.name == name; });
    if (group_ == std::end(kGroups)) return fail(EINVAL, "There is no option group '", name, "'");
    id_ = std::move(id);
    return {};
  }

  Sections& out_;
  const Group* group_ = nullptr;
  std::string id_;
  Section section_;
  std::set<std::string> ids_;
};

/** Closes it. */
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

/** The options below `prefix`, without it. */
Section options_below(const sdk::Options& options, const std::string& prefix) {
  Section found;
  for (const auto& option : options)
    if (std::string_view(option.name).starts_with(prefix))
      found.emplace_back(std::string_view(option.name).substr(prefix.size()), option.text);
  return found;
}

Section take_below(Section& options, const std::string& prefix) {
  Section taken;
  for (auto& [name, value] : options)
    if (name.starts_with(prefix)) taken.emplace_back(name.substr(prefix.size()), std::move(value));
  std::erase_if(options, [&](const auto& option) { return option.first.starts_with(prefix); });
  return taken;
}

Status read_group(const sdk::Options& options, const Group& group, Sections& out) {
  const std::string name(group.name);
  const auto known = [&](const auto& option) { return knows(group, option.first); };
  Section rest = options_below(options, name + ".");
  Section single;
  std::copy_if(rest.begin(), rest.end(), std::back_inserter(single), known);
  std::erase_if(rest, known);
  if (!single.empty()) INSTAR_CHECK(add_section(group, std::move(single), out));
  for (size_t i = 0;; ++i) {
    Section numbered = take_below(rest, std::to_string(i) + ".");
    if (numbered.empty()) break;
    for (const auto& option : numbered)
      if (!known(option))
        return fail(EINVAL, "[", name, "] section doesn't support the option '", option.first, "'");
    INSTAR_CHECK(add_section(group, std::move(numbered), out));
  }
  if (!rest.empty())
    return fail(EINVAL, "Unused option '", rest.front().first, "' for [", name, "]");
  return {};
}

}  // namespace

Status parse_config(std::string_view text, Sections& out) {
  Reader reader(out);
  while (!text.empty()) {
    const size_t newline = text.find('\n');
    const size_t length =
        std::min({newline == text.npos ? newline : newline + 1, text.size(), kMaxLine});
    INSTAR_CHECK(reader.line(text.substr(0, length)));
    text.remove_prefix(length);
  }
  return reader.finish();
}

Result<std::string> read_config(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (file.get() < 0 || fstat(file.get(), &info) != 0)
    return fail(errno, "Could not read blkdebug config file: ", sdk::errno_text(errno));
  if (S_ISDIR(info.st_mode))
    return fail(EISDIR, "Cannot read config file: ", sdk::errno_text(EISDIR));
  std::string text;
  char piece[4096];
  for (;;) {
    const ssize_t n = ::read(file.get(), piece, sizeof piece);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(errno, "Cannot read config file: ", sdk::errno_text(errno));
    if (n == 0) return text;
    text.append(piece, static_cast<size_t>(n));
    if (text.size() > kMaxConfig)
      return fail(EFBIG, "Cannot read config file: ", sdk::errno_text(EFBIG));
  }
}

Status read_options(const sdk::Options& options, Sections& out) {
  for (const auto& group : kGroups)
    INSTAR_CHECK(read_group(options, group, out));
  return {};
}

}  // namespace instar::blkdebug
