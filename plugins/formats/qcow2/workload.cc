// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/qcow2/workload.hpp"

#include <algorithm>

#include "plugins/formats/qcow2/workload_model.hpp"
#include "sdk/abi/amend.h"
#include "sdk/abi/bitmap.h"
#include "sdk/abi/change_backing.h"
#include "sdk/abi/make_empty.h"
#include "sdk/abi/resize.h"
#include "sdk/abi/snapshot.h"

namespace instar::qcow2::testing {
namespace {

constexpr uint32_t kBaseValue = 0x40000000;

constexpr size_t kLongDetours = 300;

/** The same file by a longer name. */
std::string with_detours(size_t detours, const char* file) {
  std::string name;
  for (size_t i = 0; i < detours; ++i)
    name += "./";
  return name + file;
}

bool failed() {
  return ::testing::Test::HasFatalFailure();
}

}  // namespace

Workload::Workload(const ImageKind& kind, uint64_t seed)
    : kind_(kind), random_(seed + std::hash<std::string_view>()(kind.name)) {
  const uint64_t cluster = uint64_t{1} << kind.cluster_bits;
  const uint64_t size =
      std::clamp<uint64_t>(cluster * 64, 96u << 10, 768u << 10) + uint64_t{3} * 512;
  now_.sectors.resize(size / 512);
  OptionList options{{"size", std::to_string(size)},
                     {"cluster_size", std::to_string(cluster)},
                     {"refcount_bits", std::to_string(kind.refcount_bits)},
                     {"compat", kind.version2 ? "0.10" : "1.1"},
                     {"lazy_refcounts", kind.lazy ? "on" : "off"},
                     {"extended_l2", kind.extended ? "on" : "off"}};
  if (kind.backing) {
    // Shorter than the image: what lies behind reads as zeroes.
    Sectors base(now_.sectors.size() * 3 / 4);
    for (size_t i = 0; i < base.size(); ++i)
      base[i] = now_.sectors[i] = kBaseValue + static_cast<uint32_t>(i);
    files_.backing = std::make_unique<MemoryFile>(to_bytes(base));
    options.add("backing_file", "base.raw");
    options.add("backing_fmt", "raw");
  }
  if (kind.data_file)
    options.add("data_file", with_detours(kind.long_header ? kLongDetours : 0, "data.raw"));
  if (kind.encryption != nullptr) {
    options.add("encrypt.format", kind.encryption);
    options.add("encrypt.key-secret", "k");
  }
  EXPECT_EQ(create(files_, options), "");
  attach();
}

Workload::Workload(const ImageKind& kind, uint64_t seed, const PowerCut::Files& files, State state)
    : kind_(kind), random_(seed), now_(std::move(state)), next_value_(0x20000000) {
  files_.file.bytes = files[kImageFile];
  if (kind.backing) files_.backing = std::make_unique<MemoryFile>(files[kBackingFile]);
  if (kind.data_file) files_.data = std::make_unique<MemoryFile>(files[kDataFile]);
  attach();
}

/** The files are recorded from here on. */
void Workload::attach() {
  start_.resize(kFileCount);
  const auto add = [&](MemoryFile* file, uint32_t number) {
    if (file == nullptr) return;
    start_[number] = file->bytes;
    file->journal = &journal_;
    file->number = number;
  };
  add(&files_.file, kImageFile);
  add(files_.backing.get(), kBackingFile);
  add(files_.data.get(), kDataFile);
  now_.step = "start";
  now_.events = 0;
  now_.safe = now_.closed = true;
  states_.push_back(now_);
}

PowerCut::Files Workload::current() const {
  PowerCut::Files files(kFileCount);
  files[kImageFile] = files_.file.bytes;
  if (files_.backing) files[kBackingFile] = files_.backing->bytes;
  if (files_.data) files[kDataFile] = files_.data->bytes;
  return files;
}

uint64_t Workload::pick(uint64_t limit) {
  return std::uniform_int_distribution<uint64_t>(0, limit)(random_);
}

bool Workload::is_version2() const {
  return files_.file.bytes[7] == 2;
}

bool Workload::has_backing() const {
  return load_be<uint64_t>(files_.file.bytes.data() + 8) != 0;
}

uint32_t Workload::refcount_bits() const {
  return is_version2() ? 16 : 1u << files_.file.bytes[99];
}

void Workload::begin(const std::string& step) {
  open();
  now_.step = step;
  now_.safe = now_.closed = now_.at_once = now_.drops = false;
  now_.changed.clear();
}

void Workload::end() {
  if (image_) check_content();
  now_.events = journal_.events().size();
  states_.push_back(now_);
}

void Workload::open() {
  if (image_) return;
  OptionList options = kOpenOptions;
  options.add("l2-cache-size", one_in(2) ? "4096" : "1048576");
  options.add("refcount-cache-size", one_in(2) ? "2048" : "1048576");
  if (one_in(2)) options.add("l2-cache-entry-size", "512");
  if (one_in(3)) options.add("pass-discard-other", "on");
  image_ = std::make_unique<TestImage>(files_, INSTAR_OPEN_WRITE | INSTAR_OPEN_UNMAP, options);
  ASSERT_TRUE(image_->open()) << image_->error();
  check_content();
}

/** The model is what it should be. */
void Workload::check_content() {
  ASSERT_EQ(*image_->node().size(), now_.sectors.size() * 512);
  const auto content = read_sectors(*image_, now_.sectors.size());
  ASSERT_TRUE(content.has_value());
  const auto [a, b] = std::mismatch(content->begin(), content->end(), now_.sectors.begin());
  ASSERT_TRUE(a == content->end()) << "after " << now_.step << ": sector " << a - content->begin()
                                   << " is " << *a << " instead of " << *b;
}

void Workload::close() {
  begin("close");
  ASSERT_EQ(image_->close(), 0);
  image_.reset();
  now_.safe = now_.closed = true;
  end();
}

void Workload::flush() {
  begin("flush");
  ASSERT_EQ(image_->flush(), 0);
  now_.safe = true;
  end();
}

void Workload::set(size_t first, size_t count, uint32_t value) {
  std::fill_n(now_.sectors.begin() + static_cast<int64_t>(first), count, value);
  now_.changed.emplace_back(first, first + count);
}

void Workload::write(size_t first, size_t count) {
  begin(sdk::cat("write ", first, " ", count));
  const uint32_t value = next_value_++;
  ASSERT_EQ(image_->write(first * 512, to_bytes(Sectors(count, value))), 0);
  set(first, count, value);
  sync_bitmaps();
  end();
}

void Workload::write_placed(size_t first, size_t count) {
  begin(sdk::cat("placed write ", first, " ", count));
  const uint32_t value = next_value_++;
  ASSERT_EQ(image_->write_placed(files_, first * 512, to_bytes(Sectors(count, value))), 0);
  set(first, count, value);
  sync_bitmaps();
  end();
}

void Workload::write_packed(size_t first) {
  begin(sdk::cat("packed write ", first));
  const size_t count = std::min(cluster_sectors(), now_.sectors.size() - first);
  const uint32_t value = next_value_++;
  ASSERT_EQ(image_->write_packed(first * 512, to_bytes(Sectors(count, value))), 0);
  set(first, count, value);
  sync_bitmaps();
  end();
}

void Workload::write_zeroes(size_t first, size_t count, uint32_t flags) {
  begin(sdk::cat("zero write ", first, " ", count));
  ASSERT_EQ(image_->write_zeroes(first * 512, count * 512, flags), 0);
  set(first, count, 0);
  sync_bitmaps();
  end();
}

void Workload::discard(size_t first, size_t count) {
  begin(sdk::cat("discard ", first, " ", count));
  ASSERT_EQ(image_->discard(first * 512, count * 512), 0);
  const auto content = read_sectors(*image_, now_.sectors.size());
  ASSERT_TRUE(content.has_value());
  for (size_t i = first; i < first + count; ++i) {
    ASSERT_TRUE((*content)[i] == 0 || (*content)[i] == now_.sectors[i]) << "sector " << i;
    now_.sectors[i] = (*content)[i];
  }
  now_.changed.emplace_back(first, first + count);
  sync_bitmaps();
  end();
}

void Workload::create_snapshot() {
  begin("snapshot create");
  void* self = nullptr;
  const auto* ops = this->ops<instar_snapshot_ops>(INSTAR_SNAPSHOT_ID, &self);
  ASSERT_EQ(ops->create(self, nullptr, "s", 1, 2), 0);
  for (const auto& id : list_snapshots(*image_))
    if (!now_.snapshots.contains(id))
      now_.snapshots[id] = std::make_shared<const Sectors>(now_.sectors);
  now_.safe = true;
  end();
}

void Workload::apply_snapshot(const std::string& id) {
  begin("snapshot apply");
  void* self = nullptr;
  const auto* ops = this->ops<instar_snapshot_ops>(INSTAR_SNAPSHOT_ID, &self);
  ASSERT_EQ(ops->apply(self, nullptr, id.c_str()), 0);
  now_.sectors = *now_.snapshots.at(id);
  now_.safe = now_.at_once = true;
  end();
}

void Workload::remove_snapshot(const std::string& id) {
  begin("snapshot delete");
  void* self = nullptr;
  const auto* ops = this->ops<instar_snapshot_ops>(INSTAR_SNAPSHOT_ID, &self);
  ASSERT_EQ(ops->remove(self, nullptr, id.c_str(), "s"), 0);
  now_.snapshots.erase(id);
  now_.safe = true;
  end();
}

/** What is in memory of them; they name at least what was changed. */
void Workload::sync_bitmaps() {
  std::map<std::string, ModelBitmap> found;
  for (const auto& [name, broken] : list_bitmaps(*image_))
    if (!broken) found[name] = read_bitmap(*image_, name);
  for (const auto& [name, bitmap] : found)
    ASSERT_TRUE(!bitmap.enabled || covers(bitmap, now_.changed)) << "bitmap " << name;
  now_.bitmaps = std::move(found);
}

void Workload::add_bitmap(const std::string& name) {
  begin("bitmap add " + name);
  void* self = nullptr;
  const auto* ops = this->ops<instar_bitmap_ops>(INSTAR_BITMAP_ID, &self);
  const uint32_t granularity = 512u << pick(4);
  ASSERT_EQ(ops->add(self, nullptr, name.c_str(), granularity, one_in(4) ? 0 : 1), 0);
  sync_bitmaps();
  end();
}

void Workload::remove_bitmap(const std::string& name) {
  begin("bitmap remove " + name);
  void* self = nullptr;
  const auto* ops = this->ops<instar_bitmap_ops>(INSTAR_BITMAP_ID, &self);
  ASSERT_EQ(ops->remove(self, nullptr, name.c_str()), 0);
  std::erase(now_.broken_bitmaps, name);
  sync_bitmaps();
  end();
}

void Workload::clear_bitmap(const std::string& name) {
  begin("bitmap clear " + name);
  void* self = nullptr;
  const auto* ops = this->ops<instar_bitmap_ops>(INSTAR_BITMAP_ID, &self);
  ASSERT_EQ(ops->clear(self, nullptr, name.c_str()), 0);
  sync_bitmaps();
  end();
}

void Workload::enable_bitmap(const std::string& name, bool enable) {
  begin((enable ? "bitmap enable " : "bitmap disable ") + name);
  void* self = nullptr;
  const auto* ops = this->ops<instar_bitmap_ops>(INSTAR_BITMAP_ID, &self);
  ASSERT_EQ(ops->set_enabled(self, nullptr, name.c_str(), enable ? 1 : 0), 0);
  sync_bitmaps();
  end();
}

void Workload::merge_bitmap(const std::string& from, const std::string& to) {
  begin(sdk::cat("bitmap merge ", from, " to ", to));
  void* self = nullptr;
  const auto* ops = this->ops<instar_bitmap_ops>(INSTAR_BITMAP_ID, &self);
  const ModelBitmap source = now_.bitmaps.at(from);
  for (size_t i = 0; i < source.bits.size(); ++i) {
    if (!source.bits[i]) continue;
    const uint64_t at = i * source.granularity;
    ASSERT_EQ(ops->set_dirty(self, nullptr, to.c_str(), at, source.granularity), 0);
  }
  sync_bitmaps();
  end();
}

void Workload::resize(size_t sectors, uint32_t preallocation) {
  begin(sdk::cat("resize to ", sectors, " from ", now_.sectors.size()));
  void* self = nullptr;
  const auto* ops = this->ops<instar_resize_ops>(INSTAR_RESIZE_ID, &self);
  const int result = ops->resize(self, nullptr, sectors * 512, preallocation, 0, nullptr);
  const bool noise = has_backing() || kind_.encryption != nullptr;  // in what is preallocated
  if (result == -ENOTSUP && is_version2() && noise) return end();
  ASSERT_EQ(result, 0);
  now_.drops = sectors < now_.sectors.size();
  now_.sectors.resize(sectors);
  now_.safe = true;
  sync_bitmaps();
  end();
}

void Workload::amend(const OptionList& options) {
  begin("amend");
  void* self = nullptr;
  const auto* ops = this->ops<instar_amend_ops>(INSTAR_AMEND_ID, &self);
  const instar_options given = options.abi();
  const int result = ops->amend(self, nullptr, &given, 0, nullptr);
  // Counts may be too large for the new width.
  ASSERT_TRUE(result == 0 || result == -EINVAL) << result;
  if (is_version2()) {
    now_.bitmaps.clear();
    now_.broken_bitmaps.clear();
  } else {
    sync_bitmaps();
  }
  end();
}

void Workload::rename_backing(const std::string& name) {
  begin("change of the backing file's name");
  void* self = nullptr;
  const auto* ops = this->ops<instar_change_backing_ops>(INSTAR_CHANGE_BACKING_ID, &self);
  ASSERT_EQ(ops->change_backing(self, nullptr, name.c_str(), "raw"), 0);
  now_.safe = true;
  end();
}

void Workload::commit() {
  begin("commit");
  const auto bytes = to_bytes(now_.sectors);
  const auto* base = files_.backing->node();
  const size_t step = 3 * cluster_sectors() * 512;
  for (size_t at = 0; at < bytes.size(); at += step) {
    const size_t length = std::min(step, bytes.size() - at);
    const instar_iovec piece{const_cast<uint8_t*>(bytes.data()) + at, length};
    ASSERT_EQ(base->ops->write(base->self, nullptr, at, &piece, 1, 0), 0);
  }
  ASSERT_EQ(base->ops->flush(base->self, nullptr), 0);
  void* self = nullptr;
  const auto* ops = this->ops<instar_make_empty_ops>(INSTAR_MAKE_EMPTY_ID, &self);
  ASSERT_EQ(ops->make_empty(self, nullptr), 0);
  ASSERT_EQ(image_->close(), 0);
  image_.reset();
  now_.safe = now_.closed = true;
  end();
}

/** Everything is the image's own; zeroes too, whatever shows through. */
void Workload::write_all() {
  for (size_t at = 0; at < now_.sectors.size(); at += cluster_sectors()) {
    const size_t count = std::min(cluster_sectors(), now_.sectors.size() - at);
    const Sectors part(now_.sectors.begin() + static_cast<int64_t>(at),
                       now_.sectors.begin() + static_cast<int64_t>(at + count));
    if (!is_version2() && part == Sectors(count))
      ASSERT_EQ(image_->write_zeroes(at * 512, count * 512, INSTAR_WRITE_MAY_UNMAP), 0);
    else
      ASSERT_EQ(image_->write(at * 512, to_bytes(part)), 0);
    now_.changed.emplace_back(at, at + count);
  }
}

void Workload::rebase(bool alone) {
  begin("rebase");
  write_all();
  if (failed()) return;
  void* self = nullptr;
  const auto* ops = this->ops<instar_change_backing_ops>(INSTAR_CHANGE_BACKING_ID, &self);
  ASSERT_EQ(
      ops->change_backing(self, nullptr, alone ? nullptr : "base.raw", alone ? nullptr : "raw"), 0);
  sync_bitmaps();
  end();
  close();
}

std::pair<size_t, size_t> Workload::range() {
  const size_t size = now_.sectors.size();
  const size_t cluster = cluster_sectors();
  size_t first = pick(size - 1);
  size_t count = 1 + pick(cluster * (one_in(4) ? 6 : 2));
  if (one_in(2)) {
    first -= first % cluster;
    count = sdk::round_up(count, cluster);
  }
  return {first, std::min(count, size - first)};
}

void Workload::random_write_step() {
  const auto [first, count] = range();
  const size_t aligned = first - first % cluster_sectors();
  switch (pick(9)) {
    case 0:
      return write_zeroes(first, count, 0);
    case 1:
      return write_zeroes(first, count, INSTAR_WRITE_MAY_UNMAP);
    case 2:
      return discard(first, count);
    case 3:
    case 4:
      if (kind_.data_file) return write(first, count);
      return write_packed(aligned);
    case 5:
      if (kind_.encryption != nullptr) return write(first, count);
      return write_placed(aligned, std::min(sdk::round_up(count, cluster_sectors()),
                                            now_.sectors.size() - aligned));
    default:
      return write(first, count);
  }
}

void Workload::random_snapshot_step() {
  if (kind_.data_file || refcount_bits() < 8) return random_write_step();
  const size_t count = now_.snapshots.size();
  if (count == 0 || (count < 4 && one_in(3))) return create_snapshot();
  auto chosen = now_.snapshots.begin();
  std::advance(chosen, pick(count - 1));
  const std::string id = chosen->first;
  const bool fits = !is_version2() || chosen->second->size() == now_.sectors.size();
  const bool bitmaps = !now_.bitmaps.empty() || !now_.broken_bitmaps.empty();
  if (one_in(2) && fits && !bitmaps) return apply_snapshot(id);
  remove_snapshot(id);
}

void Workload::random_bitmap_step() {
  if (is_version2()) return random_write_step();
  if (!now_.broken_bitmaps.empty()) return remove_bitmap(now_.broken_bitmaps.back());
  // Their records are more than a sector.
  const auto any_name = [&] { return std::string(150, static_cast<char>('a' + pick(3))); };
  const std::string name = any_name();
  if (!now_.bitmaps.contains(name)) return add_bitmap(name);
  const std::string other = any_name();
  switch (pick(4)) {
    case 0:
      return clear_bitmap(name);
    case 1:
      return enable_bitmap(name, one_in(2));
    case 2:
      if (now_.bitmaps.contains(other)) return merge_bitmap(other, name);
      return add_bitmap(other);
    default:
      return remove_bitmap(name);
  }
}

void Workload::random_amend() {
  const bool sizes_differ =
      std::any_of(now_.snapshots.begin(), now_.snapshots.end(),
                  [&](const auto& s) { return s.second->size() != now_.sectors.size(); });
  if (is_version2()) return amend({{"compat", "1.1"}});
  switch (pick(2)) {
    case 0:
      if (refcount_bits() == 16 && !kind_.extended && !kind_.data_file && !sizes_differ)
        return amend({{"compat", "0.10"}});
      return amend({{"lazy_refcounts", "on"}});
    case 1:
      return amend({{"lazy_refcounts", one_in(2) ? "on" : "off"}});
    default:
      return amend({{"refcount_bits",
                     std::to_string(now_.snapshots.empty() ? 1u << pick(6) : 16u << pick(2))}});
  }
}

void Workload::random_maintenance() {
  const bool broken = !now_.broken_bitmaps.empty();
  const size_t size = now_.sectors.size();
  switch (pick(6)) {
    case 0:
    case 1:
      if (broken || (is_version2() && !now_.snapshots.empty())) return flush();
      if (size > cluster_sectors() * 40 || one_in(3)) return resize(size / 2 + pick(size / 2), 0);
      return resize(size + 1 + pick(size / 2), one_in(3) ? INSTAR_PREALLOCATION_METADATA : 0);
    case 2:
    case 3:
      return broken ? flush() : random_amend();
    case 4:
      if (!has_backing()) return flush();
      return rename_backing(with_detours(pick(kind_.cluster_bits > 9 ? 200 : 20), "base.raw"));
    case 5:
      if (!kind_.backing || !has_backing() || !now_.snapshots.empty()) return flush();
      return commit();
    default:
      if (!kind_.backing || !now_.snapshots.empty()) return flush();
      return rebase(has_backing());
  }
}

void Workload::random_step() {
  switch (pick(19)) {
    case 0:
    case 1:
      return flush();
    case 2:
      return close();
    case 3:
    case 4:
      return random_snapshot_step();
    case 5:
    case 6:
      return random_bitmap_step();
    case 7:
      return random_maintenance();
    default:
      return random_write_step();
  }
}

void Workload::run(size_t events) {
  while (journal_.events().size() < events && !failed())
    random_step();
  if (!failed() && image_) close();
}

}  // namespace instar::qcow2::testing
