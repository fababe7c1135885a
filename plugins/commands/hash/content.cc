// SPDX-License-Identifier: Apache-2.0
#include "plugins/commands/hash/content.hpp"

#include <algorithm>

#include "sdk/cpp/bytes.hpp"

namespace instar::hash {

using namespace sdk;

namespace {

constexpr uint64_t kSector = 512;
constexpr uint64_t kZeroRun = 16 << 20;  // at a time, so that progress and cancellation go on

/** Receives the runs of an image in order. */
struct Walk {
  const CommandContext& context;
  const NodeRef node;
  const instar_progress& progress;
  Digest& digest;
  uint64_t size = 0;
  Status status;

  Status add(const instar_map_extent& extent) {
    const bool zero = (extent.flags & INSTAR_EXTENT_ZERO) != 0;
    const uint64_t most = zero ? kZeroRun : Digest::kBlock;
    for (uint64_t done = 0; done < extent.length;) {
      if (context.call().cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
      const uint64_t n = std::min(most, extent.length - done);
      const uint64_t offset = extent.start + done;
      if (zero)
        digest.add_zeroes(n);
      else
        INSTAR_CHECK(add_data(offset, static_cast<size_t>(n)));
      done += n;
      // The end is told when the digest is there.
      if (progress.report != nullptr && offset + n < size)
        progress.report(progress.opaque, offset + n, size);
    }
    return {};
  }

  Status add_data(uint64_t offset, size_t length) {
    if (const auto read = node.read(context.call(), offset, digest.block(), length); !read)
      return fail(read.error().code, "error while reading at byte ", offset, ": ",
                  errno_text(read.error().code));
    digest.add(length);
    return {};
  }

  static int take(void* opaque, const instar_map_extent* extents, size_t count) noexcept {
    auto& self = *static_cast<Walk*>(opaque);
    try {
      for (size_t i = 0; i < count && self.status; ++i)
        self.status = self.add(extents[i]);
    } catch (const std::exception&) {
      self.status = fail(ENOMEM, errno_text(ENOMEM));
    }
    return self.status ? 0 : -self.status.error().code;
  }
};

}  // namespace

Status add_content(const CommandContext& context, const Image& image,
                   const instar_progress& progress, Digest& digest) {
  Walk walk{context, image.node(), progress, digest, 0, {}};
  INSTAR_TRY(walk.size, walk.node.size());
  if (walk.size != 0) {
    OutgoingCall call(&context.call());
    const int result =
        context.graph().map(image.abi(), call.abi(), 0, walk.size, &walk, &Walk::take);
    INSTAR_CHECK(std::move(walk.status));
    INSTAR_CHECK(call.status(result));
  }
  digest.add_zeroes(round_up(walk.size, kSector) - walk.size);
  return {};
}

}  // namespace instar::hash
