// SPDX-License-Identifier: Apache-2.0
#include "plugins/formats/vhdx/log.hpp"

#include <algorithm>
#include <map>

#include "plugins/formats/vhdx/checksum.hpp"

namespace instar::vhdx {

using sdk::Call;
using sdk::fail;
using sdk::HostFile;
using sdk::Result;
using sdk::Status;

namespace {

constexpr uint32_t kLongestEntry = 64u << 20;
constexpr uint64_t kMostTried = 8;
constexpr uint64_t kFirstDescriptors = 2;  // their room in the first sector is the header's

sdk::Error invalid() {
  return fail(EINVAL, sdk::errno_text(EINVAL));
}

uint64_t descriptor_sectors(uint64_t count) {
  return sdk::div_up((count + kFirstDescriptors) * sizeof(LogDescriptor), kLogSector);
}

/** Reading a log that goes round. */
class LogReader {
 public:
  LogReader(const Call& call, const HostFile& file, const Header& header)
      : call_(call), file_(file), header_(header), length_(header.log_length) {}

  uint64_t length() const { return length_; }
  uint64_t advance(uint64_t at, uint64_t by) const { return (at + by) % length_; }
  Status read(uint64_t at, void* to, uint64_t length) const {
    for (uint64_t done = 0; done < length;) {
      const uint64_t from = advance(at, done);
      const uint64_t n = std::min(length - done, length_ - from);
      INSTAR_CHECK(file_.read(call_, header_.log_offset + from, static_cast<uint8_t*>(to) + done,
                              static_cast<size_t>(n)));
      done += n;
    }
    return {};
  }
  bool sound(const LogEntryHeader& entry) const {
    const uint64_t sectors = descriptor_sectors(entry.descriptor_count);
    return entry.signature == kLogSignature && entry.log_guid == header_.log_guid &&
           entry.sequence_number != 0 && entry.entry_length % kLogSector == 0 &&
           entry.entry_length <= std::min<uint64_t>(length_, kLongestEntry) &&
           sectors * kLogSector <= entry.entry_length;
  }

