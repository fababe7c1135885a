// SPDX-License-Identifier: Apache-2.0
#include "core/loader/manifest_cache.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "core/base/fd.hpp"
#include "core/base/file.hpp"
#include "core/loader/json_file.hpp"
#include "core/loader/trust.hpp"

namespace instar::loader {
namespace {

constexpr std::string_view kMagic = "instarMC";
constexpr size_t kMaxCacheSize = 64UL << 20;
/** Counted up with every change of the layout. The sizes catch a member that was forgotten. */
constexpr std::array<uint32_t, 6> kLayout = {
    2, sizeof(Manifest), sizeof(Provide), sizeof(OptionSpec), sizeof(ProbeRule), INSTAR_ABI_MINOR};

/** A file as the cache knows it. */
struct Stamp {
  int64_t size = 0;     ///< bytes
  int64_t seconds = 0;  ///< of the last modification
  int64_t nanoseconds = 0;

  bool operator==(const Stamp&) const = default;
};

Stamp stamp_of(const struct stat& file) {
  return {file.st_size, file.st_mtim.tv_sec, file.st_mtim.tv_nsec};
}

// One list of members serves both directions: `Archive` is the Writer or the Reader below.
template <class Archive, class T>
void members(Archive& archive, T& value) {
  using Type = std::remove_const_t<T>;
  if constexpr (std::is_same_v<Type, Stamp>)
    archive(value.size, value.seconds, value.nanoseconds);
  else if constexpr (std::is_same_v<Type, OptionSpec>)
    archive(value.name, value.type, value.values, value.default_value, value.help, value.extension,
            value.identity, value.checked_as);
  else if constexpr (std::is_same_v<Type, ProbeMatch>)
    archive(value.offset, value.bytes, value.mask, value.be32_min, value.name_ends);
  else if constexpr (std::is_same_v<Type, ProbeRule>)
    archive(value.score, value.by_code, value.only, value.matches);
  else if constexpr (std::is_same_v<Type, Provide>)
    archive(value.kind, value.name, value.aliases, value.summary, value.probe, value.probe_by_code,
            value.extensions, value.schemes, value.filename, value.open_options,
            value.create_options, value.amend_options, value.interfaces, value.threads, value.rank,
            value.replaces, value.flags);
  else if constexpr (std::is_same_v<Type, Manifest>)
    // The paths are put together from where the cache lies, so that a tree may be moved.
    archive(value.name, value.version, value.vendor, value.license, value.package,
            value.architecture, value.build_id, value.min_abi_major, value.min_abi_minor,
            value.provides);
}

template <class T>
constexpr bool kPlain = std::is_integral_v<T> || std::is_enum_v<T>;

class Writer {
 public:
  template <class... Values>
  void operator()(const Values&... values) {
    (put(values), ...);
  }
  std::string bytes;

 private:
  template <class T>
  void put(const T& value) {
    if constexpr (kPlain<T>)
      bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
    else
      members(*this, value);
  }
  void put(const std::string& text) {
    put(static_cast<uint32_t>(text.size()));
    bytes += text;
  }
  /** In one piece, which a reader can leave as it is. */
  void put(const OptionSpecs& options) {
    Writer rows;
    if (!options.empty()) rows.put(options.rows());
    put(rows.bytes);
  }
  template <class T>
  void put(const std::vector<T>& list) {
    put(static_cast<uint32_t>(list.size()));
    for (const auto& item : list)
      put(item);
  }
  template <class T>
  void put(const std::optional<T>& value) {
    put(value.has_value());
    if (value) put(*value);
  }
};

/** What doesn't fit ends the reading: `ok` is false from there on. */
class Reader {
 public:
  using Owner = std::shared_ptr<const std::string>;
  /** `owner` keeps the bytes. kLook only finds out whether everything fits. */
  enum Mode { kKeep, kLook };
  Reader(std::string_view bytes, const Owner& owner, Mode mode = kKeep)
      : left_(bytes), owner_(owner), mode_(mode) {}

  template <class... Values>
  void operator()(Values&... values) {
    (get(values), ...);
  }
  std::string_view text() {
    uint32_t length = 0;
    get(length);
    return take(length);
  }
  bool ok() const { return ok_; }
  bool at_end() const { return ok_ && left_.empty(); }

