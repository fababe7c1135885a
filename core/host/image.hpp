// SPDX-License-Identifier: Apache-2.0
/** @file image.hpp What stands behind the handle instar_image of the graph service. */
#pragma once

#include <memory>

#include "core/block/node.hpp"

/** An open image, or (as a member of another) its backing file. */
struct instar_image {
  instar::block::NodePtr node;
  std::unique_ptr<instar_image> backing;  ///< made when it is asked for
};
