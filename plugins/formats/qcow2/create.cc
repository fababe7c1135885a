// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/create.hpp"

#include <algorithm>
#include <filesystem>

#include "plugins/formats/qcow2/image.hpp"

namespace instar::qcow2 {
namespace {

constexpr uint64_t kBatchBytes = 1u << 20;

/** A new image from the front: header, refcount table, refcount blocks, L1 table, the encryption's
 * header; with preallocation also all L2 tables and then room for all guest clusters. Counted in clusters. */
struct Layout {
  uint64_t table = 1;
  uint64_t blocks = 1;
  uint64_t l1 = 0;
  uint64_t crypto = 0;
  uint64_t l2 = 0;
  uint64_t data = 0;

  uint64_t table_at() const { return 1; }
  uint64_t blocks_at() const { return table_at() + table; }
  uint64_t l1_at() const { return blocks_at() + blocks; }
  uint64_t crypto_at() const { return l1_at() + l1; }
  uint64_t l2_at() const { return crypto_at() + crypto; }
  uint64_t data_at() const { return l2_at() + l2; }
  uint64_t end() const { return data_at() + data; }
};

Result<Layout> plan_layout(const Header& header, const Geometry& geometry, bool preallocate,
                           uint64_t crypto_bytes) {
  Layout layout;
  layout.crypto = geometry.clusters(crypto_bytes);
  const uint64_t l1_bytes = header.l1_entries * uint64_t{8};
  layout.l1 = geometry.clusters(l1_bytes);
  if (preallocate) {
    layout.l2 = header.l1_entries;
    layout.data = header.has_data_file() ? 0 : geometry.clusters(header.size);
  }
  for (;;) {
    const uint64_t blocks = sdk::div_up(layout.end(), geometry.refblock_entries());
    const uint64_t table = geometry.clusters(blocks * 8);
    if (blocks <= layout.blocks && table <= layout.table) break;
    layout.blocks = std::max(blocks, layout.blocks);
    layout.table = std::max(table, layout.table);
  }
  if (layout.table * geometry.cluster_size > kMaxRefcountTableBytes)
    return fail(EFBIG,
                "The image size is too large for file format 'qcow2' (try using a larger cluster "
                "size)");
  return layout;
}

/** Writes `count` units of `unit_size` bytes from `offset` on in large requests; fill(buffer, first,
 * n) makes n of them. */
template <class Fill>
Status write_units(const Call& call, HostFile& file, uint64_t offset, uint64_t count,
                   size_t unit_size, Fill fill) {
  std::vector<uint8_t> buffer(std::min<uint64_t>(count * unit_size, kBatchBytes));
  const uint64_t batch = std::max<uint64_t>(buffer.size() / std::max<size_t>(unit_size, 1), 1);
  for (uint64_t first = 0; first < count; first += batch) {
    const uint64_t n = std::min(batch, count - first);
    fill(buffer.data(), first, n);
    INSTAR_CHECK(file.write(call, offset + first * unit_size, buffer.data(), n * unit_size));
  }
  return {};
}

class Creator {
 public:
  Creator(const sdk::CreateContext& context, HostFile& file, const CreateOptions& options)
      : context_(context),
        call_(context.call()),
        file_(file),
        options_(options),
        header_(options.header),
        geometry_(header_) {}

  Status run() {
    INSTAR_CHECK(choose_layout());
    if (options_.preallocation >= INSTAR_PREALLOCATION_FALLOC && !header_.has_data_file())
      INSTAR_CHECK(file_.node().resize(call_, offset(layout_.end()), options_.preallocation));
    INSTAR_CHECK(write_refcounts());
    INSTAR_CHECK(write_l1());
    INSTAR_TRY(header_.crypto,
               create_encryption(context_, options_.encryption, file_, offset(layout_.crypto_at()),
                                 offset(layout_.crypto)));
    INSTAR_CHECK(write_l2());
    if (preallocates() && layout_.data != 0) {
      const uint64_t end = offset(layout_.data_at()) + header_.size;
      if (file_.size() < end) INSTAR_CHECK(file_.node().resize(call_, end));
    }
    // The header comes last: a file without it is no image.
    auto bytes = serialize_header(header_);
    if (!bytes)
      return fail(bytes.error().code, "Could not assign backing file '", header_.backing_file,
                  "' with format '", header_.backing_format.value_or(""),
                  "': ", bytes.error().message);
    bytes->resize(geometry_.cluster_size);
    return file_.write(call_, 0, bytes->data(), bytes->size());
  }

 private:
  bool preallocates() const { return options_.preallocation != INSTAR_PREALLOCATION_OFF; }
  uint64_t offset(uint64_t cluster) const { return cluster << geometry_.cluster_bits; }

