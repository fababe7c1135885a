// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/dmg/chunks.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

#include "sdk/cpp/base64.hpp"

namespace instar::dmg {
namespace {

using sdk::Call;
using sdk::fail;
using sdk::Result;
using sdk::Status;

/** As the genuine tool has them; a table of a disk of 100 GB takes 16 MiB of XML. */
constexpr uint64_t kMaxTables = 16u << 20;
constexpr uint64_t kMaxPacked = 64u << 20;
constexpr uint64_t kMaxSectors = kMaxPacked / kSector;

sdk::Error invalid() {
  return fail(EINVAL, sdk::errno_text(EINVAL));
}

/** Where in a file that may be longer than the image the trailer lies: it is in the last 1023 bytes,
 * since a file's length is rounded up to sectors on some storage. */
Result<uint64_t> find_trailer(const Call& call, const sdk::HostFile& file) {
  const uint64_t size = sdk::round_up(file.size(), kSector);
  if (size < kSector) return fail(EINVAL, "dmg file must be at least 512 bytes long");
  constexpr uint64_t kSearched = 511 + kSector;
  const uint64_t from = size > kSearched ? size - kSearched : 0;
  char bytes[515] = {};
  const size_t length = std::min<uint64_t>(size, sizeof bytes);
  INSTAR_CHECK(file.read(call, from, bytes, length));
  const auto at = std::string_view(bytes, length).find("koly");
  if (at == std::string_view::npos)
    return fail(EINVAL, "Could not locate UDIF trailer in dmg file");
  return from + at;
}

bool is_known(ChunkType type) {
  switch (type) {
    case ChunkType::kZero:
    case ChunkType::kRaw:
    case ChunkType::kUnused:
    case ChunkType::kAdc:
    case ChunkType::kZlib:
    case ChunkType::kBzip2:
    case ChunkType::kXz:
      return true;
    default:
      return false;
  }
}

Result<Chunk> read_chunk(const ChunkEntry& entry, const TableHeader& table, uint64_t data_fork,
                         size_t index) {
  Chunk chunk;
  chunk.type = static_cast<ChunkType>(uint32_t{entry.type});
  chunk.sectors = entry.sector_count;
  const uint64_t length = entry.length;
  if (!chunk.is_zero() && chunk.sectors > kMaxSectors)
    return fail(EINVAL, "sector count ", chunk.sectors, " for chunk ", index,
                " is larger than max (", kMaxSectors, ")");
  if (length > kMaxPacked)
    return fail(EINVAL, "length ", length, " for chunk ", index, " is larger than max (",
                kMaxPacked, ")");
  chunk.length = static_cast<uint32_t>(length);
  uint64_t end = 0;
  if (sdk::add_overflows(table.first_sector, entry.sector, &chunk.sector) ||
      sdk::add_overflows(chunk.sector, chunk.sectors, &end) || end > INT64_MAX / kSector ||
      sdk::add_overflows(table.data_offset, entry.offset, &chunk.offset) ||
      sdk::add_overflows(chunk.offset, data_fork, &chunk.offset) || chunk.offset > INT64_MAX)
    return invalid();
  return chunk;
}

/** Reads the tables of one image. */
class Reader {
 public:
  Reader(const Call& call, const sdk::HostFile& file, uint64_t data_fork)
      : call_(call), file_(file), data_fork_(data_fork) {}

  /** Resources, each with its length before it. */
  Status read_resources(uint64_t offset, uint64_t length) {
    sdk::Be<uint32_t> header[4];
    if (length < sizeof header) return invalid();
    INSTAR_CHECK(file_.read(call_, offset, header, sizeof header));
    const uint64_t data = header[0], data_length = header[2];
    if (data_length == 0 || data > length || data_length > length - data) return invalid();
    if (data_length > kMaxTables) return invalid();
    std::string bytes(data_length, '\0');
    INSTAR_CHECK(file_.read(call_, offset + data, bytes.data(), bytes.size()));
    for (std::string_view rest = bytes; !rest.empty();) {
      if (rest.size() < sizeof(uint32_t)) return invalid();
      const uint32_t size = sdk::load_be<uint32_t>(rest.data());
      rest.remove_prefix(sizeof(uint32_t));
      if (size == 0 || size > rest.size()) return invalid();
      INSTAR_CHECK(read_table(rest.substr(0, size)));
      rest.remove_prefix(size);
    }
    return {};
  }

