// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vhdx/headers.hpp"

#include "plugins/formats/vhdx/checksum.hpp"

namespace instar::vhdx {

using sdk::Call;
using sdk::fail;
using sdk::HostFile;
using sdk::Result;
using sdk::Status;

namespace {

bool usable(const Header& header) {
  return has_checksum(&header, sizeof header) && header.signature == kHeaderSignature &&
         header.version == 1;
}

}  // namespace

Result<Headers> Headers::read(const Call& call, const HostFile& file) {
  Header found[2];
  for (size_t i = 0; i < 2; ++i)
    INSTAR_CHECK(file.read(call, kHeaderOffsets[i], &found[i], sizeof found[i]));
  const bool first = usable(found[0]);
  const bool second = usable(found[1]);
  const uint64_t sequences[] = {found[0].sequence_number, found[1].sequence_number};
  // There are tools that write the same header twice.
  constexpr size_t kNamed = offsetof(Header, reserved);
  const bool two_of_a_number = first && second && sequences[0] == sequences[1] &&
                               std::memcmp(&found[0], &found[1], kNamed) != 0;
  if ((!first && !second) || two_of_a_number) return fail(EINVAL, "No valid VHDX header found");
  Headers headers;
  headers.index_ = !first || (second && sequences[1] > sequences[0]) ? 1 : 0;
  headers.header_ = found[headers.index_];
  return headers;
}

Status Headers::write(const Call& call, HostFile& file) {
  for (int i = 0; i < 2; ++i) {
    header_.sequence_number = header_.sequence_number + 1;
    set_checksum(&header_, sizeof header_);
    INSTAR_CHECK(file.write(call, kHeaderOffsets[1 - index_], &header_, sizeof header_));
    INSTAR_CHECK(file.flush(call));
    index_ = 1 - index_;
  }
  return {};
}

}  // namespace instar::vhdx