  Status choose_layout() {
    const uint64_t l1_entries = sdk::div_up(header_.size, uint64_t{1} << geometry_.l1_shift);
    if (l1_entries > kMaxL1Bytes / 8)
      return fail(EFBIG,
                  "The image size is too large for file format 'qcow2' (try using a larger cluster "
                  "size)");
    header_.l1_entries = static_cast<uint32_t>(l1_entries);
    INSTAR_TRY(const uint64_t crypto,
               measure_encryption(context_.host(), call_, options_.encryption, context_.options()));
    INSTAR_TRY(layout_, plan_layout(header_, geometry_, preallocates(), crypto));
    header_.l1_offset = layout_.l1 != 0 ? offset(layout_.l1_at()) : 0;
    header_.refcount_table_offset = offset(layout_.table_at());
    header_.refcount_table_clusters = static_cast<uint32_t>(layout_.table);
    return {};
  }

  Status write_refcounts() {
    const uint64_t first_block = offset(layout_.blocks_at());
    const auto table_entry = [&](uint8_t* to, uint64_t first, uint64_t n) {
      for (uint64_t i = 0; i < n; ++i)
        store_be(to + i * 8,
                 first + i < layout_.blocks ? first_block + offset(first + i) : uint64_t{0});
    };
    INSTAR_CHECK(write_units(call_, file_, offset(layout_.table_at()), offset(layout_.table) / 8, 8,
                             table_entry));
    // A count of 1 for each cluster up to the end. Units are bytes' worth of whole counts.
    const uint32_t order = header_.refcount_order;
    const size_t unit = order > 3 ? size_t{1} << (order - 3) : 1;
    const uint64_t per_unit = order > 3 ? 1 : uint64_t{8} >> order;
    const auto counts = [&](uint8_t* to, uint64_t first, uint64_t n) {
      std::memset(to, 0, n * unit);
      const uint64_t begin = first * per_unit;
      const uint64_t end = std::min(begin + n * per_unit, layout_.end());
      for (uint64_t cluster = begin; cluster < end; ++cluster)
        Refcounts::set_entry(to, cluster - begin, order, 1);
    };
    return write_units(call_, file_, first_block, offset(layout_.blocks) / unit, unit, counts);
  }

  Status write_l1() {
    const auto entries = [&](uint8_t* to, uint64_t first, uint64_t n) {
      for (uint64_t i = 0; i < n; ++i)
        store_be(to + i * 8,
                 preallocates() ? offset(layout_.l2_at() + first + i) | kEntryCopied : uint64_t{0});
    };
    return write_units(call_, file_, header_.l1_offset, header_.l1_entries, 8, entries);
  }

  Status write_l2() {
    const uint64_t clusters = geometry_.clusters(header_.size);
    const uint64_t data = header_.has_data_file() ? 0 : layout_.data_at();
    const uint64_t size = geometry_.entry_size;
    const auto entries = [&](uint8_t* to, uint64_t first, uint64_t n) {
      for (uint64_t i = 0; i < n; ++i, to += size) {
        const bool used = first + i < clusters;
        store_be(to, used ? offset(data + first + i) | kEntryCopied : uint64_t{0});
        // Subclusters stay unallocated: what a backing file has shows through.
        if (size == 16) store_be(to + 8, uint64_t{0});
      }
    };
    return write_units(call_, file_, offset(layout_.l2_at()), offset(layout_.l2) / size, size,
                       entries);
  }

  const sdk::CreateContext& context_;
  const Call& call_;
  HostFile& file_;
  const CreateOptions& options_;
  Header header_;
  const Geometry geometry_;
  Layout layout_;
};

Status create_data_file(const sdk::CreateContext& context, const CreateOptions& options) {
  if (!options.header.has_data_file()) return {};
  // The name is seen from the working directory, as when the image is opened; the host's names of
  // further files are seen from the image.
  std::string name = *options.header.data_file;
  const bool elsewhere = context.filename().find('/') != std::string::npos;
  if (elsewhere && name.find_first_of(":/") != 0 && name.find(':') == std::string::npos)
    name = std::filesystem::absolute(name).string();
  INSTAR_TRY(const sdk::NodeRef data, context.create_file(name.c_str()));
  const auto mode = options.preallocation == INSTAR_PREALLOCATION_METADATA
                        ? INSTAR_PREALLOCATION_OFF
                        : options.preallocation;
  return data.resize(context.call(), options.header.size, mode);
}

}  // namespace

Status Image::create(sdk::CreateContext& context) {
  INSTAR_TRY(const CreateOptions options, read_create_options(context.options()));
  INSTAR_TRY(const sdk::NodeRef node, context.create_file());
  INSTAR_TRY(HostFile file, HostFile::open(node, true));
  INSTAR_CHECK(create_data_file(context, options));
  return Creator(context, file, options).run();
}

}  // namespace instar::qcow2
