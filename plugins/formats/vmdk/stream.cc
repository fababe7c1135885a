// SPDX-License-Identifier: Apache-2.0
// A streamOptimized image as a sequence of bytes, by VMware's "Virtual Disk Format 5.0": each table
// behind its grains, the directory and the header's copy that tells of it at the end.
#include <algorithm>

#include "plugins/formats/vmdk/create.hpp"
#include "plugins/formats/vmdk/image.hpp"
#include "sdk/cpp/packing_line.hpp"

namespace instar::vmdk {

using sdk::Call;
using sdk::ConstBytes;
using sdk::fail;
using sdk::Status;

namespace {

constexpr size_t kGrain = kGrainSectors * kSector;

/** Takes the disk's content, gives the image's bytes. */
class StreamWriter {
 public:
  StreamWriter(const Plan& plan, sdk::CodecPool& codec, const instar_content& out)
      : plan_(plan),
        out_(out),
        directory_(sdk::div_up(plan.size, kGrain * kEntriesPerTable)),
        packer_(
            kGrain, plan.size, codec.bound(kGrain),
            [&codec](ConstBytes grain, sdk::Bytes packed) { return codec.compress(grain, packed); },
            [this](uint64_t grain, ConstBytes, ConstBytes packed) {
              return store(grain, packed);
            }) {}

  instar_content receiver() { return packer_.receiver(); }

  Status begin() {
    header_ = new_header(plan_, plan_.size);
    header_.gd_offset = kGdAtEnd;
    header_.overhead = kGrainSectors;
    INSTAR_CHECK(put(&header_, sizeof header_));
    INSTAR_TRY(const std::string text, descriptor_inside(plan_));
    INSTAR_CHECK(put(text.data(), text.size()));
    return pad_to(kGrainSectors * kSector);
  }

  Status finish(Status given) {
    INSTAR_CHECK(packer_.finish(std::move(given)));
    INSTAR_CHECK(end_table());
    const uint64_t bytes = sdk::round_up(directory_.size() * sizeof directory_[0], kSector);
    INSTAR_CHECK(put_marker(MarkerType::kGrainDirectory, bytes));
    const uint64_t place = position_;
    INSTAR_CHECK(put(directory_.data(), directory_.size() * sizeof directory_[0]));
    INSTAR_CHECK(pad_to(place + bytes));
    Tail tail{};
    tail.footer_marker = make_marker(MarkerType::kFooter, kSector);
    tail.footer = header_;
    tail.footer.gd_offset = place / kSector;
    tail.end_of_stream = make_marker(MarkerType::kEndOfStream, 0);
    return put(&tail, sizeof tail);
  }

 private:
  static constexpr uint64_t kNone = UINT64_MAX;

  Status store(uint64_t grain, ConstBytes packed) {
    if (packed.empty()) return fail(EIO, sdk::errno_text(EIO));
    const uint64_t table = grain / kEntriesPerTable;
    if (table != table_) INSTAR_CHECK(end_table());
    table_ = table;
    if (position_ / kSector >= kMostSectors) return fail(EFBIG, sdk::errno_text(EFBIG));
    entries_[grain % kEntriesPerTable] = static_cast<uint32_t>(position_ / kSector);
    const auto bytes = with_marker(grain * kGrainSectors, packed);
    return put(bytes.data(), bytes.size());
  }

  Status end_table() {
    if (table_ == kNone) return {};
    INSTAR_CHECK(put_marker(MarkerType::kGrainTable, sizeof entries_));
    if (position_ / kSector >= kMostSectors) return fail(EFBIG, sdk::errno_text(EFBIG));
    directory_[std::exchange(table_, kNone)] = static_cast<uint32_t>(position_ / kSector);
    INSTAR_CHECK(put(entries_, sizeof entries_));
    std::fill(std::begin(entries_), std::end(entries_), Le<uint32_t>(0));
    return {};
  }

  Status put_marker(MarkerType type, uint64_t bytes) {
    const Marker marker = make_marker(type, bytes);
    return put(&marker, sizeof marker);
  }
  Status put(const void* bytes, size_t length) {
    if (length == 0) return {};
    position_ += length;
    return check(out_.data(out_.opaque, bytes, length));
  }
  Status pad_to(uint64_t offset) {
    const uint64_t length = offset - std::exchange(position_, offset);
    return length == 0 ? Status() : check(out_.zeroes(out_.opaque, length));
  }
  static Status check(int result) {
    if (result >= 0) return {};
    return fail(-result, sdk::errno_text(result));
  }

  const Plan& plan_;
  const instar_content out_;
  SparseHeader header_{};
  uint64_t position_ = 0;   ///< in the image
  uint64_t guest_ = 0;      ///< in the content
  uint64_t table_ = kNone;  ///< that entries_ is
  Le<uint32_t> entries_[kEntriesPerTable] = {};
  std::vector<Le<uint32_t>> directory_;
  sdk::ContentPacker packer_;
};

Status check_streamable(const Plan& plan) {
  if (!plan.subformat.compressed)
    return fail(ENOTSUP, "Only streamOptimized vmdk images can be streams");
  if (plan.descriptor.parent_file) return fail(ENOTSUP, "A vmdk stream can't have a backing file");
  return {};
}

}  // namespace

Status Image::stream(sdk::Host host, const Call& call, const sdk::Options& options,
                     const sdk::StreamSource& source, const instar_content& out) {
  INSTAR_TRY(Plan plan, read_options(options, source.size()));
  INSTAR_CHECK(check_streamable(plan));
  // Nobody knows yet what the file will be called.
  plan.descriptor.extent_lines = extent_line(plan, "disk.vmdk", plan.size);
  INSTAR_TRY(const auto codec, open_grain_codec(host));
  StreamWriter writer(plan, *codec, out);
  INSTAR_CHECK(writer.begin());
  return writer.finish(source.read(call, writer.receiver()));
}

}  // namespace instar::vmdk
