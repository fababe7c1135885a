// SPDX-License-Identifier: Apache-2.0
#include "core/block/status.hpp"

#include <algorithm>
#include <array>

namespace instar::block {

namespace {

constexpr size_t kExtentsPerCall = 256;
constexpr uint32_t kContent = INSTAR_EXTENT_DATA | INSTAR_EXTENT_ZERO;

/** A range whose status is not settled yet. */
struct Question {
  enum class Kind {
    kLayer,  ///< what does `node`, a layer of the chain, say
    kBelow,  ///< the layer's answer stands; `node` may know holes and where the bytes lie
    kSettled
  };
  Kind kind;
  Node* node;
  uint64_t node_offset;
  ChainExtent extent;  ///< the range in the top node and what is known
};

/** Settles the questions of one batch, in order; the depth of a chain lies on the heap. */
class Walk {
 public:
  Walk(const Call& call, const StatusOptions& options, size_t max)
      : call_(call), options_(options), max_(max) {}

  Result<std::vector<ChainExtent>> run(Node& top, uint64_t offset, uint64_t length) {
    ChainExtent whole;
    whole.offset = offset;
    whole.length = length;
    whole.layer = &top;
    open_.push_back({Question::Kind::kLayer, &top, offset, whole});
    while (!open_.empty()) {
      Question next = open_.back();
      open_.pop_back();
      if (next.kind == Question::Kind::kSettled) {
        if (!emit(next.extent)) break;
      } else if (auto asked = ask(next); !asked) {
        if (runs_.empty()) return std::move(asked).error();
        break;  // what lies before it is known; who asks for more gets the error
      }
    }
    return std::move(runs_);
  }

 private:
  /** False when the batch is full. */
  bool emit(const ChainExtent& extent) {
    if (!runs_.empty() && joins(runs_.back(), extent)) {
      runs_.back().length += extent.length;
      return true;
    }
    if (runs_.size() == max_) return false;
    runs_.push_back(extent);
    return true;
  }

  static bool joins(const ChainExtent& a, const ChainExtent& b) {
    if (a.flags != b.flags || a.depth != b.depth || a.layer != b.layer || a.file != b.file)
      return false;
    return (a.flags & INSTAR_EXTENT_OFFSET) == 0 || a.file_offset + a.length == b.file_offset;
  }

  Status ask(const Question& question) {
    std::array<instar_extent, kExtentsPerCall> answers;
    const size_t wanted = std::min(kExtentsPerCall, std::max<size_t>(max_ - runs_.size(), 1));
    INSTAR_TRY(const size_t count,
               question.node->extents(call_, question.node_offset, question.extent.length,
                                      answers.data(), wanted));
    const size_t first = open_.size();
    Question rest = question;
    for (size_t i = 0; i < count; ++i) {
      Question part = rest;
      part.extent.length = answers[i].length;
      rest.node_offset += answers[i].length;
      rest.extent.offset += answers[i].length;
      rest.extent.file_offset += answers[i].length;
      rest.extent.length -= answers[i].length;
      if (question.kind == Question::Kind::kLayer)
        open_.push_back(layer_answer(part, answers[i]));
      else
        open_.push_back(below_answer(part, answers[i]));
    }
    if (rest.extent.length > 0) open_.push_back(rest);
    std::reverse(open_.begin() + static_cast<ptrdiff_t>(first), open_.end());
    return {};
  }

  Question layer_answer(Question part, const instar_extent& answer) const {
    Node& node = *part.node;
    const bool stands_for_child =
        filters(node, answer) ||
        ((answer.flags & INSTAR_EXTENT_RECURSE) != 0 && (answer.flags & kContent) == 0);
    if (stands_for_child) return pass_on(part, answer);
    if ((answer.flags & (kContent | INSTAR_EXTENT_ALLOCATED)) == 0) {
      Question next = unallocated(part);
      if (next.kind != Question::Kind::kSettled || (answer.flags & INSTAR_EXTENT_OFFSET) == 0)
        return next;
      next.extent.flags |= INSTAR_EXTENT_OFFSET;  // space is set aside, without content
      return locate(next, node, answer);
    }
    part.extent.flags = answer.flags & ~uint32_t{INSTAR_EXTENT_RECURSE};
    return locate(part, node, answer);
  }

  /** What a filter stands on knows better than the filter where the bytes lie. */
  static bool filters(const Node& node, const instar_extent& answer) {
    return node.kind() == NodeKind::kFilter && answer.child < node.children().size() &&
           node.children()[answer.child].role == INSTAR_CHILD_FILTERED;
  }

  /** A filter, or raw: the child's status is the node's. */
  static Question pass_on(Question part, const instar_extent& answer) {
    part.node = part.node->children()[answer.child].node.get();
    part.node_offset = answer.child_offset;
    return part;
  }

