// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/one_piece.hpp"

#include <gtest/gtest.h>

namespace instar::sdk {
namespace {

TEST(OnePiece, IsReadInto) {
  std::string a = "....", b = "....";
  const instar_iovec pieces[] = {{a.data(), 4}, {b.data(), 4}};
  const auto read = [](Bytes to) -> Status {
    std::fill(to.begin(), to.end(), uint8_t{'x'});
    return {};
  };
  ASSERT_TRUE(in_one_piece(IoVec(pieces, 2), 6, read));
  EXPECT_EQ(a + b, "xxxxxx..");
  ASSERT_TRUE(in_one_piece(IoVec(pieces + 1, 1), 3, read));
  EXPECT_EQ(b, "xxx.");
}

TEST(OnePiece, IsWrittenFrom) {
  std::string a = "ab", b = "cd", seen;
  const instar_iovec pieces[] = {{a.data(), 2}, {b.data(), 2}};
  const auto write = [&](ConstBytes from) -> Status {
    seen.assign(from.begin(), from.end());
    return {};
  };
  ASSERT_TRUE(in_one_piece(IoVec(pieces, 2), write));
  EXPECT_EQ(seen, "abcd");
  ASSERT_TRUE(in_one_piece(IoVec(pieces, 1), write));
  EXPECT_EQ(seen, "ab");
}

TEST(OnePiece, IsNotTakenAfterAnError) {
  std::string a = "..", b = "..";
  const instar_iovec pieces[] = {{a.data(), 2}, {b.data(), 2}};
  EXPECT_FALSE(in_one_piece(IoVec(pieces, 2), 4, [](Bytes to) -> Status {
    to[0] = 'x';
    return fail(EIO, "no");
  }));
  EXPECT_EQ(a + b, "....");
}

}  // namespace
}  // namespace instar::sdk