 private:
  const Call& call_;
  const HostFile& file_;
  const Header& header_;
  const uint64_t length_;
};

using Bytes = std::vector<uint8_t>;

const LogEntryHeader& header_of(const Bytes& entry) {
  return *reinterpret_cast<const LogEntryHeader*>(entry.data());
}
const LogDescriptor* descriptors_of(const Bytes& entry) {
  return reinterpret_cast<const LogDescriptor*>(entry.data() + sizeof(LogEntryHeader));
}

/** Whether all of its descriptors and sectors are as they were written. */
bool whole(const Bytes& bytes) {
  const LogEntryHeader& entry = header_of(bytes);
  if (!has_checksum(bytes.data(), bytes.size())) return false;
  const uint64_t number = entry.sequence_number;
  uint64_t sector = descriptor_sectors(entry.descriptor_count);
  const LogDescriptor* descriptor = descriptors_of(bytes);
  for (uint32_t i = 0; i < entry.descriptor_count; ++i, ++descriptor) {
    if (descriptor->sequence_number != number || descriptor->file_offset % kLogSector != 0)
      return false;
    if (descriptor->signature == kZeroDescriptor) {
      if (descriptor->zero_length % kLogSector != 0) return false;
      continue;
    }
    if (descriptor->signature != kDataDescriptor) return false;
    if ((sector + 1) * kLogSector > bytes.size()) return false;
    const auto& data = *reinterpret_cast<const LogDataSector*>(&bytes[sector++ * kLogSector]);
    const uint64_t low = data.sequence_low;
    if (data.signature != kDataSectorSignature ||
        (uint64_t{data.sequence_high} << 32 | low) != number)
      return false;
  }
  return true;
}

/** An entry that begins at `at`; empty bytes: there is none. @param tried bytes that were read */
Result<Bytes> read_entry(const LogReader& log, uint64_t at, uint64_t& tried) {
  LogEntryHeader entry;
  INSTAR_CHECK(log.read(at, &entry, sizeof entry));
  Bytes bytes;
  if (!log.sound(entry)) return bytes;
  tried += entry.entry_length;
  bytes.resize(entry.entry_length);
  INSTAR_CHECK(log.read(at, bytes.data(), bytes.size()));
  if (!whole(bytes)) bytes.clear();
  return bytes;
}

/** The log's sound entries, by number. */
Result<std::map<uint64_t, LogSequence::Entry>> all_entries(const LogReader& log) {
  std::map<uint64_t, LogSequence::Entry> entries;
  uint64_t tried = 0;  // bytes: entries that only look like some may overlap
  for (uint64_t at = 0; at < log.length();) {
    INSTAR_TRY(const Bytes bytes, read_entry(log, at, tried));
    if (tried > kMostTried * log.length()) return invalid();
    if (bytes.empty()) {
      at += kLogSector;
      continue;
    }
    const LogEntryHeader& entry = header_of(bytes);
    entries[entry.sequence_number] = {at, bytes.size(), entry.sequence_number, entry.tail};
    at += bytes.size();
  }
  return entries;
}

}  // namespace

Result<bool> has_log(const Header& header) {
  if (header.log_offset < kMiB || header.log_offset % kMiB != 0 || header.log_version != 0)
    return invalid();
  if (header.log_guid == Guid{} || header.log_length == 0) return false;
  if (header.log_length % kMiB != 0) return invalid();
  return true;
}

/**
 * The entries behind one another that end with the youngest one, from its tail on. QEMU's tails may
 * be wrong, and older entries do no harm: then it is as many as there are.
 */
Result<LogSequence> find_log(const Call& call, const HostFile& file, const Header& header) {
  LogSequence sequence;
  INSTAR_TRY(const bool there, has_log(header));
  if (!there) return sequence;
  const LogReader log(call, file, header);
  INSTAR_TRY(const auto entries, all_entries(log));
  if (entries.empty()) return sequence;
  const uint64_t tail = entries.rbegin()->second.tail;
  for (auto at = entries.rbegin(); at != entries.rend(); ++at) {
    const LogSequence::Entry& entry = at->second;
    if (!sequence.empty()) {
      const LogSequence::Entry& next = sequence.entries.back();
      if (entry.number + 1 != next.number || log.advance(entry.begin, entry.length) != next.begin)
        break;
    }
    sequence.entries.push_back(entry);
    if (entry.begin == tail) break;
  }
  std::reverse(sequence.entries.begin(), sequence.entries.end());
  for (const auto& entry : sequence.entries) {
    LogEntryHeader read;
    INSTAR_CHECK(log.read(entry.begin, &read, sizeof read));
    if (read.flushed_file_offset > sdk::round_up(file.size(), 512)) return invalid();
    sequence.file_end = std::max<uint64_t>(sequence.file_end, read.last_file_offset);
  }
  return sequence;
}

Status replay_log(const Call& call, const HostFile& file, const Header& header,
                  const LogSequence& sequence,
                  const std::function<Status(const LogChange&)>& each) {
  const LogReader log(call, file, header);
  uint64_t tried = 0;
  for (const auto& place : sequence.entries) {
    INSTAR_TRY(Bytes bytes, read_entry(log, place.begin, tried));
    if (bytes.empty()) return invalid();
    const LogEntryHeader& entry = header_of(bytes);
    uint64_t sector = descriptor_sectors(entry.descriptor_count);
    const LogDescriptor* descriptor = descriptors_of(bytes);
    for (uint32_t i = 0; i < entry.descriptor_count; ++i, ++descriptor) {
      if (descriptor->signature == kZeroDescriptor) {
        INSTAR_CHECK(each({descriptor->file_offset, descriptor->zero_length, nullptr}));
        continue;
      }
      // The sector's own first and last bytes made room for the log's.
      uint8_t* data = &bytes[sector++ * kLogSector];
      std::memcpy(data, descriptor->leading_bytes, sizeof descriptor->leading_bytes);
      std::memcpy(data + kLogSector - 4, descriptor->trailing_bytes, 4);
      INSTAR_CHECK(each({descriptor->file_offset, kLogSector, data}));
    }
  }
  return {};
}

Status LogWriter::append(const Call& call, HostFile& file, const LogChange* changes, size_t count) {
  const uint64_t first_data = descriptor_sectors(count);
  Bytes bytes((first_data + count) * kLogSector);
  if (bytes.size() > length_) return fail(ENOSPC, "The image's log is too short");
  if (head_ + bytes.size() > length_) head_ = 0;
  auto& entry = *reinterpret_cast<LogEntryHeader*>(bytes.data());
  entry.signature = kLogSignature;
  entry.entry_length = static_cast<uint32_t>(bytes.size());
  entry.tail = static_cast<uint32_t>(head_);
  entry.sequence_number = ++number_;
  entry.descriptor_count = static_cast<uint32_t>(count);
  entry.log_guid = guid_;
  entry.flushed_file_offset = entry.last_file_offset = file.size();
  auto* descriptor = reinterpret_cast<LogDescriptor*>(bytes.data() + sizeof entry);
  auto* sector = reinterpret_cast<LogDataSector*>(&bytes[first_data * kLogSector]);
  for (size_t i = 0; i < count; ++i, ++descriptor, ++sector) {
    const uint8_t* data = changes[i].bytes;
    descriptor->signature = kDataDescriptor;
    std::memcpy(descriptor->leading_bytes, data, sizeof descriptor->leading_bytes);
    std::memcpy(descriptor->trailing_bytes, data + kLogSector - 4, 4);
    descriptor->file_offset = changes[i].offset;
    descriptor->sequence_number = number_;
    std::memcpy(sector, data, kLogSector);
    sector->signature = kDataSectorSignature;
    sector->sequence_high = static_cast<uint32_t>(number_ >> 32);
    sector->sequence_low = static_cast<uint32_t>(number_);
  }
  set_checksum(bytes.data(), bytes.size());
  INSTAR_CHECK(file.write(call, offset_ + head_, bytes.data(), bytes.size()));
  head_ += bytes.size();
  return {};
}

}  // namespace instar::vhdx
