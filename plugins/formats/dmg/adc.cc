// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/dmg/adc.hpp"

#include <algorithm>
#include <cstring>

namespace instar::dmg {

sdk::Result<int64_t> unpack_adc(sdk::ConstBytes in, sdk::Bytes out) {
  size_t done = 0;
  while (!in.empty() && done < out.size()) {
    const uint8_t control = in[0];
    const bool literal = (control & 0x80) != 0, wide = (control & 0x40) != 0;
    const size_t header = literal ? 1 : wide ? 3 : 2;
    size_t length = literal ? (control & 0x7fu) + 1
                    : wide  ? (control & 0x3fu) + 4
                            : (control >> 2 & 0xfu) + 3;
    if (in.size() < header + (literal ? length : 0)) return sdk::fail(EIO, "truncated ADC data");
    const size_t room = std::min(length, out.size() - done);
    if (literal) {
      std::memcpy(out.data() + done, in.data() + 1, room);
    } else {
      const size_t back = wide ? sdk::load_be<uint16_t>(in.data() + 1) + size_t{1}
                               : ((control & 3u) << 8 | in[1]) + size_t{1};
      if (back > done) return sdk::fail(EIO, "bad ADC data");
      // A byte at a time: what is copied may begin in what is being written.
      for (size_t i = 0; i < room; ++i)
        out[done + i] = out[done + i - back];
    }
    in = in.subspan(header + (literal ? length : 0));
    done += room;
  }
  return static_cast<int64_t>(done);
}

}  // namespace instar::dmg
