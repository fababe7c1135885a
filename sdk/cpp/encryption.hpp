// SPDX-License-Identifier: Apache-2.0
/**
 * @file encryption.hpp
 * Both sides of an encryption scheme. A provider is a class T with
 *     static Result<std::unique_ptr<T>> open(const Host&, const Call&, const EncryptionArgs&)
 *     Result<std::string> describe(bool with_format)            a JSON object
 *     instar_encryption_info info()
 *     Status encrypt(uint64_t offset, Bytes), decrypt           [any] thread
 * and, when it has a header,
 *     static … create(…)                                        as open
 *     static Result<uint64_t> measure(const Host&, const Call&, const EncryptionArgs&)
 *     Status amend(const Call&, const Options&, const HeaderIo&, bool force)
 * A user writes a HeaderStore, where the header lies, and keeps an Encryption.
 */
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../abi/encryption.h"
#include "bytes.hpp"
#include "call.hpp"
#include "host.hpp"
#include "options.hpp"

namespace instar::sdk {

/** The provider's view of where its header lies. Does not own; valid during the call. */
class HeaderIo {
 public:
  HeaderIo(const instar_header_io* abi, const Call& call) : abi_(abi), call_(call) {}

  Status read(uint64_t offset, Bytes to) const {
    return make([&](instar_call* call) {
      return abi_->read == nullptr ? -EIO
                                   : abi_->read(abi_->opaque, call, offset, to.data(), to.size());
    });
  }
  Status write(uint64_t offset, ConstBytes from) const {
    return make([&](instar_call* call) {
      return abi_->write == nullptr
                 ? -EROFS
                 : abi_->write(abi_->opaque, call, offset, from.data(), from.size());
    });
  }
  Status allocate(uint64_t len) const {
    return make([&](instar_call* call) {
      return abi_->allocate == nullptr ? -EROFS : abi_->allocate(abi_->opaque, call, len);
    });
  }
  Status flush() const {
    return make([&](instar_call* call) {
      return abi_->struct_size < sizeof *abi_ || abi_->flush == nullptr
                 ? 0
                 : abi_->flush(abi_->opaque, call);
    });
  }

 private:
  template <class Make>
  Status make(Make call_of) const {
    if (abi_ == nullptr) return fail(EINVAL, "the encryption header is not given");
    OutgoingCall call(&call_);
    return call.status(call_of(call.abi()));
  }
  const instar_header_io* abi_;
  Call call_;
};

/** instar_encryption_args as a provider reads them. Valid during the call. */
class EncryptionArgs {
 public:
  EncryptionArgs(const instar_encryption_args* abi, const Call& call) : abi_(abi), call_(call) {}

  bool describe_only() const { return (abi_->flags & INSTAR_ENCRYPTION_DESCRIBE) != 0; }
  bool detached() const { return (abi_->flags & INSTAR_ENCRYPTION_DETACHED) != 0; }
  /** An option's name as the user writes it. */
  std::string shown(std::string_view name) const {
    return cat(abi_->option_prefix != nullptr ? abi_->option_prefix : "", name);
  }
  Options options() const { return Options(abi_->options); }
  HeaderIo io() const { return HeaderIo(abi_->io, call_); }

 private:
  const instar_encryption_args* abi_;
  Call call_;
};

/** instar_encryption_ops of T. */
template <class T>
class EncryptionTable {
 public:
  static const instar_encryption_ops* ops() { return &kOps; }

 private:
  static constexpr bool kHasHeader = requires { &T::create; };

  template <class Make>
  static int make(instar_call* abi, void** context, Make make_scheme) noexcept {
    return static_cast<int>(guard(abi, [&](const Call& call) -> Status {
      INSTAR_TRY(std::unique_ptr<T> scheme, make_scheme(call));
      *context = scheme.release();
      return {};
    }));
  }
  static int open(const instar_host* host, instar_call* abi, const instar_encryption_args* args,
                  void** context) noexcept {
    return make(abi, context, [&](const Call& call) {
      return T::open(Host(host), call, EncryptionArgs(args, call));
    });
  }
  static int describe(void* context, instar_call* abi, int with_format,
                      const instar_sink* json) noexcept {
    return static_cast<int>(guard(abi, [&](const Call&) {
      return send(json, static_cast<T*>(context)->describe(with_format != 0));
    }));
  }
  static int info(void* context, instar_call* abi, instar_encryption_info* info) noexcept {
    return static_cast<int>(guard(abi, [&](const Call&) -> Status {
      auto own = static_cast<T*>(context)->info();
      own.struct_size = static_cast<uint32_t>(
          std::min<size_t>(info->struct_size, sizeof(instar_encryption_info)));
      std::memcpy(info, &own, own.struct_size);
      return {};
    }));
  }
  static int encrypt(void* context, instar_call* abi, uint64_t offset, void* data,
                     size_t len) noexcept {
    return static_cast<int>(guard(abi, [&](const Call&) {
      return static_cast<T*>(context)->encrypt(offset, Bytes(static_cast<uint8_t*>(data), len));
    }));
  }
  static int decrypt(void* context, instar_call* abi, uint64_t offset, void* data,
                     size_t len) noexcept {
    return static_cast<int>(guard(abi, [&](const Call&) {
      return static_cast<T*>(context)->decrypt(offset, Bytes(static_cast<uint8_t*>(data), len));
    }));
  }
  static void close(void* context) noexcept { delete static_cast<T*>(context); }

