// SPDX-License-Identifier: Apache-2.0
// New images of all subformats.
#include "plugins/formats/vmdk/create.hpp"

#include <algorithm>
#include <random>

#include "plugins/formats/vmdk/image.hpp"
#include "sdk/cpp/measure.hpp"
#include "sdk/cpp/preallocation.hpp"

namespace instar::vmdk {

using sdk::Call;
using sdk::fail;
using sdk::HostFile;
using sdk::Options;
using sdk::Result;
using sdk::Status;

namespace {

constexpr uint64_t kTableSectors = kEntriesPerTable * sizeof(uint32_t) / kSector;
constexpr uint64_t kMostBytes =
    uint64_t{kMostL1Entries} * kEntriesPerTable * kGrainSectors * kSector;
constexpr size_t kEntriesAtOnce = 64u << 10;

/** Without its folder. */
std::string base_name(const std::string& image) {
  return image.substr(image.find_last_of('/') + 1);
}

}  // namespace

Result<Subformat> read_subformat(const std::string& name) {
  for (const char* known : {"monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse",
                            "twoGbMaxExtentFlat", "streamOptimized"})
    if (name == known)
      return Subformat{name, name.ends_with("Flat"), name.starts_with("twoGb"),
                       name == "streamOptimized"};
  return fail(EINVAL, "invalid parameter value: ", name);
}

namespace {

Result<std::string> read_adapter(const std::string& name) {
  for (const char* known : {"ide", "buslogic", "lsilogic", "legacyESX"})
    if (name == known) return name;
  return fail(EINVAL, "invalid parameter value: ", name);
}

Status read_hardware(const Options& options, NewDescriptor& descriptor) {
  const std::string version = options.text("hwversion", "undefined");
  const bool given = version != "undefined";
  if (options.flag("compat6") && given)
    return fail(EINVAL, "compat6 cannot be enabled with hwversion set");
  descriptor.hardware_version = options.flag("compat6") ? "6" : given ? version : "4";
  descriptor.tools_version = options.text("toolsversion", "2147483647");
  return {};
}

}  // namespace

Result<Plan> read_options(const Options& options, uint64_t size) {
  Plan plan;
  if (options.text("backing_fmt", "vmdk") != "vmdk")
    return fail(EINVAL, "backing_file must be a vmdk image");
  INSTAR_TRY(plan.descriptor.adapter_type, read_adapter(options.text("adapter_type", "ide")));
  INSTAR_TRY(plan.subformat, read_subformat(options.text("subformat", "monolithicSparse")));
  INSTAR_CHECK(read_hardware(options, plan.descriptor));
  plan.zeroed_grain = options.flag("zeroed_grain");
  if (options.has("backing_file")) plan.descriptor.parent_file = options.text("backing_file");
  if (plan.subformat.flat && plan.descriptor.parent_file)
    return fail(ENOTSUP, "Flat image can't have backing file");
  if (plan.subformat.flat && plan.zeroed_grain)
    return fail(ENOTSUP, "Flat image can't enable zeroed grain");
  INSTAR_TRY(plan.preallocation, sdk::file_preallocation(options));
  if (plan.preallocation != INSTAR_PREALLOCATION_OFF &&
      (plan.subformat.compressed || plan.descriptor.parent_file))
    return fail(ENOTSUP, "Preallocation is not possible for this kind of image");
  if (size > INT64_MAX - (kSector - 1)) return fail(EFBIG, sdk::errno_text(EFBIG));
  plan.size = sdk::round_up(size, kSector);
  if (!plan.subformat.flat && !plan.subformat.split && plan.size > kMostBytes)
    return fail(EFBIG, "L1 size too big");
  plan.descriptor.create_type = plan.subformat.name;
  plan.descriptor.size = plan.size;
  plan.descriptor.cid = std::random_device{}();
  return plan;
}

SparseHeader new_header(const Plan& plan, uint64_t size) {
  const bool packs = plan.subformat.compressed;
  SparseHeader header{};
  header.magic = kSparseMagic;
  header.version = packs ? 3 : plan.zeroed_grain ? 2 : 1;
  header.flags = kFlagNewlineTest | (plan.zeroed_grain ? kFlagZeroedGrain : 0u) |
                 (packs ? kFlagCompressed | kFlagMarkers : 0u);
  header.compression = packs ? kCompressionDeflate : uint16_t{0};
  header.capacity = size / kSector;
  header.grain_size = kGrainSectors;
  header.descriptor_offset = kDescriptorSector;
  header.descriptor_size = kDescriptorSectors;
  header.entries_per_table = kEntriesPerTable;
  constexpr char kNewlines[4] = {'\n', ' ', '\r', '\n'};
  std::copy_n(kNewlines, sizeof kNewlines, header.newline_test);
  return header;
}

Result<std::string> descriptor_inside(const Plan& plan) {
  std::string text = to_text(plan.descriptor);
  if (text.size() > kDescriptorSectors * kSector) return fail(EINVAL, "The descriptor is too long");
  return text;
}

std::string extent_line(const Plan& plan, const std::string& name, uint64_t size) {
  return sdk::cat("RW ", sdk::div_up(size, kSector),
                  plan.subformat.flat ? " FLAT \"" : " SPARSE \"", name,
                  plan.subformat.flat ? "\" 0\n" : "\"\n");
}

std::string extent_name(const Plan& plan, const std::string& image, uint64_t number) {
  const std::string base = base_name(image);
  const size_t dot = std::min(base.rfind('.'), base.size());
  std::string middle = "-flat";
  if (plan.subformat.split) {
    const std::string digits = std::to_string(number);
    middle = sdk::cat(plan.subformat.flat ? "-f" : "-s",
                      std::string(digits.size() < 3 ? 3 - digits.size() : 0, '0'), digits);
  }
  return base.substr(0, dot) + middle + base.substr(dot);
}

namespace {

/** Numbers first, first + step, … as entries of a directory or a table. */
Status write_entries(const Call& call, HostFile& file, uint64_t offset, uint64_t count,
                     uint64_t first, uint64_t step) {
  std::vector<Le<uint32_t>> entries;
  for (uint64_t done = 0; done < count; done += entries.size()) {
    entries.clear();
    for (uint64_t i = done; i < std::min<uint64_t>(count, done + kEntriesAtOnce); ++i)
      entries.emplace_back(static_cast<uint32_t>(first + i * step));
    INSTAR_CHECK(file.write(call, offset + done * sizeof(uint32_t), entries.data(),
                            entries.size() * sizeof(uint32_t)));
  }
  return {};
}

/** How a hosted sparse extent begins: header, room for the descriptor, directories, tables. */
class SparseShape {
 public:
  SparseShape(const Plan& plan, uint64_t size) : plan_(plan), size_(size) {
    grains_ = sdk::div_up(size / kSector, kGrainSectors);
    tables_ = sdk::div_up(grains_, kEntriesPerTable);
    directory_sectors_ = sdk::div_up(tables_ * sizeof(uint32_t), kSector);
  }
  uint64_t grains() const { return grains_; }
  uint64_t tables() const { return tables_; }
  uint64_t directory_sectors() const { return directory_sectors_; }
  /** A stream gets tables, too: QEMU can only write to those that are there. They go when the first
   * grain is written here. */
  SparseHeader header() const {
    SparseHeader header = new_header(plan_, size_);
    header.flags = header.flags | kFlagRedundantTable;
    header.rgd_offset = kDescriptorSector + kDescriptorSectors;
    const uint64_t copy = directory_sectors_ + kTableSectors * tables_;
    header.gd_offset = header.rgd_offset + copy;
    header.overhead = sdk::round_up(header.gd_offset + copy, kGrainSectors);
    return header;
  }