 private:
  std::string_view take(size_t length) {
    ok_ = ok_ && length <= left_.size();
    const auto taken = left_.substr(0, ok_ ? length : 0);
    left_.remove_prefix(taken.size());
    return taken;
  }
  template <class T>
  void get(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      const auto byte = take(1);
      value = !byte.empty() && byte[0] != 0;
    } else if constexpr (kPlain<T>) {
      const auto raw = take(sizeof(value));
      if (ok_) std::memcpy(&value, raw.data(), sizeof(value));
    } else {
      members(*this, value);
    }
  }
  void get(std::string& value) {
    const auto got = text();
    if (mode_ == kKeep) value = got;
  }
  void get(OptionSpecs& options) {
    const auto packed = text();
    Reader look(packed, owner_, kLook);
    if (packed.empty()) return;
    OptionSpecs::Rows none;
    look.get(none);
    ok_ = ok_ && look.at_end();
    if (!ok_ || mode_ == kLook) return;
    options = OptionSpecs([packed, owner = owner_] {
      OptionSpecs::Rows rows;
      Reader(packed, owner).get(rows);
      return rows;
    });
  }
  template <class T>
  void get(std::vector<T>& list) {
    uint32_t count = 0;
    get(count);
    // Each item takes a byte at least: a wrong count can't ask for memory without end.
    ok_ = ok_ && count <= left_.size();
    if (mode_ == kKeep && ok_) list.reserve(count);
    T looked_at{};
    for (uint32_t i = 0; i < count && ok_; ++i)
      get(mode_ == kKeep ? list.emplace_back() : looked_at);
  }
  template <class T>
  void get(std::optional<T>& value) {
    bool there = false;
    get(there);
    if (there && ok_) get(value.emplace());
  }

  std::string_view left_;
  const Owner& owner_;
  Mode mode_;
  bool ok_ = true;
};

/** The library's file name within the folder. */
std::string file_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

std::string entry_of(const Manifest& manifest, const struct stat& file) {
  Writer entry;
  entry(stamp_of(file), file_name(manifest.library), manifest);
  return std::move(entry.bytes);
}

Result<std::string> read_trusted(const std::string& path) {
  const base::Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat file {};
  if (!fd || fstat(fd.get(), &file) != 0) return fail(errno, "");
  INSTAR_CHECK(check_trust_within(path, file));
  if (!S_ISREG(file.st_mode) || static_cast<uint64_t>(file.st_size) > kMaxCacheSize)
    return fail(EINVAL, "");
  std::string bytes(static_cast<size_t>(file.st_size), '\0');
  const ssize_t got = read(fd.get(), bytes.data(), bytes.size());
  if (got != file.st_size) return fail(EIO, "");
  return bytes;
}

/** Puts `bytes` in the place of the file at `path` in one step. */
Status replace_file(const std::string& path, std::string_view bytes) {
  std::string temporary = path + ".XXXXXX";
  base::Fd fd(mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return fail(errno, "Could not create '", temporary, "': ", errno_text(errno));
  Status status = base::write_all(fd.get(), bytes);
  if (status && (fchmod(fd.get(), 0644) != 0 || rename(temporary.c_str(), path.c_str()) != 0))
    status = fail(errno, "Could not write '", path, "': ", errno_text(errno));
  if (!status) unlink(temporary.c_str());
  return status;
}

}  // namespace

ManifestCache::ManifestCache(const std::string& folder)
    : folder_(folder), fd_(open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {
  auto bytes = read_trusted(folder + "/" + kManifestCacheName);
  if (!bytes || !bytes->starts_with(kMagic)) return;
  bytes_ = std::make_shared<const std::string>(*std::move(bytes));
  Reader reader(std::string_view(*bytes_).substr(kMagic.size()), bytes_);
  auto layout = kLayout;
  for (auto& number : layout)
    reader(number);
  uint32_t count = 0;
  reader(count);
  if (layout != kLayout) return;
  for (uint32_t i = 0; i < count && reader.ok(); ++i) {
    const auto name = reader.text();
    const auto entry = reader.text();
    if (reader.ok()) entries_.emplace_back(name, entry);
  }
}

std::optional<Manifest> ManifestCache::find(const std::string& name) const {
  const auto found =
      std::lower_bound(entries_.begin(), entries_.end(), name,
                       [](const auto& entry, const auto& n) { return entry.first < n; });
  if (found == entries_.end() || found->first != name) return std::nullopt;
  struct stat file {};
  if (fstatat(fd_.get(), name.c_str(), &file, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(file.st_mode))
    return std::nullopt;
  Reader reader(found->second, bytes_);
  Stamp stamp;
  reader(stamp);
  if (!reader.ok() || stamp != stamp_of(file)) return std::nullopt;
  if (!check_trust_within(name, file)) return std::nullopt;
  const auto library = reader.text();
  std::optional<Manifest> manifest(std::in_place);
  reader(*manifest);
  if (!reader.ok()) return std::nullopt;
  manifest->path = cat(folder_, "/", name);
  manifest->library = cat(folder_, "/", library);
  return manifest;
}

Result<size_t> write_manifest_cache(const std::string& folder) {
  Writer entries;
  uint32_t count = 0;
  INSTAR_TRY(const auto files, json_files(folder));
  for (const auto& path : files) {
    // Looked at before it is read: what changes in between is not taken for what was read. A link's
    // target may change while the link stays as it is.
    struct stat file {};
    if (lstat(path.c_str(), &file) != 0 || !S_ISREG(file.st_mode)) continue;
    const auto manifest = read_manifest(path);
    if (!manifest) continue;
    entries(file_name(path), entry_of(*manifest, file));
    ++count;
  }
  Writer cache;
  cache.bytes = kMagic;
  for (const auto number : kLayout)
    cache(number);
  cache(count);
  INSTAR_CHECK(replace_file(cat(folder, "/", kManifestCacheName), cache.bytes + entries.bytes));
  return count;
}

}  // namespace instar::loader