  /** The next layer decides; the last one's gaps are zeroes, where there could be a layer below. */
  Question unallocated(Question part) const {
    if (part.node->kind() == NodeKind::kProtocol) {
      part.kind = Question::Kind::kSettled;
      part.extent.flags = 0;
      return part;
    }
    Node* below = part.extent.layer->backing();
    if (below == nullptr && has_own_chain(part)) {
      part.kind = Question::Kind::kSettled;
      part.extent.flags = INSTAR_EXTENT_DATA;
      return part;
    }
    if (below == nullptr || below == options_.base || beyond_end(*below, part.node_offset)) {
      part.kind = Question::Kind::kSettled;
      part.extent.flags = below == options_.base && below != nullptr
                              ? 0u
                              : static_cast<uint32_t>(INSTAR_EXTENT_ZERO);
      return part;
    }
    part.node = below;
    part.extent.layer = below;
    ++part.extent.depth;
    return part;
  }

  /** An image within raw: its backing files decide, which are no layers of this chain. */
  static bool has_own_chain(const Question& part) {
    Node* below = part.node->backing();
    return below != nullptr && !beyond_end(*below, part.node_offset);
  }

  static bool beyond_end(const Node& node, uint64_t offset) {
    const auto size = node.size();
    return size && offset >= *size;
  }

  /** Where the bytes of a filter lie: at the same offset below. */
  static Node* below_filters(Node* node) {
    while (node->kind() == NodeKind::kFilter && !node->children().empty() &&
           node->children()[0].role == INSTAR_CHILD_FILTERED)
      node = node->children()[0].node.get();
    return node;
  }

  /** Follows an answer's offset towards the protocol node. */
  Question locate(Question part, Node& node, const instar_extent& answer) const {
    const bool has_offset = (answer.flags & INSTAR_EXTENT_OFFSET) != 0;
    if (!has_offset) {
      part.kind = Question::Kind::kSettled;
      part.extent.flags &= ~uint32_t{INSTAR_EXTENT_OFFSET};
      part.extent.file = nullptr;
      return part;
    }
    if (node.kind() == NodeKind::kProtocol) {
      part.kind = Question::Kind::kSettled;
      part.extent.file = &node;
      part.extent.file_offset = part.node_offset;
      return part;
    }
    Node* child = node.children()[answer.child].node.get();
    const bool passes = node.children()[answer.child].role == INSTAR_CHILD_FILTERED;
    part.extent.file = passes ? below_filters(child) : child;
    part.extent.file_offset = answer.child_offset;
    const bool wants_holes = options_.want_zero && (answer.flags & INSTAR_EXTENT_RECURSE) != 0 &&
                             (answer.flags & INSTAR_EXTENT_DATA) != 0;
    const bool deeper = options_.resolve_file && child->kind() != NodeKind::kProtocol;
    const bool moved = passes && part.extent.file->kind() == NodeKind::kFilter;
    part.kind = wants_holes || deeper || moved ? Question::Kind::kBelow : Question::Kind::kSettled;
    part.node = child;
    part.node_offset = answer.child_offset;
    return part;
  }

  /** The layer's answer stands; holes below add ZERO to it. */
  Question below_answer(Question part, const instar_extent& answer) const {
    Node& node = *part.node;
    if ((answer.flags & INSTAR_EXTENT_ZERO) != 0) part.extent.flags |= INSTAR_EXTENT_ZERO;
    part.kind = Question::Kind::kSettled;
    const bool filter = node.kind() == NodeKind::kFilter;
    if (filter && (answer.flags & INSTAR_EXTENT_COMPRESSED) != 0) {
      part.extent.flags |= INSTAR_EXTENT_COMPRESSED;
      part.extent.flags &= ~uint32_t{INSTAR_EXTENT_OFFSET};
      part.extent.file = nullptr;
    }
    const bool deeper = node.kind() != NodeKind::kProtocol &&
                        (answer.flags & INSTAR_EXTENT_OFFSET) != 0 &&
                        (answer.flags & (INSTAR_EXTENT_COMPRESSED | INSTAR_EXTENT_ENCRYPTED)) == 0;
    if (!deeper) return part;
    part.node = node.children()[answer.child].node.get();
    part.node_offset = answer.child_offset;
    if (options_.resolve_file || (filter && !filters(node, answer))) {
      part.extent.file = part.node;
      part.extent.file_offset = answer.child_offset;
    }
    const bool more_holes = options_.want_zero && (answer.flags & INSTAR_EXTENT_RECURSE) != 0;
    const bool resolve = options_.resolve_file && part.node->kind() != NodeKind::kProtocol;
    if (more_holes || resolve || part.node->kind() == NodeKind::kFilter)
      part.kind = Question::Kind::kBelow;
    return part;
  }

  const Call& call_;
  const StatusOptions& options_;
  const size_t max_;
  std::vector<Question> open_;
  std::vector<ChainExtent> runs_;
};

}  // namespace

Result<std::vector<ChainExtent>> chain_status(const Call& call, Node& top, uint64_t offset,
                                              uint64_t length, const StatusOptions& options,
                                              size_t max) {
  if (length == 0 || max == 0) return std::vector<ChainExtent>{};
  return Walk(call, options, max).run(top, offset, length);
}

}  // namespace instar::block
