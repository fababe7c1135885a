// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/blkdebug/config.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

namespace instar::blkdebug {

using sdk::fail;
using sdk::Result;
using sdk::Status;

namespace {

constexpr size_t kMaxName = 63;
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

std::vector<Section>* group(std::string_view name, Sections& out) {
  if (name == "inject-error") return &out.inject_error;
  if (name == "set-state") return &out.set_state;
  return nullptr;
}

/** Reads the lines of one file. */
class Reader {
 public:
  explicit Reader(Sections& out) : out_(out) {}

  Status line(std::string_view line) {
    if (line.empty() || line.front() == '#') return {};
    if (line.front() == '[' && line.size() > 1 && line[1] != ']') return open_group(line.substr(1));
    std::string_view rest = skip_spaces(line);
    if (rest.empty()) return fail(EINVAL, "parse error");
    std::string name = take(rest, kMaxName, is_space);
    if (group_ == nullptr) return fail(EINVAL, "no group defined");
    group_->back().emplace_back(std::move(name), value(rest));
    return {};
  }

 private:
  static std::string value(std::string_view rest) {
    rest = skip_spaces(rest);
    if (!rest.starts_with('=')) return {};
    rest = skip_spaces(rest.substr(1));
    if (!rest.starts_with('"')) return {};
    rest.remove_prefix(1);
    return take(rest, SIZE_MAX, [](char c) { return c == '"'; });
  }
  Status open_group(std::string_view rest) {
    std::string_view with_id = rest;
    std::string name = take(with_id, kMaxName, is_space);
    with_id = skip_spaces(with_id);
    std::string id;
    if (with_id.starts_with('"')) {
      with_id.remove_prefix(1);
      id = take(with_id, kMaxName, [](char c) { return c == '"'; });
    }
    if (id.empty()) name = take(rest, kMaxName, [](char c) { return c == ']'; });
    group_ = group(name, out_);
    if (group_ == nullptr) return fail(EINVAL, "There is no option group '", name, "'");
    if (!id.empty() && !ids_.insert(name + '\n' + id).second)
      return fail(EINVAL, "Duplicate ID '", id, "' for ", name);
    group_->emplace_back();
    return {};
  }

  Sections& out_;
  std::vector<Section>* group_ = nullptr;
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

Status read_group(const sdk::Options& options, const std::string& name,
                  const std::set<std::string_view>& known, std::vector<Section>& out) {
  Section rest = options_below(options, name + ".");
  Section single;
  for (const auto& option : rest)
    if (known.contains(option.first)) single.push_back(option);
  std::erase_if(rest, [&](const auto& option) { return known.contains(option.first); });
  if (!single.empty()) out.push_back(std::move(single));
  for (size_t i = 0;; ++i) {
    Section numbered = take_below(rest, std::to_string(i) + ".");
    if (numbered.empty()) break;
    for (const auto& option : numbered)
      if (!known.contains(option.first))
        return fail(EINVAL, "[", name, "] section doesn't support the option '", option.first, "'");
    out.push_back(std::move(numbered));
  }
  if (!rest.empty())
    return fail(EINVAL, "Unused option '", rest.front().first, "' for [", name, "]");
  return {};
}

}  // namespace

Status parse_config(std::string_view text, Sections& out) {
  Reader reader(out);
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    INSTAR_CHECK(reader.line(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return {};
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
  INSTAR_CHECK(read_group(options, "inject-error",
                          {"event", "state", "iotype", "errno", "sector", "once", "immediately"},
                          out.inject_error));
  return read_group(options, "set-state", {"event", "state", "new_state"}, out.set_state);
}

}  // namespace instar::blkdebug
