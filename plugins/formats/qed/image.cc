// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qed/image.hpp"

#include "sdk/cpp/measure.hpp"
#include "sdk/cpp/plugin.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::qed {

using sdk::Call;
using sdk::fail;
using sdk::HostFile;
using sdk::NodeRef;
using sdk::Result;
using sdk::Status;

namespace {

constexpr uint64_t kSector = 512;
constexpr uint32_t kDefaultClusterSize = 65536;
constexpr uint32_t kDefaultTableSize = 4;

bool valid_size(const Header& header, uint64_t size) {
  return size % kSector == 0 && size <= header.most_bytes();
}

/** As QEMU counts it: a last cluster that is cut short is none. */
bool valid_l1_table(const Header& header, uint64_t file_size) {
  const uint64_t cluster = header.cluster_size;
  const uint64_t end = sdk::round_down(file_size, cluster);
  const uint64_t offset = header.l1_table_offset;
  return offset % cluster == 0 && offset >= header.header_bytes() && offset < end &&
         header.table_bytes() - cluster < end - offset;
}

Status check_header(const Header& header, uint64_t file_size) {
  if (header.magic != kMagic) return fail(EINVAL, "Image not in QED format");
  if ((header.features & ~kFeaturesKnown) != 0)
    return fail(ENOTSUP, "Unsupported QED features: ",
                sdk::hex(header.features & ~kFeaturesKnown).substr(2));
  if (!valid_cluster_size(header.cluster_size)) return fail(EINVAL, "QED cluster size is invalid");
  if (!valid_table_size(header.table_size)) return fail(EINVAL, "QED table size is invalid");
  if (!valid_size(header, header.image_size)) return fail(EINVAL, "QED image size is invalid");
  if (!valid_l1_table(header, file_size)) return fail(EINVAL, "QED table offset is invalid");
  if (header.header_size > UINT32_MAX / header.cluster_size)
    return fail(EINVAL, "QED header size is too large");
  if ((header.features & kFeatureBackingFile) != 0 &&
      uint64_t{header.backing_filename_offset} + header.backing_filename_size >
          header.header_bytes())
    return fail(EINVAL, "QED backing filename offset is invalid");
  return {};
}

constexpr uint32_t kLongestName = 1023;

Result<std::string> read_backing_name(const Call& call, const HostFile& file,
                                      const Header& header) {
  if ((header.features & kFeatureBackingFile) == 0) return std::string();
  if (header.backing_filename_size > kLongestName) return fail(EINVAL, sdk::errno_text(EINVAL));
  std::string name(header.backing_filename_size, '\0');
  INSTAR_CHECK(file.read(call, header.backing_filename_offset, name.data(), name.size()));
  name.resize(std::min(name.find('\0'), name.size()));
  return name;
}

}  // namespace

Image::Image(HostFile file, const Header& header, std::string backing, uint32_t flags)
    : BlockMap({header.cluster_size, header.image_size}, flags, std::move(file), header),
      backing_name_(std::move(backing)) {}

Result<std::unique_ptr<Image>> Image::open(sdk::OpenContext& context) {
  INSTAR_TRY(const NodeRef node, context.file());
  INSTAR_TRY(HostFile file, HostFile::open(node, !context.has_flag(INSTAR_OPEN_NO_FLUSH)));
  Header header;
  INSTAR_CHECK(file.read(context.call(), 0, &header, sizeof header));
  INSTAR_CHECK(check_header(header, file.size()));
  INSTAR_TRY(std::string name, read_backing_name(context.call(), file, header));
  std::unique_ptr<Image> image(
      new Image(std::move(file), header, std::move(name), context.flags()));
  if (!context.has_flag(INSTAR_OPEN_NO_BACKING)) {
    const bool named = !image->backing_name_.empty();
    const bool raw = (header.features & kFeatureBackingNoProbe) != 0;
    INSTAR_TRY(const NodeRef backing,
               context.child(
                   "backing", INSTAR_CHILD_BACKING, named ? image->backing_name_.c_str() : nullptr,
                   named && raw ? "raw" : nullptr, INSTAR_CHILD_OPTIONAL | INSTAR_CHILD_READ_ONLY));
    if (backing) {
      INSTAR_TRY(HostFile below, HostFile::open(backing, false));
      image->set_backing(std::move(below));
    }
  }
  INSTAR_CHECK(image->tidy_up(context.call(), context.has_flag(INSTAR_OPEN_CHECK)));
  return image;
}

