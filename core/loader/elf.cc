// SPDX-License-Identifier: Apache-2.0
#include "core/loader/elf.hpp"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "core/base/checked.hpp"
#include "core/base/fd.hpp"
#include "core/base/file.hpp"
#include "core/base/hex.hpp"
#include "core/loader/manifest.hpp"

namespace instar::loader {
namespace {

constexpr size_t kMaxLibrarySize = size_t{1} << 30;
static_assert(sizeof(void*) == 8, "reads 64-bit files of the own byte order beyond the header");

std::string machine_name(uint16_t machine, bool wide, bool little) {
  switch (machine) {
    case EM_386:
      return "i686";
    case EM_X86_64:
      return "x86_64";
    case EM_AARCH64:
      return "aarch64";
    case EM_ARM:
      return "armv7l";
    case EM_PPC64:
      return little ? "ppc64le" : "ppc64";
    case EM_S390:
      return "s390x";
    case EM_RISCV:
      return wide ? "riscv64" : "riscv32";
    case 258:  // EM_LOONGARCH, which Debian 12's elf.h lacks
      return "loongarch64";
    default:
      return cat("machine ", machine);
  }
}

/** The machine out of the first bytes, or nothing when this is no ELF file. */
std::optional<std::string> machine_of(std::string_view head) {
  if (head.size() < EI_NIDENT + 4 || !head.starts_with(ELFMAG)) return std::nullopt;
  const bool wide = head[EI_CLASS] == ELFCLASS64;
  const bool little = head[EI_DATA] == ELFDATA2LSB;
  uint16_t machine = 0;
  std::memcpy(&machine, head.data() + EI_NIDENT + 2, sizeof machine);
  if (little != (std::endian::native == std::endian::little)) machine = __builtin_bswap16(machine);
  return machine_name(machine, wide, little);
}

Error no_elf(const std::string& path) {
  return Error{ENOEXEC, cat("plugin '", path, "' is not a shared library"), "Install it again."};
}

Error truncated(const std::string& path) {
  return Error{ENOEXEC, cat("plugin '", path, "' is truncated"), "Install it again."};
}

Error wrong_machine(const std::string& path, const std::string& machine) {
  return Error{ENOEXEC,
               cat("plugin '", path, "' is built for ", machine, ", this is ", host_architecture()),
               cat("Install the plugin's build for ", host_architecture(), ".")};
}

/** A file in memory; everything is fetched through checked accesses. */
class Image {
 public:
  explicit Image(const std::string& bytes) : bytes_(bytes) {}

  template <class T>
  std::optional<T> at(uint64_t offset) const {
    if (!base::range_within<uint64_t>(offset, sizeof(T), bytes_.size())) return std::nullopt;
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    return value;
  }
  std::optional<std::string_view> range(uint64_t offset, uint64_t size) const {
    if (!base::range_within<uint64_t>(offset, size, bytes_.size())) return std::nullopt;
    return std::string_view(bytes_).substr(offset, size);
  }
  /** NUL-terminated text inside a string table. */
  static std::string name(std::string_view table, uint64_t offset) {
    if (offset >= table.size()) return {};
    const auto rest = table.substr(offset);
    return std::string(rest.substr(0, rest.find('\0')));
  }

