// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/tar/tar_node.hpp"

#include <algorithm>

#include "plugins/filters/tar/ovf.hpp"
#include "sdk/cpp/plugin.hpp"

namespace instar::tar {

using sdk::Call;
using sdk::cat;
using sdk::fail;
using sdk::IoVec;
using sdk::NodeRef;
using sdk::Result;
using sdk::Status;

namespace {

constexpr uint64_t kMostOvf = 4u << 20;
constexpr size_t kMostNames = 20;  ///< in a message

using Names = std::vector<std::string>;

/** As a value among key=value pairs. */
std::string with_commas_doubled(const std::string& text) {
  std::string out;
  for (const char c : text)
    out.append(c == ',' ? 2 : 1, c);
  return out;
}

/** Which member, of the archive `filename`. */
class Choice {
 public:
  Choice(const Call& call, const NodeRef& file, std::string filename, std::vector<Member> members)
      : call_(call), file_(file), filename_(std::move(filename)), members_(std::move(members)) {}

  Result<Member> by_name(const std::string& name) const {
    // Of two the later one is what unpacking the archive leaves.
    const auto found = std::find_if(members_.rbegin(), members_.rend(),
                                    [&](const Member& member) { return member.name == name; });
    if (found == members_.rend())
      return fail(ENOENT, "the archive has no member '", name, "', but ", listed(names()));
    if (!found->plain)
      return fail(ENOTSUP, "the member '", name,
                  "' is stored as a sparse file or in parts, which can't be read here");
    return *found;
  }
  /** The disk, or else the file, if there is only one. */
  Result<Member> only_one() const {
    const auto ovf = std::find_if(members_.begin(), members_.end(),
                                  [](const Member& m) { return m.name.ends_with(".ovf"); });
    if (ovf != members_.end()) return by_descriptor(*ovf);
    if (members_.size() == 1) return by_name(members_[0].name);
    if (members_.empty()) return fail(EINVAL, "the archive holds no files");
    return several(names());
  }

 private:
  Result<Member> by_descriptor(const Member& ovf) const {
    if (!ovf.plain || ovf.size > kMostOvf)
      return fail(EFBIG, "the descriptor '", ovf.name, "' is too large");
    std::string text(static_cast<size_t>(ovf.size), '\0');
    INSTAR_CHECK(file_.read(call_, ovf.offset, text.data(), text.size()));
    const auto disks = disks_of(text);
    if (disks.empty()) return fail(EINVAL, "the descriptor '", ovf.name, "' tells of no disk");
    if (disks.size() > 1) {
      Names names;
      for (const auto& disk : disks)
        names.push_back(disk.href);
      return several(names);
    }
    if (disks[0].in_chunks)
      return fail(ENOTSUP, "the disk '", disks[0].href, "' is cut into several files");
    return by_name(disks[0].href);
  }
  Names names() const {
    Names names;
    for (const auto& member : members_)
      names.push_back(member.name);
    return names;
  }
  static std::string listed(const Names& names) {
    std::string text;
    for (size_t i = 0; i < std::min(names.size(), kMostNames); ++i)
      text += cat(i == 0 ? "'" : ", '", names[i], "'");
    if (names.size() > kMostNames) text += cat(" and ", names.size() - kMostNames, " more");
    return names.empty() ? "none at all" : text;
  }
  sdk::Error several(const Names& names) const {
    auto error = fail(EINVAL, "the archive holds several: ", listed(names));
    error.hint = cat(
        "One is chosen by --image-opts file.driver=tar,file.member=", with_commas_doubled(names[0]),
        ",file.file.filename=", with_commas_doubled(filename_));
    return error;
  }

  const Call& call_;
  const NodeRef& file_;
  const std::string filename_;
  const std::vector<Member> members_;
};

}  // namespace

Result<std::unique_ptr<TarNode>> TarNode::open(sdk::OpenContext& context) {
  if (context.writable()) return fail(EACCES, "Image is read-only");
  INSTAR_TRY(const NodeRef file, context.file(INSTAR_CHILD_DATA));
  INSTAR_TRY(auto members, read_members(context.call(), file));
  const Choice choice(context.call(), file, context.filename(), std::move(members));
  const auto name = context.options().text("member");
  INSTAR_TRY(Member member, name.empty() ? choice.only_one() : choice.by_name(name));
  return std::unique_ptr<TarNode>(new TarNode(file, std::move(member)));
}

void TarNode::limits(instar_node_limits& limits) const {
  const auto file = file_.limits();
  if (file) limits.optimal_transfer = file->optimal_transfer;
}

Status TarNode::read(const Call& call, uint64_t offset, IoVec to) const {
  const uint64_t length = to.length();
  const uint64_t inside = offset < member_.size ? std::min(length, member_.size - offset) : 0;
  to.fill_zero(inside, length - inside);
  Status status;
  to.walk(0, inside, [&](uint8_t* piece, uint64_t done, size_t n) {
    if (status) status = file_.read(call, member_.offset + offset + done, piece, n);
  });
  return status;
}

Result<size_t> TarNode::extents(const Call& call, uint64_t offset, uint64_t length,
                                instar_extent* out, size_t max) const {
  uint64_t position = member_.offset + offset;
  INSTAR_TRY(const size_t count, file_.extents(call, position, length, out, max));
  for (size_t i = 0; i < count; ++i) {
    constexpr uint32_t kKept = INSTAR_EXTENT_DATA | INSTAR_EXTENT_ZERO | INSTAR_EXTENT_ALLOCATED;
    out[i].flags = (out[i].flags & kKept) | INSTAR_EXTENT_OFFSET;
    out[i].child = file_.id();
    out[i].child_offset = position;
    position += out[i].length;
  }
  return count;
}

void TarNode::info(sdk::JsonWriter& json) const {
  json.begin_object().key("format-specific").begin_object().field("type", "tar");
  json.key("data").begin_object().field("member", member_.name).field("offset", member_.offset);
  json.end_object().end_object().end_object();
}

}  // namespace instar::tar

INSTAR_PLUGIN("tar", "1.0.0", instar::sdk::filter<instar::tar::TarNode>("tar"))