  static constexpr instar_encryption_ops make_ops() {
    instar_encryption_ops ops{};
    ops.struct_size = sizeof ops;
    ops.open = &open;
    ops.describe = &describe;
    ops.info = &info;
    ops.encrypt = &encrypt;
    ops.decrypt = &decrypt;
    ops.close = &close;
    if constexpr (kHasHeader) add_header(ops);
    return ops;
  }
  static constexpr void add_header(instar_encryption_ops& ops) {
    ops.create = [](const instar_host* host, instar_call* abi, const instar_encryption_args* args,
                    void** context) noexcept {
      return make(abi, context, [&](const Call& call) {
        return T::create(Host(host), call, EncryptionArgs(args, call));
      });
    };
    ops.measure = [](const instar_host* host, instar_call* abi, const instar_encryption_args* args,
                     uint64_t* length) noexcept {
      return static_cast<int>(guard(abi, [&](const Call& call) -> Status {
        INSTAR_TRY(*length, T::measure(Host(host), call, EncryptionArgs(args, call)));
        return {};
      }));
    };
    ops.amend = [](void* context, instar_call* abi, const instar_options* options,
                   const instar_header_io* io, int force) noexcept {
      return static_cast<int>(guard(abi, [&](const Call& call) {
        return static_cast<T*>(context)->amend(call, Options(*options), HeaderIo(io, call),
                                               force != 0);
      }));
    };
  }
  static constexpr instar_encryption_ops kOps = make_ops();
};

/** Where a format keeps the header. Errors are told to the user as they are. */
class HeaderStore {
 public:
  virtual ~HeaderStore() = default;
  virtual Status read(const Call&, uint64_t offset, Bytes to) = 0;
  virtual Status write(const Call&, uint64_t offset, ConstBytes from) = 0;
  /** Makes room for a new header; called once, before the first write. */
  virtual Status allocate(const Call&, uint64_t len) = 0;
  /** What was written before is stored before what is written after. */
  virtual Status flush(const Call&) = 0;

  instar_header_io abi() {
    return {sizeof(instar_header_io), 0, this, &do_read, &do_write, &do_allocate, &do_flush};
  }

 private:
  template <class Work>
  static int run(instar_call* abi, Work work) noexcept {
    return static_cast<int>(guard(abi, work));
  }
  static HeaderStore& of(void* opaque) { return *static_cast<HeaderStore*>(opaque); }
  static int do_read(void* self, instar_call* abi, uint64_t offset, void* to, size_t len) noexcept {
    return run(abi, [&](const Call& call) {
      return of(self).read(call, offset, Bytes(static_cast<uint8_t*>(to), len));
    });
  }
  static int do_write(void* self, instar_call* abi, uint64_t offset, const void* from,
                      size_t len) noexcept {
    return run(abi, [&](const Call& call) {
      return of(self).write(call, offset, ConstBytes(static_cast<const uint8_t*>(from), len));
    });
  }
  static int do_allocate(void* self, instar_call* abi, uint64_t len) noexcept {
    return run(abi, [&](const Call& call) { return of(self).allocate(call, len); });
  }
  static int do_flush(void* self, instar_call* abi) noexcept {
    return run(abi, [&](const Call& call) { return of(self).flush(call); });
  }
};

/** What a format asks for. Options go by the scheme's own names. */
struct EncryptionRequest {
  std::string scheme;         ///< "luks", "aes"
  std::string option_prefix;  ///< "encrypt."; what errors put before an option's name
  instar_options options{};   ///< valid during the call
  HeaderStore* header = nullptr;
  uint32_t flags = 0;  ///< enum instar_encryption_flags
};

/** An open scheme; the key is wiped with the object. encrypt, decrypt and describe are for any
 * thread. */
class Encryption {
 public:
  static Result<Encryption> open(const Host& host, const Call& call,
                                 const EncryptionRequest& request) {
    return make(host, call, request, [](const auto& ops) { return ops.open; });
  }
  static Result<Encryption> create(const Host& host, const Call& call,
                                   const EncryptionRequest& request) {
    return make(host, call, request,
                [](const auto& ops) { return ops.create != nullptr ? ops.create : ops.open; });
  }
  /** Length of the header that create would write; 0: the scheme has none. */
  static Result<uint64_t> measure(const Host& host, const Call& call,
                                  const EncryptionRequest& request) {
    INSTAR_TRY(const auto* ops, find(host, request));
    uint64_t length = 0;
    if (ops->measure == nullptr) return length;
    const auto args = args_of(request, nullptr);
    OutgoingCall out(&call);
    INSTAR_CHECK(out.status(ops->measure(host.abi(), out.abi(), &args, &length)));
    return length;
  }

