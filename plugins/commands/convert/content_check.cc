// SPDX-License-Identifier: Apache-2.0
#include "plugins/commands/convert/content_check.hpp"

namespace instar::convert {

Status ContentCheck::open() {
  if (!wanted()) return {};
  INSTAR_TRY(digest_, ContentDigest::open(context_.host(), context_.call(), algorithm_));
  return {};
}

void ContentCheck::finish() {
  if (digest_ != nullptr) text_ = digest_->finish();
}

Status ContentCheck::verify(const Image& target, const std::vector<Image>& sources) const {
  INSTAR_TRY(const auto digest, ContentDigest::open(context_.host(), context_.call(), algorithm_));
  instar_image* const images[] = {target.abi()};
  instar_read_job job{};
  job.struct_size = sizeof job;
  job.sources = images;
  job.source_count = digest_->length() != 0 ? 1 : 0;
  job.length = digest_->length();  // a target that was there may be longer
  job.content = digest->receiver();
  OutgoingCall call(&context_.call());
  INSTAR_CHECK(call.status(context_.engine().read(context_.host().abi(), call.abi(), &job)));
  if (digest->finish() == text_) return {};
  return mismatch(target, sources);
}

/** The digests tell that something is wrong; another look may tell where. */
Error ContentCheck::mismatch(const Image& target, const std::vector<Image>& sources) const {
  Error error =
      fail(EIO, "Verification failed: '", arguments_.target, "' does not read as what was copied");
  if (sources.size() != 1) return error;
  instar_compare_result result{};
  result.struct_size = sizeof result;
  OutgoingCall call(&context_.call());
  const int compared = context_.engine().compare(
      context_.host().abi(), call.abi(), sources[0].abi(), target.abi(), 0, nullptr, &result);
  if (compared >= 0 && result.verdict == INSTAR_COMPARE_CONTENT)
    error.hint = cat("It differs from the source at offset ", result.offset, ".");
  return error;
}

}  // namespace instar::convert
