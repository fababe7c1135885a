// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/create.hpp"

#include <algorithm>
#include <filesystem>

#include "plugins/formats/qcow2/image.hpp"
#include "plugins/formats/qcow2/layout.hpp"

namespace instar::qcow2 {
namespace {

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
      INSTAR_CHECK(sdk::explained(
          "Could not resize image: Failed to resize underlying file",
          file_.node().resize(call_, offset(layout_.end()), options_.preallocation)));
    INSTAR_CHECK(written(write_refcounts()));
    INSTAR_CHECK(written(write_l1()));
    INSTAR_TRY(header_.crypto,
               create_encryption(context_, options_.encryption, file_, offset(layout_.crypto_at()),
                                 offset(layout_.crypto)));
    INSTAR_CHECK(written(write_l2()));
    if (preallocates() && layout_.data != 0) {
      const uint64_t end = offset(layout_.data_at()) + header_.size;
      if (file_.size() < end)
        INSTAR_CHECK(sdk::explained("Could not resize image", file_.node().resize(call_, end)));
    }
    // The header comes last: a file without it is no image.
    auto bytes = serialize_header(header_);
    if (!bytes)
      return fail(bytes.error().code, "Could not assign backing file '", header_.backing_file,
                  "' with format '", header_.backing_format.value_or(""),
                  "': ", bytes.error().message);
    bytes->resize(geometry_.cluster_size);
    return written(file_.write(call_, 0, bytes->data(), bytes->size()));
  }

 private:
  static Status written(Status status) {
    return sdk::explained("Could not write qcow2 header", std::move(status));
  }
  bool preallocates() const { return options_.preallocation != INSTAR_PREALLOCATION_OFF; }
  uint64_t offset(uint64_t cluster) const { return cluster << geometry_.cluster_bits; }

  Status choose_layout() {
    INSTAR_TRY(const uint32_t l1_entries, count_l1_entries(header_, geometry_));
    header_.l1_entries = l1_entries;
    INSTAR_TRY(const uint64_t crypto,
               measure_encryption(context_.host(), call_, options_.encryption, context_.options()));
    layout_.l1 = geometry_.clusters(l1_entries * uint64_t{8});
    layout_.crypto = geometry_.clusters(crypto);
    if (preallocates()) {
      layout_.l2 = header_.l1_entries;
      layout_.data = header_.has_data_file() ? 0 : geometry_.clusters(header_.size);
    }
    INSTAR_CHECK(layout_.fit_refcounts(geometry_));
    layout_.place(header_, geometry_);
    return {};
  }

  /** Where write_units puts what it made. */
  auto to_file() {
    return [this](uint64_t at, const uint8_t* bytes, size_t length) {
      return file_.write(call_, at, bytes, length);
    };
  }

  Status write_refcounts() { return write_refcounts_of(layout_, geometry_, to_file()); }

  Status write_l1() {
    const auto entries = [&](uint8_t* to, uint64_t first, uint64_t n) {
      for (uint64_t i = 0; i < n; ++i)
        store_be(to + i * 8,
                 preallocates() ? offset(layout_.l2_at() + first + i) | kEntryCopied : uint64_t{0});
    };
    return write_units(to_file(), header_.l1_offset, header_.l1_entries, 8, entries);
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
    return write_units(to_file(), offset(layout_.l2_at()), offset(layout_.l2) / size, size,
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