  Encryption() = default;
  Encryption(Encryption&& other) noexcept
      : ops_(std::exchange(other.ops_, nullptr)),
        context_(std::exchange(other.context_, nullptr)),
        info_(other.info_) {}
  Encryption& operator=(Encryption&& other) noexcept {
    std::swap(ops_, other.ops_);
    std::swap(context_, other.context_);
    std::swap(info_, other.info_);
    return *this;
  }
  ~Encryption() {
    if (context_ != nullptr) ops_->close(context_);
  }

  explicit operator bool() const { return context_ != nullptr; }
  uint32_t sector_size() const { return info_.sector_size; }
  uint64_t payload_offset() const { return info_.payload_offset; }

  /** In place; `offset` and the length are multiples of the sector size. */
  Status encrypt(uint64_t offset, Bytes data) const { return run(ops_->encrypt, offset, data); }
  Status decrypt(uint64_t offset, Bytes data) const { return run(ops_->decrypt, offset, data); }

  Result<std::string> describe(bool with_format) const {
    StringSink sink;
    OutgoingCall call;
    if (ops_->describe == nullptr) return fail(ENOTSUP, "the encryption can't be described");
    INSTAR_CHECK(call.status(ops_->describe(context_, call.abi(), with_format, sink.abi())));
    return std::move(sink.text);
  }
  Status amend(const Call& call, const instar_options& options, HeaderStore& header, bool force) {
    if (ops_->amend == nullptr) return fail(ENOTSUP, "Only LUKS encryption options can be amended");
    const auto io = header.abi();
    OutgoingCall out(&call);
    return out.status(ops_->amend(context_, out.abi(), &options, &io, force ? 1 : 0));
  }

 private:
  static Result<const instar_encryption_ops*> find(const Host& host,
                                                   const EncryptionRequest& request) {
    return host.find<instar_encryption_ops>(INSTAR_KIND_ENCRYPTION, request.scheme);
  }
  static instar_encryption_args args_of(const EncryptionRequest& request,
                                        const instar_header_io* io) {
    return {sizeof(instar_encryption_args), request.flags, request.option_prefix.c_str(),
            request.options, io};
  }
  template <class Pick>
  static Result<Encryption> make(const Host& host, const Call& call,
                                 const EncryptionRequest& request, Pick pick) {
    INSTAR_TRY(const auto* ops, find(host, request));
    instar_header_io io{};
    if (request.header != nullptr) io = request.header->abi();
    const auto args = args_of(request, request.header != nullptr ? &io : nullptr);
    Encryption made;
    made.ops_ = ops;
    OutgoingCall out(&call);
    INSTAR_CHECK(out.status(pick(*ops)(host.abi(), out.abi(), &args, &made.context_)));
    made.info_.struct_size = sizeof made.info_;
    if (ops->info != nullptr)
      INSTAR_CHECK(out.status(ops->info(made.context_, out.abi(), &made.info_)));
    return made;
  }
  using Work = int (*)(void*, instar_call*, uint64_t, void*, size_t);
  Status run(Work work, uint64_t offset, Bytes data) const {
    OutgoingCall call;
    return call.status(work(context_, call.abi(), offset, data.data(), data.size()));
  }

  const instar_encryption_ops* ops_ = nullptr;
  void* context_ = nullptr;
  instar_encryption_info info_{sizeof(instar_encryption_info), 512, 0};
};

/** The options that begin with `prefix`, by the rest of their names. Refers to the given ones. */
class SubOptions {
 public:
  SubOptions(const Options& all, std::string_view prefix) {
    for (const auto& option : all) {
      if (!std::string_view(option.name).starts_with(prefix)) continue;
      items_.push_back(option);
      items_.back().name += prefix.size();
    }
  }
  instar_options abi() const { return {items_.data(), items_.size()}; }
  bool empty() const { return items_.empty(); }

 private:
  std::vector<instar_option> items_;
};

}  // namespace instar::sdk
