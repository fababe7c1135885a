// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow/image.hpp"

#include "sdk/cpp/encrypt_options.hpp"
#include "sdk/cpp/measure.hpp"
#include "sdk/cpp/plugin.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::qcow {

using sdk::Call;
using sdk::fail;
using sdk::HostFile;
using sdk::NodeRef;
using sdk::Result;
using sdk::Status;

namespace {

constexpr uint8_t kDefaultClusterBits = 12;
constexpr uint8_t kDefaultL2Bits = 9;
/** Overlays have small clusters, so that little is copied from below. */
constexpr uint8_t kOverlayClusterBits = 9;
constexpr uint8_t kOverlayL2Bits = 12;

Status check_header(const Header& header) {
  if (header.magic != kMagic) return fail(EINVAL, "Image not in qcow format");
  if (header.version != kVersion) {
    sdk::Error error =
        fail(ENOTSUP, "qcow (v1) does not support qcow version ", uint32_t{header.version});
    if (header.version == 2 || header.version == 3) error.hint = "Try the 'qcow2' driver instead.";
    return error;
  }
  if (header.size <= 1) return fail(EINVAL, "Image size is too small (must be at least 2 bytes)");
  if (header.cluster_bits < kMinClusterBits || header.cluster_bits > kMaxClusterBits)
    return fail(EINVAL, "Cluster size must be between 512 and 64k");
  if (header.l2_bits < kMinL2Bits || header.l2_bits > kMaxL2Bits)
    return fail(EINVAL, "L2 table size must be between 512 and 64k");
  if (header.crypt_method > kCryptAes)
    return fail(EINVAL, "invalid encryption method in qcow header");
  return check_size(header);
}

Result<std::string> read_backing_name(const Call& call, const HostFile& file,
                                      const Header& header) {
  if (header.backing_file_offset == 0) return std::string();
  if (header.backing_file_size > kLongestBackingName)
    return fail(EINVAL, "Backing file name too long");
  std::string name(header.backing_file_size, '\0');
  INSTAR_CHECK(file.read(call, header.backing_file_offset, name.data(), name.size()));
  name.resize(std::min(name.find('\0'), name.size()));
  return name;
}

/** nullptr for an image that is not encrypted. */
Result<std::unique_ptr<sdk::ContentCipher>> open_cipher(const sdk::OpenContext& context,
                                                        const Header& header) {
  const char* scheme = header.crypt_method == kCryptAes ? "aes" : "";
  INSTAR_CHECK(sdk::check_encrypt_options(context.options(), scheme));
  if (header.crypt_method == kCryptNone) return std::unique_ptr<sdk::ContentCipher>();
  const sdk::SubOptions options = sdk::encrypt_options(context.options());
  auto request = sdk::encryption_request(scheme, options);
  if (context.has_flag(INSTAR_OPEN_NO_IO)) request.flags = INSTAR_ENCRYPTION_DESCRIBE;
  INSTAR_TRY(auto opened, sdk::Encryption::open(context.host(), context.call(), request));
  return std::make_unique<sdk::ContentCipher>(std::move(opened));
}

}  // namespace

Status check_size(const Header& header) {
  const bool rounds = header.size > UINT64_MAX - header.l2_reach();
  if (rounds || header.l1_entries() > kMostL1Entries) return fail(EINVAL, "Image too large");
  return {};
}

Image::Image(sdk::OpenContext& context, HostFile file, const Header& header, std::string backing,
             std::unique_ptr<sdk::ContentCipher> cipher)
    : BlockMap({header.cluster_size(), sdk::round_down(header.size, kSector)}, context.flags(),
               std::move(file), header, context.host(), std::move(cipher)),
      backing_name_(std::move(backing)),
      strict_(context.host().strict()) {}

