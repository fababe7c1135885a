// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <sstream>

#include "plugins/formats/qcow2/workload_model.hpp"
#include "sdk/abi/bitmap.h"
#include "sdk/abi/check.h"
#include "sdk/abi/snapshot.h"
#include "sdk/cpp/json_reader.hpp"

namespace instar::qcow2::testing {
namespace {

template <class Ops>
const Ops* interface_of(const TestImage& image, const char* id, void** self) {
  return image.node().interface<Ops>(id, self);
}

/** The states that a cut may show. */
struct Window {
  Window(const std::vector<State>& all, size_t cut) : states(all) {
    while (done + 1 < all.size() && all[done + 1].events <= cut)
      ++done;
    last = std::min(done + 1, all.size() - 1);
    for (first = done; !all[first].safe;)
      --first;
    for (stored = done; !all[stored].closed;)
      --stored;
  }
  const State& at(size_t i) const { return states[i]; }

  const std::vector<State>& states;
  size_t first = 0;   ///< surely on the disk
  size_t done = 0;    ///< the last one that was reached
  size_t last = 0;    ///< what was under way
  size_t stored = 0;  ///< when the bitmaps were stored
};

/** "" when each sector is as a state of [first, last] has it. */
std::string judge_sectors(const Window& window, size_t first, size_t last, const Sectors& found) {
  bool size_known = false;
  for (size_t k = first; k <= last; ++k)
    size_known = size_known || window.at(k).sectors.size() == found.size();
  if (!size_known) return sdk::cat("its size is ", found.size(), " sectors");
  const State& under_way = window.at(window.last);
  for (size_t i = 0; i < found.size(); ++i) {
    size_t k = first;
    while (k <= last && (i >= window.at(k).sectors.size() || window.at(k).sectors[i] != found[i]))
      ++k;
    if (k <= last) continue;
    if (under_way.drops && i >= under_way.sectors.size()) continue;
    return sdk::cat("sector ", i, " is ", found[i], ", not ", window.at(first).sectors[i]);
  }
  return "";
}

std::string judge_content(const Window& window, const Sectors& found) {
  if (!window.at(window.last).at_once || window.last == window.first)
    return judge_sectors(window, window.first, window.last, found);
  const std::string before = judge_sectors(window, window.first, window.last - 1, found);
  return before.empty() ? "" : judge_sectors(window, window.last, window.last, found);
}

/** Replaces what was found, as long as the image, by what it is the beginning of. */
std::string judge_snapshots(const Window& window, State& found) {
  for (auto& [id, content] : found.snapshots) {
    std::shared_ptr<const Sectors> match;
    for (size_t k = window.first; k <= window.last && match == nullptr; ++k) {
      const auto there = window.at(k).snapshots.find(id);
      if (there == window.at(k).snapshots.end()) continue;
      const auto n = static_cast<int64_t>(std::min(content->size(), there->second->size()));
      if (std::equal(content->begin(), content->begin() + n, there->second->begin()))
        match = there->second;
    }
    if (match == nullptr) return "snapshot " + id + " has another content";
    content = match;
  }
  for (const auto& [id, content] : window.at(window.first).snapshots) {
    bool always = true;
    for (size_t k = window.first; k <= window.last; ++k)
      always = always && window.at(k).snapshots.contains(id);
    if (always && !found.snapshots.contains(id)) return "snapshot " + id + " is missing";
  }
  return "";
}

/** Whether a bitmap is as it was when the bitmaps were stored in state `k`, and what the image holds now
 * differs only where it says so. */
bool is_as_stored(const State& stored, const std::string& name, const ModelBitmap& bitmap,
                  const Sectors& found) {
  const auto& there = stored.bitmaps;
  if (!there.contains(name) || !(there.at(name) == bitmap)) return false;
  for (size_t i = 0; i < found.size(); ++i)
    if (bitmap.enabled && found[i] != stored.sectors[i] && !covers(bitmap, {{i, i + 1}}))
      return false;
  return true;
}

std::string judge_bitmaps(const Window& window, const State& found) {
  const bool storing = window.at(window.last).closed;
  for (const auto& [name, bitmap] : found.bitmaps)
    if (!is_as_stored(window.at(window.stored), name, bitmap, found.sectors) &&
        !(storing && is_as_stored(window.at(window.last), name, bitmap, found.sectors)))
      return "bitmap " + name + " is wrong";
  for (const auto& [name, bitmap] : window.at(window.stored).bitmaps) {
    bool always = true;
    for (size_t k = window.stored; k <= window.last; ++k)
      always = always && window.at(k).bitmaps.contains(name);
    const auto& broken = found.broken_bitmaps;
    if (always && !found.bitmaps.contains(name) &&
        std::find(broken.begin(), broken.end(), name) == broken.end())
      return "bitmap " + name + " is missing";
  }
  return "";
}

/** The check's lines about errors. Version 2 can't mark an image whose counts and COPIED flags change,
 * which they don't in one write. Where just these disagree, a write copies a cluster needlessly, or hits
 * in place what nobody else has. */
std::string errors_of(const std::string& messages, bool strict) {
  std::istringstream lines(messages);
  std::string errors;
  for (std::string line; std::getline(lines, line);)
    if (line.find("ERROR") != std::string::npos &&
        (strict || line.find("OFLAG_COPIED") == std::string::npos))
      errors += line + "\n";
  return errors;
}

/** The genuine tool knows no such schemes: to it the clusters hold what they hold, and the scheme's header
 * is a leak. false: the image is not encrypted. */
bool drop_encryption(std::vector<uint8_t>& image) {
  uint8_t* method = image.data() + offsetof(HeaderV2, crypt_method);
  if (load_be<uint32_t>(method) == kCryptNone) return false;
  store_be(method, uint32_t{kCryptNone});
  Be<uint32_t> crypto = kExtensionCrypto;
  const auto* bytes = reinterpret_cast<const uint8_t*>(&crypto);
  // Extensions may go on behind the first sector.
  const auto end = image.begin() + std::min<ptrdiff_t>(std::ssize(image), 4096);
  const auto extension = std::search(image.begin(), end, bytes, bytes + sizeof crypto);
  if (extension != end) *extension ^= 0xff;
  return true;
}

}  // namespace

std::vector<uint8_t> to_bytes(const Sectors& sectors) {
  std::vector<uint8_t> bytes(sectors.size() * 512);
  auto* words = reinterpret_cast<uint32_t*>(bytes.data());
  for (size_t i = 0; i < sectors.size(); ++i)
    std::fill_n(words + i * 128, 128, sectors[i]);
  return bytes;
}

std::optional<Sectors> read_sectors(const TestImage& image, size_t count) {
  std::vector<uint8_t> bytes(count * 512);
  if (image.read(0, &bytes) != 0) return std::nullopt;
  Sectors sectors(count);
  const auto* words = reinterpret_cast<const uint32_t*>(bytes.data());
  for (size_t i = 0; i < count; ++i) {
    const uint32_t* sector = words + i * 128;
    const bool same = std::equal(sector, sector + 127, sector + 1);
    sectors[i] = same ? *sector : kMixed;
  }
  return sectors;
}

std::vector<std::string> list_snapshots(const TestImage& image) {
  void* self = nullptr;
  const auto* ops = interface_of<instar_snapshot_ops>(image, INSTAR_SNAPSHOT_ID, &self);
  sdk::StringSink text;
  std::vector<std::string> ids;
  EXPECT_EQ(ops->list(self, nullptr, text.abi()), 0);
  sdk::JsonObject::each_item(text.text, [&](std::string_view item) {
    ids.push_back(sdk::JsonObject(item).string("id").value_or(""));
  });
  return ids;
}

std::vector<std::pair<std::string, bool>> list_bitmaps(const TestImage& image) {
  void* self = nullptr;
  const auto* ops = interface_of<instar_bitmap_ops>(image, INSTAR_BITMAP_ID, &self);
  sdk::StringSink text;
  std::vector<std::pair<std::string, bool>> list;
  if (ops->list(self, nullptr, text.abi()) != 0) return list;  // version 2 has none
  sdk::JsonObject::each_item(text.text, [&](std::string_view item) {
    list.emplace_back(sdk::JsonObject(item).string("name").value_or(""),
                      item.find("in-use") != std::string_view::npos);
  });
  return list;
}

ModelBitmap read_bitmap(const TestImage& image, const std::string& name) {
  void* self = nullptr;
  const auto* ops = interface_of<instar_bitmap_ops>(image, INSTAR_BITMAP_ID, &self);
  ModelBitmap bitmap;
  sdk::StringSink text;
  EXPECT_EQ(ops->list(self, nullptr, text.abi()), 0);
  sdk::JsonObject::each_item(text.text, [&](std::string_view item) {
    const sdk::JsonObject object(item);
    if (object.string("name") != name) return;
    bitmap.granularity = object.number("granularity").value_or(0);
    bitmap.enabled = item.find("auto") != std::string_view::npos;
  });
  if (bitmap.granularity == 0) return bitmap;
  bitmap.bits.resize(sdk::div_up(*image.node().size(), bitmap.granularity));
  const auto run = [](void* opaque, uint64_t offset, uint64_t length) noexcept -> int {
    auto& to = *static_cast<ModelBitmap*>(opaque);
    for (uint64_t i = offset / to.granularity; i * to.granularity < offset + length; ++i)
      to.bits[i] = true;
    return 0;
  };
  EXPECT_EQ(ops->walk(self, nullptr, name.c_str(), &bitmap, run), 0);
  return bitmap;
}

bool covers(const ModelBitmap& bitmap, const std::vector<std::pair<size_t, size_t>>& changed) {
  for (const auto& [first, end] : changed)
    for (size_t bit = first * 512 / bitmap.granularity; bit * bitmap.granularity < end * 512; ++bit)
      if (bit < bitmap.bits.size() && !bitmap.bits[bit]) return false;
  return true;
}

std::unique_ptr<Files> to_files(const PowerCut::Files& numbered) {
  auto files = std::make_unique<Files>();
  files->file.bytes = numbered[kImageFile];
  files->backing = std::make_unique<MemoryFile>(numbered[kBackingFile]);
  files->data = std::make_unique<MemoryFile>(numbered[kDataFile]);
  return files;
}

std::optional<State> observe(const PowerCut::Files& files, std::string* problem) {
  const auto at = to_files(files);
  const auto broken = [&](const std::string& what) {
    *problem = what;
    return std::nullopt;
  };
  const TestImage image(*at, 0, kOpenOptions);
  if (!image.open()) return broken("it can't be opened: " + image.error());
  const size_t size = *image.node().size() / 512;
  State state;
  const auto content = read_sectors(image, size);
  if (!content) return broken("it can't be read");
  state.sectors = *content;
  for (const auto& id : list_snapshots(image)) {
    const TestImage view(*at, 0, kOpenOptions);
    void* self = nullptr;
    const auto* ops = interface_of<instar_snapshot_ops>(view, INSTAR_SNAPSHOT_ID, &self);
    if (ops->load(self, nullptr, id.c_str()) != 0) return broken("can't load snapshot " + id);
    const auto there = read_sectors(view, size);
    if (!there) return broken("can't read snapshot " + id);
    state.snapshots[id] = std::make_shared<const Sectors>(*there);
  }
  for (const auto& [name, in_use] : list_bitmaps(image))
    if (in_use)
      state.broken_bitmaps.push_back(name);
    else
      state.bitmaps[name] = read_bitmap(image, name);
  return state;
}

std::string judge(const std::vector<State>& states, size_t cut, const PowerCut::Files& files,
                  State* found) {
  std::string problem;
  auto seen = observe(files, &problem);
  if (!seen) return problem;
  *found = std::move(*seen);
  const Window window(states, cut);
  problem = judge_content(window, found->sectors);
  if (problem.empty()) problem = judge_snapshots(window, *found);
  if (problem.empty()) problem = judge_bitmaps(window, *found);
  if (problem.empty()) return "";
  problem += "; steps since the last close:";
  for (size_t k = window.stored + 1; k <= window.last; ++k)
    problem += "\n  " + window.at(k).step;
  return problem;
}

bool is_dirty(const std::vector<uint8_t>& image) {
  return image.size() > 79 && image[7] >= 3 && (image[79] & kIncompatDirty) != 0;
}

std::optional<std::string> ask(const PowerCut::Files& files, const State& found) {
  const auto content = to_bytes(found.sectors);
  const auto at = to_files(files);
  const bool dirty = is_dirty(files[kImageFile]) || files[kImageFile][7] == 2;
  const bool plain = !drop_encryption(at->file.bytes);
  return reference_verdict(*at, plain ? &content : nullptr,
                           dirty ? Tolerance::kRepair : Tolerance::kLeaks);
}

std::string check_metadata(PowerCut::Files& files, Flags flags) {
  const bool strict = flags == Flags::kExact && files[kImageFile][7] > 2;
  const auto check = [&](uint32_t access, uint32_t fix) -> std::string {
    const auto at = to_files(files);
    TestImage image(*at, access | INSTAR_OPEN_CHECK, kOpenOptions);
    if (!image.open()) return "it can't be checked: " + image.error();
    void* self = nullptr;
    const auto* ops = interface_of<instar_check_ops>(image, INSTAR_CHECK_ID, &self);
    instar_check_result result{};
    result.struct_size = sizeof result;
    sdk::StringSink messages;
    const int done = ops->check(self, nullptr, fix, &result, messages.abi(), nullptr);
    if (done != 0 || result.check_errors != 0) return "the check fails: " + messages.text;
    if (image.close() != 0) return "it can't be closed";
    files[kImageFile] = std::move(at->file.bytes);
    return result.corruptions == 0 ? "" : errors_of(messages.text, strict);
  };
  if (is_dirty(files[kImageFile]))
    if (auto problem = check(INSTAR_OPEN_WRITE, INSTAR_FIX_LEAKS | INSTAR_FIX_ERRORS);
        !problem.empty())
      return problem;
  return check(0, 0);
}

}  // namespace instar::qcow2::testing
