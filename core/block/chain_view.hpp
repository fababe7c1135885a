// SPDX-License-Identifier: Apache-2.0
/** @file chain_view.hpp An image with its backing chain as one node, for plugins that ask what is
 * where: its extents are the chain's, its interfaces are those of the top. */
#pragma once

#include "core/block/node.hpp"

namespace instar::block {

/** Valid as long as the image. Reads only. */
class ChainView {
 public:
  explicit ChainView(Node& top);
  ~ChainView();
  ChainView(const ChainView&) = delete;
  ChainView& operator=(const ChainView&) = delete;

  const instar_node* abi() const { return &node_; }

 private:
  instar_node node_{};
  instar_node_ops ops_{};
};

}  // namespace instar::block
