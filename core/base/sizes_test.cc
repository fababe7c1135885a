// SPDX-License-Identifier: Apache-2.0
// Expected values are what qemu-img 10.0.2 does with the same texts (measure --size, create -o
// cluster_size=).
#include "core/base/sizes.hpp"

#include <gtest/gtest.h>

namespace instar::base {
namespace {

struct SizeCase {
  const char* text;
  SizeError error;
  uint64_t bytes;
};

constexpr SizeError kOk = SizeError::kNone;
constexpr SizeError kBad = SizeError::kInvalid;
constexpr SizeError kRange = SizeError::kOutOfRange;

class ParseSize : public testing::TestWithParam<SizeCase> {};

TEST_P(ParseSize, AgreesWithQemu) {
  const SizeCase& expected = GetParam();
  const ParsedSize parsed = parse_size(expected.text);
  EXPECT_EQ(parsed.error, expected.error) << expected.text;
  EXPECT_EQ(parsed.bytes, expected.bytes) << expected.text;
}

INSTANTIATE_TEST_SUITE_P(
    Accepted, ParseSize,
    testing::Values(SizeCase{"1", kOk, 1}, SizeCase{"0x400", kOk, 1024}, SizeCase{"1k", kOk, 1024},
                    SizeCase{"1K", kOk, 1024}, SizeCase{"1b", kOk, 1}, SizeCase{"1B", kOk, 1},
                    SizeCase{"1.5k", kOk, 1536}, SizeCase{".5k", kOk, 512},
                    SizeCase{"+.5k", kOk, 512}, SizeCase{"1.k", kOk, 1024},
                    SizeCase{" 1M", kOk, 1 << 20}, SizeCase{"+1M", kOk, 1 << 20},
                    SizeCase{"010", kOk, 10}, SizeCase{"0.1k", kOk, 102},
                    SizeCase{"0.0001k", kOk, 0}, SizeCase{"1.0000000000000000000001k", kOk, 1024},
                    SizeCase{"1.99999999999999999999999k", kOk, 2048}, SizeCase{"1.0", kOk, 1},
                    SizeCase{"1.0b", kOk, 1}, SizeCase{"1t", kOk, uint64_t{1} << 40},
                    SizeCase{"1p", kOk, uint64_t{1} << 50}, SizeCase{"1e", kOk, uint64_t{1} << 60},
                    SizeCase{"1E", kOk, uint64_t{1} << 60}, SizeCase{"  0x10", kOk, 16},
                    SizeCase{"0X10", kOk, 16}, SizeCase{"0x1E", kOk, 30}, SizeCase{"0x1B", kOk, 27},
                    SizeCase{"+0", kOk, 0}, SizeCase{"8E", kOk, uint64_t{1} << 63},
                    SizeCase{"7.9E", kOk, 9108079886394091136u},
                    SizeCase{"7.99999999999999999E", kOk, uint64_t{1} << 63},
                    SizeCase{"18446744073709551615", kOk, UINT64_MAX},
                    SizeCase{"15.9999999999E", kOk, static_cast<uint64_t>(-115292160)},
                    SizeCase{"1.5T", kOk, 1649267441664}));

INSTANTIATE_TEST_SUITE_P(
    Refused, ParseSize,
    testing::Values(SizeCase{"", kBad, 0}, SizeCase{"0x400k", kBad, 0}, SizeCase{"1.5", kBad, 0},
                    SizeCase{"1e3", kBad, 0}, SizeCase{"1e3k", kBad, 0}, SizeCase{"1kk", kBad, 0},
                    SizeCase{"1M ", kBad, 0}, SizeCase{"0x", kBad, 0}, SizeCase{"0xg", kBad, 0},
                    SizeCase{"0x1p3", kBad, 0}, SizeCase{"inf", kBad, 0}, SizeCase{"nan", kBad, 0},
                    SizeCase{"1i", kBad, 0}, SizeCase{"0x1.8k", kBad, 0}, SizeCase{"0b1", kBad, 0},
                    SizeCase{"1_000", kBad, 0}, SizeCase{"0.5", kBad, 0}, SizeCase{"0.5b", kBad, 0},
                    SizeCase{"1.5B", kBad, 0}, SizeCase{"1 M", kBad, 0}, SizeCase{"1,5M", kBad, 0},
                    SizeCase{"1Z", kBad, 0}, SizeCase{"1KiB", kBad, 0}, SizeCase{"0x10K", kBad, 0},
                    SizeCase{"00x1", kBad, 0}, SizeCase{"1.5e1k", kBad, 0}, SizeCase{".k", kBad, 0},
                    SizeCase{".", kBad, 0}, SizeCase{"-0k", kBad, 0}, SizeCase{"+ 1", kBad, 0},
                    SizeCase{"foo", kBad, 0}, SizeCase{"-1", kRange, 0}, SizeCase{"-0", kRange, 0},
                    SizeCase{"16E", kRange, 0}, SizeCase{"100E", kRange, 0},
                    SizeCase{"18446744073709551616", kRange, 0},
                    SizeCase{"12345678901234567890123", kRange, 0}));

TEST(ParseUnsigned, TakesEveryBaseAndNoSuffix) {
  EXPECT_EQ(parse_unsigned("0x10").bytes, 16u);
  EXPECT_EQ(parse_unsigned("010").bytes, 8u);
  EXPECT_EQ(parse_unsigned(" +7").bytes, 7u);
  EXPECT_EQ(parse_unsigned("-1").bytes, UINT64_MAX);
  for (const char* bad : {"", "x", "16k", "1.5", "08", "0b1", "0x"})
    EXPECT_EQ(parse_unsigned(bad).error, SizeError::kInvalid) << bad;
  EXPECT_EQ(parse_unsigned("18446744073709551616").error, SizeError::kOutOfRange);
}

TEST(SizeArgument, NamesWhatIsWrong) {
  EXPECT_EQ(*parse_size_argument("image size", "1.5k"), 1536);
  const auto bad = parse_size_argument("image size", "1Z");
  EXPECT_EQ(bad.error().code, EINVAL);
  EXPECT_EQ(bad.error().message, "Invalid image size specified: '1Z'.");
  const auto big = parse_size_argument("image size", "8E");
  EXPECT_EQ(big.error().code, ERANGE);
  EXPECT_EQ(big.error().message,
            "Invalid image size specified. Must be between 0 and 9223372036854775807.");
  EXPECT_EQ(parse_size_argument("bs", "0", 1, 2147483647).error().message,
            "Invalid bs specified. Must be between 1 and 2147483647.");
}

TEST(NumberArgument, NamesWhatIsWrong) {
  EXPECT_EQ(*parse_number_argument("number of coroutines", "0x4", 1, 16), 4);
  EXPECT_EQ(parse_number_argument("number of coroutines", "4k", 1, 16).error().message,
            "Invalid number of coroutines specified: '4k'.");
  EXPECT_EQ(parse_number_argument("number of coroutines", "-1", 1, 16).error().message,
            "Invalid number of coroutines specified. Must be between 1 and 16.");
}

TEST(FormatSize, AgreesWithQemu) {
  const std::pair<uint64_t, const char*> kCases[] = {
      {0, "0 B"},
      {512, "512 B"},
      {1000, "0.977 KiB"},
      {1024, "1 KiB"},
      {1536, "1.5 KiB"},
      {197120, "192 KiB"},  // 192.5: ties go to even
      {511488, "500 KiB"},
      {1024000, "0.977 MiB"},
      {1048576, "1 MiB"},
      {10514432, "10 MiB"},
      {53657600, "51.2 MiB"},
      {1048576000, "0.977 GiB"},
      {6320987136, "5.89 GiB"},
      {136365211648, "127 GiB"},
      {uint64_t{1} << 60, "1 EiB"},
      {UINT64_MAX, "16 EiB"},
  };
  for (const auto& [bytes, text] : kCases)
    EXPECT_EQ(format_size(bytes), text);
}

}  // namespace
}  // namespace instar::base
