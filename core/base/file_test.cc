// SPDX-License-Identifier: Apache-2.0
#include "core/base/file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>

#include "core/base/fd.hpp"

namespace instar::base {
namespace {

TEST(ReadFile, WholeFileWithinTheLimit) {
  const std::string path = testing::TempDir() + "/instar_read_file";
  const std::string content(200'000, 'x');
  {
    const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
    ASSERT_TRUE(fd);
    ASSERT_TRUE(write_all(fd.get(), content));
  }
  EXPECT_EQ(*read_file(path, content.size()), content);
  const auto too_large = read_file(path, content.size() - 1);
  ASSERT_FALSE(too_large);
  EXPECT_EQ(too_large.error().code, EFBIG);
  EXPECT_EQ(too_large.error().message, "'" + path + "' is larger than 199999 bytes");
  unlink(path.c_str());
}

TEST(ReadFile, NamesTheFile) {
  const auto missing = read_file("/nonexistent/file", 10);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ENOENT);
  EXPECT_EQ(missing.error().message,
            "Could not open '/nonexistent/file': No such file or directory");
  EXPECT_EQ(read_file("/", 10).error().message, "Could not read '/': Is a directory");
}

TEST(WriteAll, ReportsTheErrno) {
  const Fd full(open("/dev/full", O_WRONLY));
  ASSERT_TRUE(full);
  EXPECT_EQ(write_all(full.get(), "x").error().code, ENOSPC);
}

TEST(Fd, MovesAndCloses) {
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  Fd writer(pipe_ends[1]);
  const Fd reader(pipe_ends[0]);
  Fd moved(std::move(writer));
  EXPECT_FALSE(writer);  // NOLINT(bugprone-use-after-move): that it is empty is the point
  moved.reset();
  char byte;
  EXPECT_EQ(read(reader.get(), &byte, 1), 0);  // end of file: no writer is left
}

}  // namespace
}  // namespace instar::base
