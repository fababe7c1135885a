// SPDX-License-Identifier: Apache-2.0
#include "core/block/chain_view.hpp"

#include <algorithm>
#include <memory>

#include "core/block/status.hpp"
#include "sdk/cpp/node.hpp"

namespace instar::block {

namespace {

class View {
 public:
  explicit View(Node& top) : top_(top) {}

  Result<uint64_t> size() const { return top_.size(); }
  Status read(const Call& call, uint64_t offset, IoVec to) { return top_.read(call, offset, to); }
  Result<size_t> extents(const Call& call, uint64_t offset, uint64_t length, instar_extent* out,
                         size_t max) {
    StatusOptions options;
    options.resolve_file = false;
    INSTAR_TRY(const auto runs, chain_status(call, top_, offset, length, options, max));
    constexpr uint32_t kContent = INSTAR_EXTENT_DATA | INSTAR_EXTENT_ZERO |
                                  INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_COMPRESSED |
                                  INSTAR_EXTENT_ENCRYPTED;
    std::transform(runs.begin(), runs.end(), out, [](const ChainExtent& run) {
      return instar_extent{run.length, 0, run.flags & kContent, 0};
    });
    return runs.size();
  }
  const void* interface(const char* id, void** self) const {
    return top_.abi()->ops->get_interface(top_.abi()->self, id, self);
  }

 private:
  Node& top_;
};

}  // namespace

ChainView::ChainView(Node& top) {
  sdk::NodeTable<View>::publish(std::make_unique<View>(top), &node_);
  ops_ = *node_.ops;
  ops_.get_interface = [](void* self, const char* id, void** interface_self) {
    return static_cast<View*>(self)->interface(id, interface_self);
  };
  node_.ops = &ops_;
}

ChainView::~ChainView() {
  ops_.close(node_.self, nullptr);
}

}  // namespace instar::block
