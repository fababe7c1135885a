// SPDX-License-Identifier: Apache-2.0
#include "sdk/cpp/measure.hpp"

#include <array>

#include "plugins/formats/qcow2/create.hpp"
#include "plugins/formats/qcow2/image.hpp"
#include "sdk/cpp/json_reader.hpp"

namespace instar::qcow2 {
namespace {

/** Bytes of the refcount table and blocks that count `clusters` and themselves. */
uint64_t refcount_bytes(const Geometry& geometry, uint64_t clusters) {
  uint64_t blocks = 0;
  uint64_t table = 0;
  for (uint64_t last = UINT64_MAX, n = 0; n != last;) {
    last = n;
    blocks = sdk::div_up(clusters + table + blocks, geometry.refblock_entries());
    table = sdk::div_up(blocks, geometry.cluster_size / 8);
    n = clusters + blocks + table;
  }
  return (blocks + table) << geometry.cluster_bits;
}

/** Bytes of a file with every guest cluster allocated. `size` is a multiple of the cluster size. */
uint64_t fully_allocated_bytes(const Geometry& geometry, uint64_t size) {
  const uint64_t l2 = sdk::round_up(size >> geometry.cluster_bits, geometry.l2_entries());
  const uint64_t l2_bytes = l2 * geometry.entry_size;
  const uint64_t l1 = sdk::round_up(l2_bytes >> geometry.cluster_bits, geometry.cluster_size / 8);
  const uint64_t metadata = geometry.cluster_size + l2_bytes + l1 * 8;
  return size + metadata + refcount_bytes(geometry, (metadata + size) >> geometry.cluster_bits);
}

/** What the source's persistent bitmaps need in the new image: their bits, the tables that list those
 * clusters, and one directory. nullopt when the source can't have any. */
Result<std::optional<uint64_t>> bitmaps_bytes(const Geometry& geometry, sdk::NodeRef source,
                                              uint64_t size) {
  void* self = nullptr;
  const auto* ops = source.interface<instar_bitmap_ops>(INSTAR_BITMAP_ID, &self);
  if (ops == nullptr || ops->list == nullptr) return std::optional<uint64_t>();
  sdk::StringSink text;
  sdk::OutgoingCall call;
  if (auto listed = call.status(ops->list(self, call.abi(), text.abi())); !listed) {
    if (listed.error().code == ENOTSUP) return std::optional<uint64_t>();
    return std::move(listed).error();
  }
  const uint64_t cluster = geometry.cluster_size;
  uint64_t bytes = 0, directory = 0;
  sdk::JsonObject::each_item(text.text, [&](std::string_view item) {
    const sdk::JsonObject bitmap(item);
    const auto granularity = std::max<uint64_t>(bitmap.number("granularity").value_or(0), 512);
    const uint64_t clusters = sdk::div_up(sdk::div_up(sdk::div_up(size, granularity), 8), cluster);
    bytes += clusters * cluster + sdk::round_up(clusters * 8, cluster);
    directory +=
        sdk::round_up(sizeof(BitmapDirectoryEntry) + bitmap.string("name").value_or("").size(), 8);
  });
  return std::optional<uint64_t>(bytes + sdk::round_up(directory, cluster));
}

}  // namespace

Result<instar_measure_result> Image::measure(sdk::Host host, const sdk::Options& options,
                                             sdk::NodeRef source) {
  INSTAR_TRY(const CreateOptions created, read_measure_options(options));
  const Geometry geometry(created.header);
  INSTAR_TRY(const uint64_t crypto,
             measure_encryption(host, Call(nullptr), created.encryption, options));
  uint64_t size = created.header.size;
  if (source) {
    INSTAR_TRY(size, source.size());
  }
  const uint64_t content = size;
  if (size > INT64_MAX - geometry.cluster_size)
    return fail(EFBIG, "The image size is too large (try using a larger cluster size)");
  size = sdk::round_up(size, geometry.cluster_size);
  const uint64_t tables = sdk::div_up(size >> geometry.cluster_bits, geometry.l2_entries());
  if (tables * 8 > kMaxL1Bytes)
    return fail(EFBIG, "The image size is too large (try using a larger cluster size)");

  uint64_t data = 0;
  if (created.preallocation >= INSTAR_PREALLOCATION_FALLOC) {
    data = size;
  } else if (source) {
    data = size;
    if (created.header.backing_file.empty()) {  // what a backing file shares is not known
      INSTAR_TRY(data, sdk::count_data_blocks(source, content, geometry.cluster_size));
      data <<= geometry.cluster_bits;
    }
  }
  const uint64_t full =
      fully_allocated_bytes(geometry, size) + sdk::round_up(crypto, geometry.cluster_size);
  instar_measure_result result = sdk::measured(full - size + data, full);
  if (source && created.header.version >= 3) {
    INSTAR_TRY(const auto bitmaps, bitmaps_bytes(geometry, source, content));
    result.has_bitmaps = bitmaps ? 1 : 0;
    result.bitmaps = bitmaps.value_or(0);
  }
  return result;
}

}  // namespace instar::qcow2