 private:
  const std::string& bytes_;
};

void read_notes(const Image& image, const Elf64_Shdr& section, ElfInfo& info) {
  uint64_t at = section.sh_offset;
  const uint64_t size = section.sh_size;
  while (at - section.sh_offset + sizeof(Elf64_Nhdr) <= size) {
    const auto note = image.at<Elf64_Nhdr>(at);
    if (!note) return;
    const uint64_t name = at + sizeof(Elf64_Nhdr);
    const uint64_t content = name + (uint64_t{note->n_namesz} + 3) / 4 * 4;
    const auto owner = image.range(name, note->n_namesz);
    const auto bytes = image.range(content, note->n_descsz);
    if (!owner || !bytes) return;
    if (note->n_type == NT_GNU_BUILD_ID && *owner == std::string_view("GNU\0", 4))
      info.build_id =
          base::to_hex(std::span(reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size()));
    at = content + (uint64_t{note->n_descsz} + 3) / 4 * 4;
  }
}

void read_symbols(const Image& image, const Elf64_Shdr& section, std::string_view names,
                  ElfInfo& info) {
  for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= section.sh_size; at += sizeof(Elf64_Sym)) {
    const auto symbol = image.at<Elf64_Sym>(section.sh_offset + at);
    if (!symbol) return;
    const auto binding = ELF64_ST_BIND(symbol->st_info);
    if (symbol->st_shndx == SHN_UNDEF || binding == STB_LOCAL) continue;
    info.exports.push_back(Image::name(names, symbol->st_name));
  }
}

void read_dynamic(const Image& image, const Elf64_Shdr& section, std::string_view names,
                  ElfInfo& info) {
  for (uint64_t at = 0; at + sizeof(Elf64_Dyn) <= section.sh_size; at += sizeof(Elf64_Dyn)) {
    const auto entry = image.at<Elf64_Dyn>(section.sh_offset + at);
    if (!entry || entry->d_tag == DT_NULL) return;
    if (entry->d_tag == DT_NEEDED) info.needed.push_back(Image::name(names, entry->d_un.d_val));
  }
}

}  // namespace

Status check_loadable(const std::string& path) {
  const base::Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat file {};
  if (!fd || fstat(fd.get(), &file) != 0)
    return fail(errno, "Could not open '", path, "': ", errno_text(errno));
  std::array<char, sizeof(Elf64_Ehdr)> head{};
  const ssize_t n = pread(fd.get(), head.data(), head.size(), 0);
  const auto machine = machine_of({head.data(), n > 0 ? static_cast<size_t>(n) : 0});
  if (!machine) return no_elf(path);
  if (*machine != host_architecture()) return wrong_machine(path, *machine);
  Elf64_Ehdr header;
  std::memcpy(&header, head.data(), sizeof header);
  std::vector<Elf64_Phdr> segments(header.e_phnum);
  const auto length = static_cast<ssize_t>(segments.size() * sizeof(Elf64_Phdr));
  if (static_cast<size_t>(n) < sizeof header || header.e_phentsize != sizeof(Elf64_Phdr) ||
      pread(fd.get(), segments.data(), length, static_cast<off_t>(header.e_phoff)) != length)
    return truncated(path);
  for (const auto& segment : segments)
    if (segment.p_type == PT_LOAD &&
        !base::range_within<uint64_t>(segment.p_offset, segment.p_filesz, file.st_size))
      return truncated(path);
  return {};
}

Result<ElfInfo> read_elf(const std::string& path) {
  INSTAR_TRY(const std::string bytes, base::read_file(path, kMaxLibrarySize));
  ElfInfo info;
  const auto machine = machine_of(bytes);
  if (!machine) return no_elf(path);
  info.architecture = *machine;
  const Image image(bytes);
  const auto header = image.at<Elf64_Ehdr>(0);
  const bool native =
      header && header->e_ident[EI_CLASS] == ELFCLASS64 &&
      (header->e_ident[EI_DATA] == ELFDATA2LSB) == (std::endian::native == std::endian::little);
  if (!native || header->e_shentsize != sizeof(Elf64_Shdr)) return info;
  const auto section = [&](uint64_t index) {
    return image.at<Elf64_Shdr>(header->e_shoff + index * sizeof(Elf64_Shdr));
  };
  for (uint64_t i = 0; i < header->e_shnum; ++i) {
    const auto here = section(i);
    if (!here) return truncated(path);
    if (here->sh_type == SHT_NOTE) read_notes(image, *here, info);
    if (here->sh_type != SHT_DYNSYM && here->sh_type != SHT_DYNAMIC) continue;
    const auto linked = section(here->sh_link);
    const auto names = linked ? image.range(linked->sh_offset, linked->sh_size) : std::nullopt;
    if (!names) return truncated(path);
    if (here->sh_type == SHT_DYNSYM)
      read_symbols(image, *here, *names, info);
    else
      read_dynamic(image, *here, *names, info);
  }
  std::sort(info.exports.begin(), info.exports.end());
  return info;
}

}  // namespace instar::loader
