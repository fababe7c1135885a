// SPDX-License-Identifier: Apache-2.0
/** @file image.hpp Apple's disk images (UDIF, "dmg"). Read-only. */
#pragma once

#include <memory>

#include "plugins/formats/dmg/chunks.hpp"
#include "plugins/formats/dmg/unpacked_chunks.hpp"
#include "sdk/cpp/codec.hpp"
#include "sdk/cpp/driver.hpp"

namespace instar::dmg {

/** Thread-safe. */
class Image {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;
  static constexpr bool kPlainReads = true;

  static sdk::Result<std::unique_ptr<Image>> open(sdk::OpenContext& context);

  uint64_t size() const { return table_.sectors * kSector; }
  void limits(instar_node_limits& limits) const;
  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::IoVec to);
  sdk::Result<size_t> extents(const sdk::Call& call, uint64_t offset, uint64_t length,
                              instar_extent* out, size_t max) const;
  bool offers(std::string_view id) const { return id != INSTAR_MAP_ID || !file_.is_watched(); }

 private:
  Image(sdk::Host host, sdk::HostFile file, ChunkTable table)
      : host_(host), file_(std::move(file)), table_(std::move(table)), unpacked_(kKept) {}

  /** Memory for chunks that requests end in the middle of. */
  static constexpr uint64_t kKept = 16u << 20;

  sdk::Status open_codecs();
  sdk::Result<size_t> piece(const sdk::Call& call, uint64_t offset, const sdk::IoVec& to,
                            uint64_t position, uint64_t length);
  sdk::Status read_packed(const sdk::Call& call, const Chunk& chunk, uint64_t inside,
                          const sdk::IoVec& to, uint64_t position, uint64_t length);
  sdk::Status unpack(const sdk::Call& call, const Chunk& chunk, sdk::Bytes out);

  const sdk::Host host_;
  const sdk::HostFile file_;
  const ChunkTable table_;
  std::unique_ptr<sdk::CodecPool> zlib_, bzip2_, xz_;  ///< those that the image needs
  UnpackedChunks unpacked_;
  std::mutex large_;  ///< chunks that take much memory are unpacked one by one
};

}  // namespace instar::dmg