  /** Whatever stands in <data> elements, in base64. */
  Status read_xml(uint64_t offset, uint64_t length) {
    if (length == 0 || length > kMaxTables) return invalid();
    std::string bytes(length, '\0');
    INSTAR_CHECK(file_.read(call_, offset, bytes.data(), bytes.size()));
    constexpr std::string_view kBegin = "<data>", kEnd = "</data>";
    const std::string_view xml(bytes.data(), strnlen(bytes.data(), bytes.size()));
    for (auto at = xml.find(kBegin); at != xml.npos; at = xml.find(kBegin, at)) {
      at += kBegin.size();
      const auto end = xml.find(kEnd, at);
      if (end == xml.npos) return invalid();
      const auto table = sdk::decode_base64(xml.substr(at, end - at));
      if (!table) return invalid();
      INSTAR_CHECK(read_table(*table));
      at = end;
    }
    return {};
  }

  std::vector<uint32_t> unknown_types() { return std::move(unknown_); }
  Result<std::vector<Chunk>> chunks() {
    std::sort(chunks_.begin(), chunks_.end(),
              [](const Chunk& a, const Chunk& b) { return a.sector < b.sector; });
    for (size_t i = 1; i < chunks_.size(); ++i)
      if (chunks_[i - 1].end() > chunks_[i].sector)
        return fail(EINVAL, "Chunks of the image overlap at sector ", chunks_[i].sector);
    return std::move(chunks_);
  }

 private:
  /** What is none (an icon, a license) is passed over. */
  Status read_table(std::string_view bytes) {
    TableHeader table;
    if (!bytes.starts_with("mish") || bytes.size() < sizeof table + sizeof(ChunkEntry)) return {};
    std::memcpy(static_cast<void*>(&table), bytes.data(), sizeof table);
    const size_t count = (bytes.size() - sizeof table) / sizeof(ChunkEntry);
    for (size_t i = 0; i < count; ++i) {
      ChunkEntry entry;
      std::memcpy(static_cast<void*>(&entry), bytes.data() + sizeof table + i * sizeof entry,
                  sizeof entry);
      const auto type = static_cast<ChunkType>(uint32_t{entry.type});
      if (type == ChunkType::kComment || type == ChunkType::kEnd) continue;
      if (!is_known(type)) note_unknown(entry.type);
      if (!is_known(type) || entry.sector_count == 0) continue;
      INSTAR_TRY(const Chunk chunk, read_chunk(entry, table, data_fork_, i));
      chunks_.push_back(chunk);
    }
    return {};
  }

  void note_unknown(uint32_t type) {
    constexpr size_t kMost = 8;  // a hostile table has millions
    if (unknown_.size() < kMost &&
        std::find(unknown_.begin(), unknown_.end(), type) == unknown_.end())
      unknown_.push_back(type);
  }

  const Call& call_;
  const sdk::HostFile& file_;
  const uint64_t data_fork_;
  std::vector<uint32_t> unknown_;
  std::vector<Chunk> chunks_;
};

}  // namespace

Result<ChunkTable> ChunkTable::read(const Call& call, const sdk::HostFile& file) {
  INSTAR_TRY(const uint64_t at, find_trailer(call, file));
  Trailer trailer;
  INSTAR_CHECK(file.read(call, at, &trailer, sizeof trailer));
  const auto inside = [&](uint64_t offset, uint64_t length) {
    return offset <= at && length <= at - offset;
  };
  const uint64_t resources = trailer.resource_fork_length, xml = trailer.xml_length;
  if (trailer.data_fork_offset > at || !inside(trailer.resource_fork_offset, resources) ||
      !inside(trailer.xml_offset, xml) || trailer.sector_count > INT64_MAX / kSector)
    return invalid();
  Reader reader(call, file, trailer.data_fork_offset);
  if (resources != 0) {
    INSTAR_CHECK(reader.read_resources(trailer.resource_fork_offset, resources));
  } else {
    INSTAR_CHECK(reader.read_xml(trailer.xml_offset, xml));
  }
  ChunkTable table;
  table.sectors = trailer.sector_count;
  table.unknown_types = reader.unknown_types();
  INSTAR_TRY(table.chunks, reader.chunks());
  return table;
}

std::vector<Chunk>::const_iterator ChunkTable::find(uint64_t sector) const {
  return std::upper_bound(chunks.begin(), chunks.end(), sector,
                          [](uint64_t wanted, const Chunk& chunk) { return wanted < chunk.end(); });
}

}  // namespace instar::dmg
