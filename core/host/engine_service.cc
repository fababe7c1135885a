// SPDX-License-Identifier: Apache-2.0
/** @file engine_service.cc The service "instar.engine/1". */
#include "core/engine/compare.hpp"
#include "core/engine/copy.hpp"
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

constexpr instar_engine_ops kOps = {sizeof(instar_engine_ops), 0, &copy, &compare};

}  // namespace

const instar_engine_ops* engine_service() {
  return &kOps;
}

}  // namespace instar::host