Result<std::unique_ptr<Image>> Image::open(sdk::OpenContext& context) {
  INSTAR_TRY(const NodeRef node, context.file());
  INSTAR_TRY(HostFile file, HostFile::open(node, !context.has_flag(INSTAR_OPEN_NO_FLUSH)));
  Header header;
  INSTAR_CHECK(file.read(context.call(), 0, &header, sizeof header));
  INSTAR_CHECK(check_header(header));
  INSTAR_TRY(auto cipher, open_cipher(context, header));
  if (header.l1_table_offset > INT64_MAX - header.l1_entries() * sizeof(uint64_t))
    return fail(EIO, sdk::errno_text(EIO));
  INSTAR_TRY(std::string name, read_backing_name(context.call(), file, header));
  std::unique_ptr<Image> image(
      new Image(context, std::move(file), header, std::move(name), std::move(cipher)));
  if (context.has_flag(INSTAR_OPEN_NO_BACKING)) return image;
  const char* reference = image->backing_name_.empty() ? nullptr : image->backing_name_.c_str();
  INSTAR_TRY(const NodeRef backing,
             context.child("backing", INSTAR_CHILD_BACKING, reference, nullptr,
                           INSTAR_CHILD_OPTIONAL | INSTAR_CHILD_READ_ONLY));
  if (backing) {
    INSTAR_TRY(HostFile below, HostFile::open(backing, false));
    image->set_backing(std::move(below));
  }
  return image;
}

namespace {

/** Of a new image. Checks all options but the key's. */
Result<Header> new_header(const sdk::Options& options, uint64_t size) {
  INSTAR_TRY(const std::string_view scheme, sdk::chosen_encryption(options));
  const std::string backing = options.text("backing_file");
  Header header{};
  header.magic = kMagic;
  header.version = kVersion;
  header.size = sdk::round_up(size, kSector);
  header.cluster_bits = backing.empty() ? kDefaultClusterBits : kOverlayClusterBits;
  header.l2_bits = backing.empty() ? kDefaultL2Bits : kOverlayL2Bits;
  header.crypt_method = scheme.empty() ? kCryptNone : kCryptAes;
  header.l1_table_offset = sdk::round_up(sizeof header + backing.size(), 8);
  if (!backing.empty()) {
    header.backing_file_offset = sizeof header;
    header.backing_file_size = static_cast<uint32_t>(backing.size());
  }
  if (header.size == 0) return fail(EINVAL, "Image size is too small, cannot be zero length");
  if (scheme == "luks") return fail(EINVAL, "Unsupported encryption format");
  if (backing.size() > kLongestBackingName) return fail(EINVAL, "Backing file name too long");
  INSTAR_CHECK(check_size(header));
  INSTAR_TRY(const instar_preallocation mode, sdk::file_preallocation(options));
  if (mode == INSTAR_PREALLOCATION_OFF) return header;
  return fail(ENOTSUP, "Preallocation is not possible for qcow images");
}

/** Whole sectors of L1 table. */
uint64_t empty_length(const Header& header) {
  return header.l1_table_offset + sdk::round_up(header.l1_entries() * sizeof(uint64_t), kSector);
}

}  // namespace

Status Image::create(sdk::CreateContext& context) {
  const sdk::Options options = context.options();
  INSTAR_TRY(const Header header, new_header(options, options.number("size")));
  if (header.crypt_method == kCryptAes) {
    const sdk::SubOptions own = sdk::encrypt_options(options);
    // Opened with the new key, and the key wiped at once.
    INSTAR_TRY([[maybe_unused]] const auto opened,
               sdk::Encryption::create(context.host(), context.call(),
                                       sdk::encryption_request("aes", own)));
  }
  const std::string backing = options.text("backing_file");
  INSTAR_TRY(const NodeRef node, context.create_file());
  INSTAR_TRY(HostFile file, HostFile::open(node, true));
  const auto write = [&]() -> Status {
    INSTAR_CHECK(file.resize(context.call(), empty_length(header)));
    INSTAR_CHECK(file.write(context.call(), 0, &header, sizeof header));
    return file.write(context.call(), sizeof header, backing.data(), backing.size());
  };
  return sdk::explained("Could not create image", write());
}