/** What a writer has to do with what others left behind. */
Status Image::tidy_up(const Call& call, bool checked_by_user) {
  if (!writable()) return {};
  Header& header = table().header();
  if (header.autoclear_features != 0) {
    header.autoclear_features = 0;
    INSTAR_CHECK(table().write_header(call));
  }
  if (checked_by_user || (header.features & kFeatureNeedCheck) == 0) return {};
  instar_check_result result{};
  return check(call, INSTAR_FIX_ERRORS | INSTAR_FIX_LEAKS, result, nullptr, nullptr);
}

namespace {

/** Of a new image, without what says where its backing file is. */
Result<Header> new_header(const sdk::Options& options, uint64_t size) {
  const uint64_t cluster = options.number("cluster_size", kDefaultClusterSize);
  const uint64_t table = options.number("table_size", kDefaultTableSize);
  if (!valid_cluster_size(cluster))
    return fail(EINVAL, "QED cluster size must be within range [", kMinClusterSize, ", ",
                kMaxClusterSize, "] and power of 2");
  if (!valid_table_size(table))
    return fail(EINVAL, "QED table size must be within range [", kMinTableSize, ", ", kMaxTableSize,
                "] and power of 2");
  Header header{};
  header.magic = kMagic;
  header.cluster_size = static_cast<uint32_t>(cluster);
  header.table_size = static_cast<uint32_t>(table);
  header.header_size = 1;
  header.l1_table_offset = cluster;
  if (size > header.most_bytes() - kSector + 1)
    return fail(EINVAL, "QED image size must be a non-zero multiple of cluster size and less than ",
                header.most_bytes(), " bytes");
  header.image_size = sdk::round_up(size, kSector);
  return header;
}

Status check_preallocation(const sdk::Options& options) {
  INSTAR_TRY(const instar_preallocation mode, sdk::file_preallocation(options));
  if (mode == INSTAR_PREALLOCATION_OFF) return {};
  return fail(ENOTSUP, "Preallocation is not possible for qed images");
}

}  // namespace

Status Image::create(sdk::CreateContext& context) {
  const sdk::Options options = context.options();
  INSTAR_TRY(Header header, new_header(options, options.number("size")));
  const uint64_t cluster = header.cluster_size;
  INSTAR_CHECK(check_preallocation(options));
  const std::string backing = options.text("backing_file");
  if (!backing.empty()) {
    if (backing.size() > std::min<uint64_t>(cluster - sizeof header, kLongestName))
      return fail(EINVAL, "QED backing filename is too long");
    header.features = kFeatureBackingFile;
    if (options.text("backing_fmt") == "raw")
      header.features = header.features | kFeatureBackingNoProbe;
    header.backing_filename_offset = sizeof header;
    header.backing_filename_size = static_cast<uint32_t>(backing.size());
  }
  INSTAR_TRY(const NodeRef node, context.create_file());
  INSTAR_TRY(HostFile file, HostFile::open(node, true));
  const auto write = [&]() -> Status {
    INSTAR_CHECK(file.resize(context.call(), cluster + header.table_bytes()));
    INSTAR_CHECK(file.write(context.call(), 0, &header, sizeof header));
    return file.write(context.call(), sizeof header, backing.data(), backing.size());
  };
  return sdk::explained("Could not create image", write());
}

