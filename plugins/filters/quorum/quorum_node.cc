// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/quorum/quorum_node.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>

#include "sdk/abi/chain.h"
#include "sdk/cpp/plugin.hpp"

namespace instar::quorum {

using sdk::Call;
using sdk::cat;
using sdk::Error;
using sdk::fail;
using sdk::IoVec;
using sdk::NodeRef;
using sdk::Result;
using sdk::Status;

namespace {

/** Bytes of one copy that are in memory at once. */
constexpr uint64_t kStep = 1u << 20;

/** The error that most copies gave. */
class ErrorVotes {
 public:
  void add(Error error) {
    const int code = error.code;
    auto& slot = votes_[code];
    if (slot.first++ == 0) slot.second = std::move(error);
  }
  Error winner() const {
    const auto most = std::max_element(
        votes_.begin(), votes_.end(),
        [](const auto& a, const auto& b) { return a.second.first < b.second.first; });
    return most->second.second;
  }

 private:
  std::map<int, std::pair<size_t, Error>> votes_;
};

Result<Settings> read_settings(const sdk::Options& options, size_t copies) {
  Settings settings;
  settings.threshold = options.number("vote-threshold");
  if (settings.threshold < 1)
    return fail(EINVAL, "Parameter 'vote-threshold' expects a value >= 1");
  if (settings.threshold > copies) return fail(EINVAL, "threshold may not exceed children count");
  const std::string pattern = options.text("read-pattern", "quorum");
  if (pattern != "quorum" && pattern != "fifo")
    return fail(EINVAL, "Please set read-pattern as fifo or quorum");
  settings.one_after_another = pattern == "fifo";
  if (settings.one_after_another) return settings;
  settings.tells_differences = options.flag("blkverify");
  if (settings.tells_differences && (copies != 2 || settings.threshold != 2))
    return fail(EINVAL,
                "blkverify=on can only be set if there are exactly two files and vote-threshold is "
                "2");
  settings.rewrites = options.flag("rewrite-corrupted");
  if (settings.rewrites && settings.tells_differences)
    return fail(EINVAL, "rewrite-corrupted=on cannot be used with blkverify=on");
  return settings;
}

}  // namespace

Result<std::unique_ptr<QuorumNode>> QuorumNode::open(sdk::OpenContext& context) {
  std::vector<NodeRef> copies;
  for (size_t i = 0;; ++i) {
    const std::string name = cat("children.", i);
    INSTAR_TRY(const NodeRef copy, context.child(name.c_str(), INSTAR_CHILD_DATA, nullptr, nullptr,
                                                 INSTAR_CHILD_OPTIONAL | INSTAR_CHILD_PROBED));
    if (!copy) break;
    copies.push_back(copy);
  }
  if (copies.empty()) return fail(EINVAL, "Number of provided children must be 1 or more");
  INSTAR_TRY(const Settings settings, read_settings(context.options(), copies.size()));
  if (settings.rewrites && !context.writable()) return fail(EACCES, "Block node is read-only");
  auto node = std::make_unique<QuorumNode>(std::move(copies), settings);
  INSTAR_CHECK(node->size());
  return node;
}

/** All have the same one. */
Result<uint64_t> QuorumNode::size() const {
  INSTAR_TRY(const uint64_t size, copies_[0].size());
  for (const auto& copy : copies_) {
    INSTAR_TRY(const uint64_t other, copy.size());
    if (other != size)
      return fail(EIO, "Could not refresh total sector count: ", sdk::errno_text(EIO));
  }
  return size;
}

/** Enough copies have to do it; else the error that most of them gave. */
Status QuorumNode::on_all(const std::function<Status(const NodeRef&)>& request) const {
  size_t done = 0;
  ErrorVotes errors;
  for (const auto& copy : copies_) {
    if (auto status = request(copy); status)
      ++done;
    else
      errors.add(std::move(status).error());
  }
  if (done >= settings_.threshold) return {};
  return errors.winner();
}

Status QuorumNode::read_first(const Call& call, uint64_t offset, const IoVec& to) const {
  Status last;
  for (const auto& copy : copies_) {
    last = copy.read(call, offset, to);
    if (last) return {};
  }
  return last;
}

/** Different contents, each with the number of copies that have it. */
Result<std::vector<QuorumNode::Answer>> QuorumNode::read_all(const Call& call, uint64_t offset,
                                                             uint64_t length) const {
  std::vector<Answer> answers;
  ErrorVotes errors;
  size_t done = 0;
  for (const auto& copy : copies_) {
    Answer answer{std::vector<uint8_t>(length), 1};
    if (auto status = copy.read(call, offset, answer.bytes.data(), length); !status) {
      errors.add(std::move(status).error());
      continue;
    }
    ++done;
    const auto same = std::find_if(answers.begin(), answers.end(), [&](const Answer& other) {
      return other.bytes == answer.bytes;
    });
    if (same == answers.end()) {
      answers.push_back(std::move(answer));
      continue;
    }
    ++same->votes;
  }
  if (done < settings_.threshold) return errors.winner();
  return answers;
}

Status QuorumNode::read(const Call& call, uint64_t offset, IoVec to) const {
  if (settings_.one_after_another) return read_first(call, offset, to);
  const uint64_t length = to.length();
  for (uint64_t at = 0; at < length; at += kStep) {
    const uint64_t n = std::min(kStep, length - at);
    INSTAR_TRY(const auto answers, read_all(call, offset + at, n));
    const auto winner =
        std::max_element(answers.begin(), answers.end(),
                         [](const Answer& a, const Answer& b) { return a.votes < b.votes; });
    if (answers.size() > 1) {
      if (settings_.tells_differences) {
        const auto& [one, two] = std::pair(answers[0].bytes, answers[1].bytes);
        const auto differ = std::mismatch(one.begin(), one.end(), two.begin()).first;
        const auto text =
            cat("quorum: read offset=", offset, " bytes=", length, " contents mismatch at offset ",
                offset + at + static_cast<uint64_t>(differ - one.begin()), "\n");
        std::fwrite(text.data(), 1, text.size(), stderr);
      }
      if (winner->votes < settings_.threshold) return fail(EIO, sdk::errno_text(EIO));
      INSTAR_CHECK(repair(call, offset + at, *winner));
    }
    to.copy_in(at, winner->bytes.data(), n);
  }
  return {};
}

/** Copies that have something else get what the winner has, if the user wants that. */
Status QuorumNode::repair(const Call& call, uint64_t offset, const Answer& winner) const {
  if (!settings_.rewrites) return {};
  std::vector<uint8_t> bytes(winner.bytes.size());
  for (const auto& copy : copies_) {
    // A copy that can't be read or written now is counted again with the next request.
    if (!copy.read(call, offset, bytes.data(), bytes.size()) || bytes == winner.bytes) continue;
    (void)copy.write(call, offset, winner.bytes.data(), winner.bytes.size());
  }
  return {};
}

Status QuorumNode::write(const Call& call, uint64_t offset, IoVec from, uint32_t flags) const {
  return on_all([&](const NodeRef& copy) { return copy.write(call, offset, from, flags); });
}

Status QuorumNode::write_zeroes(const Call& call, uint64_t offset, uint64_t length,
                                uint32_t flags) const {
  return on_all(
      [&](const NodeRef& copy) { return copy.write_zeroes(call, offset, length, flags); });
}

Status QuorumNode::flush(const Call& call) const {
  return on_all([&](const NodeRef& copy) { return copy.flush(call); });
}

namespace {

/** What a copy, with all that is below it, says of a range's begin. */
Result<instar_extent> extent_of(const NodeRef& copy, const Call& call, uint64_t offset,
                                uint64_t length) {
  instar_extent extent{};
  void* self = nullptr;
  const auto* chain = copy.interface<instar_chain_ops>(INSTAR_CHAIN_ID, &self);
  if (chain == nullptr) {
    INSTAR_CHECK(copy.extents(call, offset, length, &extent, 1));
    return extent;
  }
  sdk::OutgoingCall outgoing(&call);
  const int64_t count = chain->extents(self, outgoing.abi(), "", offset, length, &extent, 1);
  if (count < 0) return outgoing.error(count);
  return extent;
}

}  // namespace

/** Zeroes where all copies have them, else data: the copies have to vote on it. */
Result<size_t> QuorumNode::extents(const Call& call, uint64_t offset, uint64_t length,
                                   instar_extent* out, size_t max) const {
  if (max == 0) return fail(EINVAL, sdk::errno_text(EINVAL));
  uint64_t zeroes = length;
  uint64_t data = 0;
  for (const auto& copy : copies_) {
    const auto extent = extent_of(copy, call, offset, length);
    if (extent && (extent->flags & INSTAR_EXTENT_ZERO) != 0)
      zeroes = std::min(zeroes, extent->length);
    else
      data = std::max(data, extent ? extent->length : length);
  }
  out[0] = data != 0 ? instar_extent{data, 0, INSTAR_EXTENT_DATA | INSTAR_EXTENT_ALLOCATED, 0}
                     : instar_extent{zeroes, 0, INSTAR_EXTENT_ZERO | INSTAR_EXTENT_ALLOCATED, 0};
  return size_t{1};
}

}  // namespace instar::quorum

INSTAR_PLUGIN("quorum", "1.0.0", instar::sdk::filter<instar::quorum::QuorumNode>("quorum"))
