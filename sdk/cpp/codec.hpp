// SPDX-License-Identifier: Apache-2.0
/**
 * @file codec.hpp
 * Both sides of a codec. A provider is a class T with
 *     static Result<std::unique_ptr<T>> open(const instar_codec_params&)
 *     Result<int64_t> compress(ConstBytes in, Bytes out)      -ENOSPC when it does not fit
 *     Result<int64_t> decompress(ConstBytes in, Bytes out)
 *     static size_t bound(size_t in_len)
 * A user keeps a CodecPool, from which every thread borrows a context.
 */
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "../abi/codec.h"
#include "bytes.hpp"
#include "host.hpp"

namespace instar::sdk {

/** instar_codec_ops of T. */
template <class T>
class CodecTable {
 public:
  static const instar_codec_ops* ops() { return &kOps; }

 private:
  static constexpr instar_codec_ops kOps = {
      sizeof(instar_codec_ops),
      0,
      [](const instar_host*, instar_call* abi, const instar_codec_params* params,
         void** context) noexcept {
        return static_cast<int>(guard(abi, [&](const Call&) -> Status {
          INSTAR_TRY(std::unique_ptr<T> codec, T::open(*params));
          *context = codec.release();
          return {};
        }));
      },
      [](void* context) noexcept { delete static_cast<T*>(context); },
      [](void* context, instar_call* abi, const void* in, size_t in_len, void* out,
         size_t out_len) noexcept {
        return guard(abi, [&](const Call&) {
          return static_cast<T*>(context)->compress(
              ConstBytes(static_cast<const uint8_t*>(in), in_len),
              Bytes(static_cast<uint8_t*>(out), out_len));
        });
      },
      [](void* context, instar_call* abi, const void* in, size_t in_len, void* out,
         size_t out_len) noexcept {
        return guard(abi, [&](const Call&) {
          return static_cast<T*>(context)->decompress(
              ConstBytes(static_cast<const uint8_t*>(in), in_len),
              Bytes(static_cast<uint8_t*>(out), out_len));
        });
      },
      [](size_t in_len) noexcept { return T::bound(in_len); }};
};

/** Contexts of one codec with equal parameters. Thread-safe. */
class CodecPool {
 public:
  static Result<std::unique_ptr<CodecPool>> open(const Host& host, const std::string& name,
                                                 const instar_codec_params& params) {
    INSTAR_TRY(const instar_codec_ops* ops, host.find<instar_codec_ops>(INSTAR_KIND_CODEC, name));
    return std::unique_ptr<CodecPool>(new CodecPool(host, ops, params));
  }
  ~CodecPool() {
    for (void* context : idle_)
      ops_->close(context);
  }
  CodecPool(const CodecPool&) = delete;
  CodecPool& operator=(const CodecPool&) = delete;

  size_t bound(size_t in_len) const { return ops_->bound(in_len); }

  /** Compressed length, or -ENOSPC. */
  Result<int64_t> compress(ConstBytes in, Bytes out) { return run(ops_->compress, in, out); }
  /** Bytes written. */
  Result<int64_t> decompress(ConstBytes in, Bytes out) { return run(ops_->decompress, in, out); }

 private:
  using Work = int64_t (*)(void*, instar_call*, const void*, size_t, void*, size_t);

  CodecPool(const Host& host, const instar_codec_ops* ops, const instar_codec_params& params)
      : host_(host), ops_(ops), params_(params) {
    params_.struct_size = sizeof params_;
  }
  Result<int64_t> run(Work work, ConstBytes in, Bytes out) {
    INSTAR_TRY(void* context, borrow());
    OutgoingCall call;
    const int64_t n = work(context, call.abi(), in.data(), in.size(), out.data(), out.size());
    give_back(context);
    if (n < 0 && n != -ENOSPC) return call.error(n);
    return n;
  }
  Result<void*> borrow() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        void* context = idle_.back();
        idle_.pop_back();
        return context;
      }
    }
    void* context = nullptr;
    OutgoingCall call;
    const int result = ops_->open(host_.abi(), call.abi(), &params_, &context);
    if (result < 0) return call.error(result);
    return context;
  }
  void give_back(void* context) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(context);
  }

  Host host_;
  const instar_codec_ops* ops_;
  instar_codec_params params_;
  std::mutex mutex_;
  std::vector<void*> idle_;
};

}  // namespace instar::sdk