Result<instar_measure_result> Image::measure(sdk::Host host, const sdk::Options& options,
                                             NodeRef source) {
  INSTAR_CHECK(sdk::check_measures(host, "qed"));
  INSTAR_TRY(const uint64_t size, sdk::size_to_measure(options, source));
  INSTAR_TRY(const Header header, new_header(options, size));
  INSTAR_CHECK(check_preallocation(options));
  const uint64_t cluster = header.cluster_size;
  const auto bytes = [&](const sdk::BlockCount& clusters, const sdk::BlockCount& tables) {
    return cluster + header.table_bytes() * (1 + tables.count()) + clusters.count() * cluster;
  };
  sdk::BlockCount all(cluster), all_tables(cluster * header.table_entries());
  all.add(0, size);
  all_tables.add(0, size);
  const uint64_t full = bytes(all, all_tables);
  // What a backing file shares is not known.
  if (source && options.has("backing_file")) return sdk::measured(full, full);
  sdk::BlockCount used(cluster), used_tables(cluster * header.table_entries());
  INSTAR_CHECK(sdk::walk_data(source, size, [&](uint64_t begin, uint64_t end) {
    used.add(begin, end);
    used_tables.add(begin, end);
  }));
  return sdk::measured(bytes(used, used_tables), full);
}

void Image::info(sdk::JsonWriter& json) {
  const std::lock_guard lock(mutex());
  const Header& header = table().header();
  json.begin_object()
      .field("cluster-size", uint32_t{header.cluster_size})
      .field("dirty-flag", (header.features & kFeatureNeedCheck) != 0);
  if (!backing_name_.empty()) {
    json.field("backing-filename", backing_name_);
    if ((header.features & kFeatureBackingNoProbe) != 0)
      json.field("backing-filename-format", "raw");
  }
  json.end_object();
}

Status Image::resize(const Call& call, uint64_t size, uint32_t preallocation, uint32_t,
                     const instar_progress*) {
  const std::lock_guard lock(mutex());
  Header& header = table().header();
  INSTAR_CHECK(sdk::check_no_preallocation(preallocation));
  if (!valid_size(header, size)) return fail(EINVAL, "Invalid image size specified");
  if (size < header.image_size) return fail(ENOTSUP, "Shrinking images is currently not supported");
  // What is grown would show the rest of the backing file.
  if (backing_size() > header.image_size)
    return fail(ENOTSUP, "Block driver does not support requested flags");
  INSTAR_CHECK(begin_change(call));
  header.image_size = size;
  INSTAR_CHECK(table().write_header(call));
  set_size(size);
  return {};
}

Status Image::change_backing(const Call& call, const char* filename, const char* format) {
  const std::lock_guard lock(mutex());
  INSTAR_CHECK(begin_change(call));
  Header& header = table().header();
  const std::string name = filename != nullptr ? filename : "";
  if (name.size() > std::min<uint64_t>(header.header_bytes() - sizeof header, kLongestName))
    return fail(ENOSPC, sdk::errno_text(ENOSPC));
  uint64_t features = header.features & ~(kFeatureBackingFile | kFeatureBackingNoProbe);
  if (!name.empty()) {
    features |= kFeatureBackingFile;
    if (format != nullptr && std::string_view(format) == "raw") features |= kFeatureBackingNoProbe;
    header.backing_filename_offset = sizeof header;
  }
  header.features = features;
  header.backing_filename_size = static_cast<uint32_t>(name.size());
  // The name and what says how long it is, at once.
  std::vector<uint8_t> bytes(sizeof header + name.size());
  std::memcpy(bytes.data(), &header, sizeof header);
  std::copy(name.begin(), name.end(), bytes.begin() + sizeof header);
  INSTAR_CHECK(table().file().write(call, 0, bytes.data(), bytes.size()));
  backing_name_ = name;
  return table().file().flush(call);
}

}  // namespace instar::qed

INSTAR_PLUGIN("qed", "1.0.0", instar::sdk::format<instar::qed::Image>("qed"))
