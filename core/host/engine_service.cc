// SPDX-License-Identifier: Apache-2.0
/** @file engine_service.cc The service "instar.engine/1". */
#include <algorithm>
#include <cstring>
#include <vector>

#include "core/engine/compare.hpp"
#include "core/engine/copy.hpp"
#include "core/engine/read_content.hpp"
#include "core/engine/rebase.hpp"
#include "core/host/image.hpp"
#include "core/host/services.hpp"
#include "core/host/session.hpp"
#include "sdk/cpp/call.hpp"

namespace instar::host {

namespace {

using sdk::Call;
using sdk::guard;

block::Node* node_of(const instar_image* image) {
  return image != nullptr ? image->node.get() : nullptr;
}

std::vector<block::Node*> nodes_of(instar_image* const* images, size_t count) {
  std::vector<block::Node*> nodes;
  for (size_t i = 0; i < count; ++i)
    nodes.push_back(node_of(images[i]));
  return nodes;
}

/** What an older caller does not know is zero. */
template <class Job>
Job whole(const Job* given) {
  Job job{};
  std::memcpy(&job, given, std::min<size_t>(given->struct_size, sizeof job));
  return job;
}

int copy(const instar_host*, instar_call* abi, const instar_copy_job* given) noexcept {
  return static_cast<int>(guard(abi, [&](const Call& call) {
    const instar_copy_job wanted = whole(given);
    engine::CopyJob job;
    job.sources = nodes_of(wanted.sources, wanted.source_count);
    job.target = node_of(wanted.target);
    job.target_backing = node_of(wanted.target_backing);
    job.flags = wanted.flags;
    job.min_sparse = wanted.min_sparse;
    job.rate = wanted.rate;
    job.workers = wanted.workers;
    job.progress = wanted.progress;
    job.source_offset = wanted.source_offset;
    job.length = wanted.length;
    job.content = wanted.content;
    job.source_fd = wanted.source_fd;
    return engine::copy(call, job);
  }));
}

int compare(const instar_host*, instar_call* abi, instar_image* a, instar_image* b, int strict,
            const instar_progress* progress, instar_compare_result* result) noexcept {
  return static_cast<int>(guard(abi, [&](const Call& call) {
    engine::CompareJob job;
    job.a = node_of(a);
    job.b = node_of(b);
    job.strict = strict != 0;
    if (progress != nullptr) job.progress = *progress;
    return engine::compare(call, job, result);
  }));
}

int commit(const instar_host*, instar_call* abi, const instar_commit_job* wanted) noexcept {
  return static_cast<int>(guard(abi, [&](const Call& call) {
    engine::CopyJob job;
    job.sources.push_back(node_of(wanted->source));
    job.target = node_of(wanted->target);
    job.base = node_of(wanted->base);
    job.min_sparse = 0;
    job.rate = wanted->rate;
    job.workers = wanted->workers;
    job.progress = wanted->progress;
    return engine::copy(call, job);
  }));
}

int rebase(const instar_host*, instar_call* abi, const instar_rebase_job* wanted) noexcept {
  return static_cast<int>(guard(abi, [&](const Call& call) {
    engine::RebaseJob job;
    job.image = node_of(wanted->image);
    job.new_backing = node_of(wanted->new_backing);
    job.common = node_of(wanted->common);
    job.compressed = (wanted->flags & INSTAR_COPY_COMPRESSED) != 0;
    job.workers = wanted->workers;
    job.progress = wanted->progress;
    return engine::rebase(call, job);
  }));
}

int read(const instar_host*, instar_call* abi, const instar_read_job* given) noexcept {
  return static_cast<int>(guard(abi, [&](const Call& call) {
    const instar_read_job wanted = whole(given);
    engine::ReadJob job;
    job.sources = nodes_of(wanted.sources, wanted.source_count);
    job.length = wanted.length;
    job.flags = wanted.flags;
    job.workers = wanted.workers;
    job.progress = wanted.progress;
    job.content = wanted.content;
    return engine::read_content(call, job);
  }));
}

/** The same content for two receivers. */
class Fork {
 public:
  Fork(const instar_content& first, const instar_content& second)
      : first_(first), second_(second) {}
  instar_content receiver() { return {this, &data, &zeroes}; }

 private:
  static int data(void* opaque, const void* bytes, size_t len) {
    const auto& self = *static_cast<Fork*>(opaque);
    const int result = self.first_.data(self.first_.opaque, bytes, len);
    return result < 0 ? result : self.second_.data(self.second_.opaque, bytes, len);
  }
  static int zeroes(void* opaque, uint64_t len) {
    const auto& self = *static_cast<Fork*>(opaque);
    const int result = self.first_.zeroes(self.first_.opaque, len);
    return result < 0 ? result : self.second_.zeroes(self.second_.opaque, len);
  }

  const instar_content first_;
  const instar_content second_;
};

/** The images of a stream job, as the format sees them. */
class StreamContent {
 public:
  explicit StreamContent(const instar_stream_job& wanted) : wanted_(wanted) {
    job_.sources = nodes_of(wanted.sources, wanted.source_count);
    job_.flags = wanted.flags & ~uint32_t{INSTAR_COPY_COMPRESSED};
    job_.rate = wanted.rate;
  }
  Result<uint64_t> size() const { return engine::content_size(job_.sources); }
  instar_stream_source source(uint64_t size) {
    return {sizeof(instar_stream_source), 0, this, size, &survey, &read};
  }

 private:
  static int survey(void* opaque, instar_call* abi, const instar_content* each) {
    return static_cast<int>(guard(abi, [&](const Call& call) {
      engine::ReadJob job = static_cast<StreamContent*>(opaque)->job_;
      job.status_only = true;
      job.content = *each;
      return engine::read_content(call, job);
    }));
  }
  static int read(void* opaque, instar_call* abi, const instar_content* each) {
    return static_cast<int>(guard(abi, [&](const Call& call) {
      auto& self = *static_cast<StreamContent*>(opaque);
      Fork fork(*each, self.wanted_.content);
      engine::ReadJob job = self.job_;
      job.content = *each;
      // A format may read all of it more than once.
      if (!std::exchange(self.shown_, true)) {
        job.progress = self.wanted_.progress;
        if (self.wanted_.content.data != nullptr) job.content = fork.receiver();
      }
      return engine::read_content(call, job);
    }));
  }

  const instar_stream_job& wanted_;
  engine::ReadJob job_;
  bool shown_ = false;  ///< who wants to see the content, or progress, did
};

int stream(const instar_host*, instar_call* abi, const instar_stream_job* given) noexcept {
  return static_cast<int>(guard(abi, [&](const Call& call) -> Status {
    const instar_stream_job wanted = whole(given);
    StreamContent content(wanted);
    INSTAR_TRY(const uint64_t size, content.size());
    block::StreamSpec spec;
    spec.format = wanted.format;
    if (wanted.options != nullptr) spec.options = wanted.options;
    spec.compress = (wanted.flags & INSTAR_COPY_COMPRESSED) != 0;
    if (wanted.filename != nullptr) spec.filename = wanted.filename;
    spec.out = wanted.out;
    return Session::current().graph().stream(call, spec, content.source(size));
  }));
}

constexpr instar_engine_ops kOps = {
    sizeof(instar_engine_ops), 0, &copy, &compare, &commit, &rebase, &read, &stream};

}  // namespace

const instar_engine_ops* engine_service() {
  return &kOps;
}

}  // namespace instar::host
