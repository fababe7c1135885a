// SPDX-License-Identifier: Apache-2.0
/** @file testing_check.hpp For unit tests of formats: images that are damaged on purpose, and what a
 * check says of them. */
#pragma once

#include "testing_repair.hpp"
#include "testing_resize.hpp"

namespace instar::sdk::testing {

/** Its image is new, with something in some of its clusters. */
template <class Driver>
class CheckTest : public ::testing::Test {
 protected:
  CheckTest(const OptionList& options, const std::vector<uint64_t>& clusters,
            uint64_t cluster_size) {
    EXPECT_TRUE(image_.create(options));
    fill(image_, clusters, cluster_size);
  }
  Findings check(uint32_t fix = 0) {
    const auto node = image_.open(INSTAR_OPEN_CHECK);
    EXPECT_TRUE(node) << (node ? "" : node.error().message);
    return node ? testing::check(*node, fix) : Findings{};
  }

  ImageInMemory<Driver> image_;
};

}  // namespace instar::sdk::testing
