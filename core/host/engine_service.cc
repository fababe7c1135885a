// SPDX-License-Identifier: Apache-2.0
/** @file engine_service.cc The service "instar.engine/1". */
#include "core/engine/compare.hpp"
#include "core/engine/copy.hpp"
#include "core/engine/rebase.hpp"
#include "core/host/image.hpp"
#include "core/host/services.hpp"
#include "sdk/cpp/call.hpp"

namespace instar::host {

namespace {

using sdk::Call;
using sdk::guard;

block::Node* node_of(const instar_image* image) {
  return image != nullptr ? image->node.get() : nullptr;
}

int copy(const instar_host*, instar_call* abi, const instar_copy_job* wanted) noexcept {
  return static_cast<int>(guard(abi, [&](const Call& call) {
    engine::CopyJob job;
    for (size_t i = 0; i < wanted->source_count; ++i)
      job.sources.push_back(node_of(wanted->sources[i]));
    job.target = node_of(wanted->target);
    job.target_backing = node_of(wanted->target_backing);
    job.flags = wanted->flags;
    job.min_sparse = wanted->min_sparse;
    job.rate = wanted->rate;
    job.workers = wanted->workers;
    job.progress = wanted->progress;
    if (wanted->struct_size >= sizeof(instar_copy_job)) {
      job.source_offset = wanted->source_offset;
      job.length = wanted->length;
    }
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

constexpr instar_engine_ops kOps = {
    sizeof(instar_engine_ops), 0, &copy, &compare, &commit, &rebase};

}  // namespace

const instar_engine_ops* engine_service() {
  return &kOps;
}

}  // namespace instar::host
