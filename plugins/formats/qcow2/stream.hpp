// SPDX-License-Identifier: Apache-2.0
/** @file stream.hpp Parts of images that are written from their first byte to their last. */
#pragma once

#include <memory>

#include "plugins/formats/qcow2/layout.hpp"
#include "sdk/cpp/codec.hpp"
#include "sdk/cpp/driver.hpp"

namespace instar::qcow2 {

/** Where the bytes go. */
class Output {
 public:
  explicit Output(const instar_content& out) : out_(out) {}

  uint64_t position() const { return position_; }
  Status put(const void* bytes, size_t length) {
    position_ += length;
    return check(out_.data(out_.opaque, bytes, length));
  }
  Status put_zeroes(uint64_t length) {
    if (length == 0) return {};
    position_ += length;
    return check(out_.zeroes(out_.opaque, length));
  }
  Status pad_to(uint64_t offset) { return put_zeroes(offset - position_); }

 private:
  static Status check(int result) {
    if (result >= 0) return {};
    return fail(-result, sdk::errno_text(result));
  }

  const instar_content out_;
  uint64_t position_ = 0;
};

/** All that stands before the L2 tables. @param count_of, has_table asked in order, each once */
template <class CountOf, class HasTable>
Status write_front(Output& out, const Header& header, const Geometry& geometry,
                   const Layout& layout, CountOf count_of, HasTable has_table) {
  INSTAR_TRY(auto bytes, serialize_header(header));
  INSTAR_CHECK(out.put(bytes.data(), bytes.size()));
  const auto put = [&](uint64_t at, const uint8_t* from, size_t length) -> Status {
    INSTAR_CHECK(out.pad_to(at));
    return out.put(from, length);
  };
  INSTAR_CHECK(write_refcounts_of(layout, geometry, put, count_of));
  uint64_t table = layout.l2_at() << geometry.cluster_bits;
  INSTAR_CHECK(write_units(put, header.l1_offset, header.l1_entries, 8,
                           [&](uint8_t* to, uint64_t first, uint64_t n) {
                             for (uint64_t i = 0; i < n; ++i) {
                               const bool there = has_table(first + i);
                               store_be(to + i * 8, there ? table | kEntryCopied : uint64_t{0});
                               if (there) table += geometry.cluster_size;
                             }
                           }));
  return out.pad_to(layout.l2_at() << geometry.cluster_bits);
}

/** What packs and unpacks clusters. @param level 0: the codec's own */
Result<std::unique_ptr<sdk::CodecPool>> open_codec(const sdk::Host& host, const Header& header,
                                                   int level);

/** An image whose clusters are packed. The source is read twice. ENOTSUP, before anything is written: it has more than
 * can be remembered of it. */
Status stream_packed(const sdk::Host& host, const Call& call, const Header& header,
                     const sdk::StreamSource& source, const instar_content& out);

}  // namespace instar::qcow2
