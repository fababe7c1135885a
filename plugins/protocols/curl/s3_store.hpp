// SPDX-License-Identifier: Apache-2.0
/** @file s3_store.hpp Which object of which store, and how requests for it are put. */
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "plugins/protocols/curl/settings.hpp"
#include "plugins/protocols/curl/sigv4.hpp"
#include "plugins/protocols/curl/transfer.hpp"

namespace instar::curl {

/** "s3://BUCKET/KEY". The key is all behind the bucket, as it stands. */
struct S3Name {
  std::string bucket, key;
};
sdk::Result<S3Name> parse_s3_name(std::string_view filename);

/** Signs, and reads what errors say. */
class S3Dialect : public Dialect {
 public:
  S3Dialect(Credentials credentials, std::string region)
      : credentials_(std::move(credentials)), region_(std::move(region)) {}

  std::vector<std::string> headers(const Request& request) const override;
  std::string explain(const Reply& reply, std::string_view body) const override;
  /** Where an answer said that the bucket is, if that is elsewhere; "": none did. */
  std::string other_region() const;

 private:
  const Credentials credentials_;
  const std::string region_;
  mutable std::mutex mutex_;
  mutable std::string other_region_;
};

/** An object, and how to talk of it. */
struct S3Store {
  Settings settings;  ///< whose URL is the object's, in path style
  std::shared_ptr<const S3Dialect> dialect;
  uint64_t part_size = 0;  ///< bytes; 0: as it comes out
};

/**
 * What options leave open, the environment says (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
 * AWS_SESSION_TOKEN, AWS_REGION, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL).
 * @param region to be taken in the place of what was said; "": none.
 */
sdk::Result<S3Store> find_store(const sdk::Host& host, const sdk::Options& options,
                                const S3Name& name, const std::string& region);

/**
 * `work`, and once more in the region that the store names when the bucket is not in the one asked for.
 * @param work gets an S3Store&; a Status, or a Result
 */
template <class Work>
auto in_its_region(const sdk::Host& host, const sdk::Options& options, const S3Name& name,
                   Work work) -> decltype(work(std::declval<S3Store&>())) {
  std::string region;
  for (;;) {
    INSTAR_TRY(S3Store store, find_store(host, options, name, region));
    auto done = work(store);
    if (done || !region.empty()) return done;
    region = store.dialect->other_region();
    if (region.empty()) return done;
  }
}

}  // namespace instar::curl