 private:
  const Plan& plan_;
  const uint64_t size_;
  uint64_t grains_ = 0;
  uint64_t tables_ = 0;
  uint64_t directory_sectors_ = 0;
};

/** Whether all grains of one file have places that an entry can name. */
Status check_places(const Plan& plan) {
  const bool one = !plan.subformat.flat && !plan.subformat.split;
  if (!one || plan.preallocation == INSTAR_PREALLOCATION_OFF) return {};
  const SparseShape shape(plan, plan.size);
  if (shape.header().overhead + shape.grains() * kGrainSectors <= kMostSectors) return {};
  return fail(EFBIG, "The image is too large for preallocation");
}

/** None of its grains is allocated, or all are, from `first_grain` on. */
Status write_directory(const Call& call, HostFile& file, const SparseShape& shape, uint64_t sector,
                       std::optional<uint64_t> first_grain) {
  const uint64_t tables = sector + shape.directory_sectors();
  INSTAR_CHECK(write_entries(call, file, sector * kSector, shape.tables(), tables, kTableSectors));
  if (!first_grain) return {};
  return write_entries(call, file, tables * kSector, shape.grains(), *first_grain, kGrainSectors);
}

Status create_sparse(const Call& call, const Plan& plan, HostFile& file, uint64_t size) {
  const SparseShape shape(plan, size);
  const SparseHeader header = shape.header();
  const bool whole = plan.preallocation != INSTAR_PREALLOCATION_OFF;
  const uint64_t data = whole ? shape.grains() * kGrainSectors * kSector : 0;
  INSTAR_CHECK(file.resize(call, header.overhead * kSector + data, plan.preallocation));
  INSTAR_CHECK(file.write(call, 0, &header, sizeof header));
  std::optional<uint64_t> first;
  if (whole) first = header.overhead;
  INSTAR_CHECK(write_directory(call, file, shape, header.rgd_offset, first));
  return write_directory(call, file, shape, header.gd_offset, first);
}

}  // namespace

Status make_extent(const Call& call, const Plan& plan, HostFile& file, uint64_t size) {
  if (plan.subformat.flat) return file.resize(call, size, plan.preallocation);
  return create_sparse(call, plan, file, size);
}

Status Image::create(sdk::CreateContext& context) {
  INSTAR_TRY(Plan plan, read_options(context.options(), context.options().number("size")));
  INSTAR_CHECK(check_places(plan));
  const Subformat& kind = plan.subformat;
  const std::string image = context.filename();
  INSTAR_TRY(const sdk::NodeRef node, context.create_file());
  INSTAR_TRY(HostFile file, HostFile::open(node, true));
  const bool monolithic = !kind.flat && !kind.split;
  const auto make = [&](HostFile& extent, const std::string& name, uint64_t size) {
    plan.descriptor.extent_lines += extent_line(plan, name, size);
    return make_extent(context.call(), plan, extent, size);
  };
  if (monolithic) INSTAR_CHECK(make(file, base_name(image), plan.size));
  if (plan.descriptor.parent_file) {
    INSTAR_TRY(plan.descriptor.parent_cid,
               cid_of_parent(context.host(), context.call(), image, *plan.descriptor.parent_file));
  }
  const uint64_t most = kind.split ? kSplitBytes : plan.size;
  for (uint64_t made = 0, number = 1; !monolithic && made < plan.size; ++number) {
    const uint64_t size = std::min(plan.size - made, most);
    const std::string name = extent_name(plan, image, number);
    INSTAR_TRY(const sdk::NodeRef extent, context.create_file(name.c_str()));
    INSTAR_TRY(HostFile extent_file, HostFile::open(extent, true));
    INSTAR_CHECK(make(extent_file, name, size));
    made += size;
  }
  INSTAR_TRY(const std::string text,
             monolithic ? descriptor_inside(plan) : Result<std::string>(to_text(plan.descriptor)));
  return sdk::explained("Could not write description",
                        file.write(context.call(), monolithic ? kDescriptorSector * kSector : 0,
                                   text.data(), text.size()));
}

/** Of an image in several files it is that of the extents. */
Result<instar_measure_result> Image::measure(sdk::Host host, const Options& options,
                                             sdk::NodeRef source) {
  INSTAR_CHECK(sdk::check_measures(host, "vmdk"));
  INSTAR_TRY(const uint64_t size, sdk::size_to_measure(options, source));
  auto read = read_options(options, size);
  if (!read) return fail(EINVAL, read.error().message);
  const Plan& plan = *read;
  INSTAR_CHECK(check_places(plan));
  if (plan.subformat.flat) return sdk::measured(plan.size, plan.size);
  if (plan.subformat.compressed)
    return fail(ENOTSUP,
                "How large a streamOptimized image is depends on how well its content packs");
  const uint64_t most = plan.subformat.split ? kSplitBytes : std::max(plan.size, kSector);
  uint64_t around = 0;
  for (uint64_t done = 0; done < plan.size; done += most)
    around += SparseShape(plan, std::min(plan.size - done, most)).header().overhead * kSector;
  if (plan.size == 0 && !plan.subformat.split)
    around = SparseShape(plan, 0).header().overhead * kSector;
  constexpr uint64_t kGrain = kGrainSectors * kSector;
  const uint64_t grains = sdk::div_up(plan.size, kGrain);
  INSTAR_TRY(uint64_t used, sdk::count_data_blocks(source, size, kGrain));
  // What a backing file shares is not known.
  const bool all = source && plan.descriptor.parent_file;
  if (all || plan.preallocation != INSTAR_PREALLOCATION_OFF) used = grains;
  return sdk::measured(around + used * kGrain, around + grains * kGrain);
}

}  // namespace instar::vmdk
