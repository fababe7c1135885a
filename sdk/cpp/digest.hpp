// SPDX-License-Identifier: Apache-2.0
/**
 * @file digest.hpp
 * Both sides of a digest. A provider is a class T with
 *     static Result<std::unique_ptr<T>> open()
 *     void update(ConstBytes)
 *     int64_t finish(Bytes out)      the length; -ENOSPC when it does not fit
 * A user has a ContentDigest.
 */
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "../abi/content.h"
#include "../abi/digest.h"
#include "bytes.hpp"
#include "host.hpp"
#include "json_reader.hpp"

namespace instar::sdk {

/** instar_digest_ops of T. */
template <class T>
class DigestTable {
 public:
  static const instar_digest_ops* ops() { return &kOps; }

 private:
  static constexpr instar_digest_ops kOps = {
      sizeof(instar_digest_ops),
      0,
      [](const instar_host*, instar_call* abi, void** context) noexcept {
        return static_cast<int>(guard(abi, [&](const Call&) -> Status {
          INSTAR_TRY(std::unique_ptr<T> digest, T::open());
          *context = digest.release();
          return {};
        }));
      },
      [](void* context) noexcept { delete static_cast<T*>(context); },
      [](void* context, const void* data, size_t len) noexcept {
        static_cast<T*>(context)->update(ConstBytes(static_cast<const uint8_t*>(data), len));
      },
      [](void* context, void* out, size_t out_len) noexcept {
        return static_cast<T*>(context)->finish(Bytes(static_cast<uint8_t*>(out), out_len));
      }};
};

/** The digest of content that comes in order. Not thread-safe; does not move. */
class ContentDigest {
 public:
  /** @param call tells when the work is cancelled; outlives this. The error names what is missing. */
  static Result<std::unique_ptr<ContentDigest>> open(const Host& host, const Call& call,
                                                     const std::string& algorithm) {
    const auto found = host.find<instar_digest_ops>(INSTAR_KIND_DIGEST, algorithm);
    if (!found)
      return Error{EINVAL, cat("Unknown hash algorithm '", algorithm, "'"),
                   cat("There are: ", names(host))};
    const instar_digest_ops* ops = *found;
    void* context = nullptr;
    OutgoingCall opening(&call);
    INSTAR_CHECK(opening.status(ops->open(host.abi(), opening.abi(), &context)));
    return std::unique_ptr<ContentDigest>(new ContentDigest(call, ops, context));
  }
  ~ContentDigest() { ops_->close(context_); }
  ContentDigest(const ContentDigest&) = delete;
  ContentDigest& operator=(const ContentDigest&) = delete;

  /** The digests that there are, separated by blanks. */
  static std::string names(const Host& host) {
    StringSink plugins;
    OutgoingCall call;
    const auto* registry = host.service<instar_registry_ops>(INSTAR_REGISTRY_ID);
    if (registry == nullptr || registry->list(host.abi(), call.abi(), plugins.abi()) < 0) return {};
    std::string names;
    JsonObject::each_item(plugins.text, [&](std::string_view plugin) {
      JsonObject::each_item(JsonObject(plugin).find("provides").value_or("[]"),
                            [&](std::string_view item) {
                              const JsonObject provide(item);
                              if (provide.string("kind") != "digest") return;
                              names += (names.empty() ? "" : " ") + *provide.string("name");
                            });
    });
    return names;
  }
  /** What hands content over to this. */
  instar_content receiver() { return {this, &take_data, &take_zeroes}; }
  void add(ConstBytes bytes) {
    ops_->update(context_, bytes.data(), bytes.size());
    length_ += bytes.size();
  }
  /** Bytes that came so far. */
  uint64_t length() const { return length_; }
  /** False: cancelled meanwhile. */
  bool add_zeroes(uint64_t length) {
    static constexpr std::array<uint8_t, 64 << 10> kZeroes{};
    for (; length > 0 && !call_.cancelled(); length -= std::min<uint64_t>(length, kZeroes.size()))
      add(ConstBytes(kZeroes.data(), std::min<uint64_t>(length, kZeroes.size())));
    return length == 0;
  }
  /** Lower-case hexadecimal digits; once. */
  std::string finish() {
    std::array<uint8_t, 64> out{};
    const int64_t length = ops_->finish(context_, out.data(), out.size());
    std::string text;
    for (int64_t i = 0; i < std::min<int64_t>(length, out.size()); ++i)
      for (const int shift : {4, 0})
        text += "0123456789abcdef"[out[static_cast<size_t>(i)] >> shift & 15];
    return text;
  }

 private:
  ContentDigest(const Call& call, const instar_digest_ops* ops, void* context)
      : call_(call), ops_(ops), context_(context) {}

  static int take_data(void* opaque, const void* bytes, size_t len) {
    static_cast<ContentDigest*>(opaque)->add(ConstBytes(static_cast<const uint8_t*>(bytes), len));
    return 0;
  }
  static int take_zeroes(void* opaque, uint64_t len) {
    return static_cast<ContentDigest*>(opaque)->add_zeroes(len) ? 0 : -ECANCELED;
  }

  const Call& call_;
  const instar_digest_ops* ops_;
  void* context_;
  uint64_t length_ = 0;
};

}  // namespace instar::sdk
