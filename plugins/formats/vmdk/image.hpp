// SPDX-License-Identifier: Apache-2.0
/**
 * @file image.hpp
 * An open VMDK image: extents, one behind another. Any calls at once; each extent has locks of its
 * own. The CID changes with the first write after opening, as overlays tell by it that their base
 * was changed.
 */
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "plugins/formats/vmdk/descriptor.hpp"
#include "plugins/formats/vmdk/extent.hpp"
#include "sdk/cpp/driver.hpp"

namespace instar::vmdk {

struct Plan;
class FilesBeside;

class Image {
 public:
  static sdk::Result<std::unique_ptr<Image>> open(sdk::OpenContext& context);
  static sdk::Status create(sdk::CreateContext& context);
  static sdk::Result<instar_measure_result> measure(sdk::Host host, const sdk::Options& options,
                                                    sdk::NodeRef source);
  static sdk::Status stream(sdk::Host host, const sdk::Call& call, const sdk::Options& options,
                            const sdk::StreamSource& source, const instar_content& out);
  static int probe(sdk::ConstBytes head, std::string_view filename);
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;

  uint64_t size() const { return extents_.empty() ? 0 : extents_.back().end(); }
  void limits(instar_node_limits& limits) const;
  sdk::Status read(const sdk::Call& call, uint64_t offset, sdk::IoVec to);
  sdk::Status write(const sdk::Call& call, uint64_t offset, sdk::IoVec from, uint32_t flags);
  sdk::Status write_zeroes(const sdk::Call& call, uint64_t offset, uint64_t length, uint32_t flags);
  sdk::Status flush(const sdk::Call& call);
  sdk::Result<size_t> extents(const sdk::Call& call, uint64_t offset, uint64_t length,
                              instar_extent* out, size_t max);
  sdk::Status close(const sdk::Call& call);

  bool offers(std::string_view id) const;
  void info(sdk::JsonWriter& json) const;
  sdk::Result<uint64_t> allocated_size();
  sdk::Status check(const sdk::Call& call, uint32_t fix, instar_check_result& result,
                    const instar_sink* messages, const instar_progress* progress);
  sdk::Status resize(const sdk::Call& call, uint64_t size, uint32_t mode, uint32_t flags,
                     const instar_progress* progress);
  sdk::Status change_backing(const sdk::Call& call, const char* filename, const char* format);
  sdk::Result<size_t> prepare_write(const sdk::Call& call, uint64_t offset, uint64_t length,
                                    instar_placement* out, size_t max);
  sdk::Status commit_write(const sdk::Call& call, const instar_placement* placements, size_t count);
  void abort_write(const instar_placement* placements, size_t count);
  sdk::Result<int64_t> pack(const sdk::Call& call, sdk::ConstBytes block, sdk::Bytes out);
  sdk::Status store(const sdk::Call& call, uint64_t offset, size_t length, sdk::ConstBytes packed);

 private:
  explicit Image(const sdk::OpenContext& context)
      : flags_(context.flags()),
        host_(context.host()),
        opener_(context.opener()),
        filename_(context.filename()) {}
  sdk::Status open_first_file(sdk::OpenContext& context);
  sdk::Status open_descriptor(sdk::OpenContext& context, uint64_t offset);
  sdk::Status open_extent(sdk::OpenContext& context, const ExtentLine& line);
  sdk::Status add_sparse(sdk::HostFile file, const GrainLayout& layout, Extent extent);
  sdk::Status open_backing(sdk::OpenContext& context);
  sdk::Status show_backing(Extent& extent) const;
  sdk::Result<std::string> descriptor_text(const sdk::Call& call);
  sdk::Status write_descriptor(const sdk::Call& call, std::string text);
  sdk::Status begin_change(const sdk::Call& call);
  sdk::Status check_resizes(uint64_t size) const;
  sdk::Status check_parent() const;
  uint64_t most_of_last() const;
  sdk::Result<Plan> plan_of_extents(uint32_t mode) const;
  sdk::Status grow(const sdk::Call& call, uint64_t size, uint32_t mode);
  sdk::Status open_extents(const sdk::Call& call, const std::string& lines);
  sdk::Status shrink(const sdk::Call& call, uint64_t size);
  /** The descriptor, as it is and as it is going to be. */
  struct Texts {
    std::string before, after;
  };
  sdk::Result<Texts> changed_text(const sdk::Call& call, const ExtentChange& change);
  sdk::Status change_text(const sdk::Call& call, const Texts& texts);
  sdk::Status replace_file(const sdk::Call& call, const FilesBeside& files,
                           const std::string& staged, const std::string& text);
  instar_open_args late_arguments() const;

  /** In an extent, where it has so many sectors; else it is a file. */
  bool has_descriptor_inside() const { return descriptor_offset_ != 0; }
  uint64_t most_descriptor() const {
    return has_descriptor_inside() ? kDescriptorSectors * kSector : kMostDescriptor;
  }
  bool writable() const { return (flags_ & INSTAR_OPEN_WRITE) != 0; }
  Extent& extent_at(uint64_t offset);
  bool uniform() const;
  /** Calls each(extent, offset, length) for the extents that [offset, offset + length) lies in. */
  template <class Each>
  sdk::Status walk(uint64_t offset, uint64_t length, Each each);

  const uint32_t flags_;
  const sdk::Host host_;
  const instar_opener* const opener_;  ///< until close
  const std::string filename_;
  sdk::HostFile file_;
  uint64_t descriptor_offset_ = 0;  ///< bytes
  std::string create_type_;
  uint32_t cid_ = 0;
  uint32_t parent_cid_ = 0;
  std::string backing_name_;
  sdk::NodeRef backing_;
  bool backing_trusted_ = false;  ///< it is the one that this image was made for
  std::vector<Extent> extents_;
  std::mutex mutex_;  ///< guards changed_ and the descriptor
  bool changed_ = false;
};

/** The identity of the base, which an overlay remembers.
 * @param image the overlay's file name @param name the base's, as the overlay has it */
sdk::Result<uint32_t> cid_of_parent(const sdk::Host& host, const sdk::Call& call,
                                    const std::string& image, const std::string& name);

}  // namespace instar::vmdk