Result<instar_measure_result> Image::measure(sdk::Host host, const sdk::Options& options,
                                             NodeRef source) {
  INSTAR_CHECK(sdk::check_measures(host, "qcow"));
  INSTAR_TRY(const uint64_t size, sdk::size_to_measure(options, source));
  INSTAR_TRY(const Header header, new_header(options, size));
  const uint64_t cluster = header.cluster_size();
  const auto bytes = [&](const sdk::BlockCount& clusters, const sdk::BlockCount& tables) {
    if (clusters.count() == 0) return empty_length(header);
    const uint64_t table_bytes = sdk::round_up(header.l2_bytes(), cluster);
    return sdk::round_up(empty_length(header), cluster) + tables.count() * table_bytes +
           clusters.count() * cluster;
  };
  sdk::BlockCount all(cluster), all_tables(header.l2_reach());
  all.add(0, header.size);
  all_tables.add(0, header.size);
  const uint64_t full = bytes(all, all_tables);
  // What a backing file shares is not known.
  if (source && options.has("backing_file")) return sdk::measured(full, full);
  sdk::BlockCount used(cluster), used_tables(header.l2_reach());
  INSTAR_CHECK(sdk::walk_data(source, size, [&](uint64_t begin, uint64_t end) {
    used.add(begin, end);
    used_tables.add(begin, end);
  }));
  return sdk::measured(bytes(used, used_tables), full);
}

bool Image::offers(std::string_view id) const {
  if (id == INSTAR_CHECK_ID || id == INSTAR_RESIZE_ID) return !strict_;
  // Zeroes of an image without a backing file are not kept where one may come.
  if (id == INSTAR_CHANGE_BACKING_ID) return !strict_ && !backing_name_.empty();
  if (id == INSTAR_COMPRESS_ID) return writable() && cipher() == nullptr;
  return BlockMap::offers(id);
}

void Image::info(sdk::JsonWriter& json) const {
  const Header& header = table().header();
  json.begin_object()
      .field("cluster-size", header.cluster_size())
      .field("encrypted", header.crypt_method != kCryptNone)
      .field("dirty-flag", false);
  if (!backing_name_.empty()) json.field("backing-filename", backing_name_);
  json.end_object();
}

Status Image::make_empty(const Call& call) {
  const std::lock_guard lock(mutex());
  INSTAR_CHECK(begin_change(call));
  INSTAR_CHECK(table().clear(call));
  forget_blocks();
  return {};
}

Status Image::change_backing(const Call& call, const char* filename, const char*) {
  const std::string name = filename != nullptr ? filename : "";
  if (name.size() > kLongestBackingName) return fail(ENOSPC, sdk::errno_text(ENOSPC));
  const std::lock_guard lock(mutex());
  INSTAR_CHECK(begin_change(call));
  INSTAR_CHECK(write_tables(call));
  INSTAR_CHECK(table().record_backing(call, name));
  backing_name_ = name;
  return {};
}

Result<int64_t> Image::pack(const Call&, sdk::ConstBytes block, sdk::Bytes out) {
  INSTAR_TRY(sdk::CodecPool * codec, table().codec());
  const uint64_t cluster = table().header().cluster_size();
  // An entry has no room for the length of a whole cluster.
  const sdk::Bytes room = out.first(std::min<size_t>(out.size(), cluster - 1));
  if (block.size() == cluster) return codec->compress(block, room);
  std::vector<uint8_t> padded(cluster);
  std::copy(block.begin(), block.end(), padded.begin());
  return codec->compress(padded, room);
}

Status Image::store(const Call& call, uint64_t offset, size_t, sdk::ConstBytes packed) {
  const uint64_t cluster = table().header().cluster_size();
  if (offset % cluster != 0 || packed.empty() || packed.size() >= cluster)
    return fail(EINVAL, "Not a packed cluster");
  uint64_t place = 0;
  {
    const std::lock_guard lock(mutex());
    INSTAR_CHECK(begin_change(call));
    INSTAR_TRY(place, table().allocate_packed(packed.size()));
  }
  table().file().say("write_compressed");
  INSTAR_CHECK(table().file().write(call, place, packed.data(), packed.size()));
  const std::lock_guard lock(mutex());
  return table().store(call, offset / cluster, {sdk::Block::Kind::kPacked, place, packed.size()});
}

}  // namespace instar::qcow

INSTAR_PLUGIN("qcow", "1.0.0", instar::sdk::format<instar::qcow::Image>("qcow"))
