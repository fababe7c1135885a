// SPDX-License-Identifier: Apache-2.0
/**
 * @file driver.hpp
 * Formats, protocols and node filters as ordinary classes.
 *
 * A driver class T has `static Result<std::unique_ptr<T>> open(OpenContext&)` and what node.hpp
 * says; it may have
 *     static Status create(CreateContext&)
 *     static int probe(ConstBytes head, std::string_view filename)     formats with "code": true
 *     static Result<instar_measure_result> measure(Host, const Options&, NodeRef source)   formats
 *     static Status remove(Host, const std::string& filename)          protocols
 *     static Result<std::string> stage(const std::string& filename, uint32_t flags)        protocols
 *     static Status settle(const std::string& staged, const std::string& filename, uint32_t flags)
 *     static Status upload(CreateContext&, const UploadSource&)        protocols
 *     static Status stream(Host, const Call&, const Options&, const StreamSource&, const
 *                          instar_content& out)                        formats
 *     static Result<std::string> parse_filename(std::string_view filename)
 *                                              protocols, filters with schemes: gives a flat JSON
 *                                              object of strings
 */
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "../abi/filter.h"
#include "../abi/format.h"
#include "../abi/measure.h"
#include "../abi/open.h"
#include "../abi/protocol.h"
#include "../abi/stream.h"
#include "host.hpp"
#include "node.hpp"
#include "node_ref.hpp"
#include "options.hpp"

namespace instar::sdk {

/** Permissions on a child besides those that its role brings. */
struct MorePermissions {
  uint32_t taken = 0;
  uint32_t unshared = 0;
};

/** What a driver's open works with. Lives during open; `opener()` until close. */
class OpenContext {
 public:
  OpenContext(const instar_host* host, const Call& call, const instar_open_args* args)
      : host_(host), call_(call), args_(args) {}

  Host host() const { return host_; }
  const Call& call() const { return call_; }
  Options options() const { return Options(args_->options); }
  std::string filename() const { return args_->filename; }
  /** Of the node that is opened; "" if the host does not tell. */
  std::string node_name() const {
    const bool told = args_->struct_size >= sizeof *args_ && args_->node_name != nullptr;
    return told ? args_->node_name : "";
  }
  bool writable() const { return (args_->flags & INSTAR_OPEN_WRITE) != 0; }
  bool has_flag(instar_open_flags flag) const { return (args_->flags & flag) != 0; }
  uint32_t flags() const { return args_->flags; }
  const instar_opener* opener() const { return args_->opener; }

  /** The format's own file, or what a filter stands on. */
  Result<NodeRef> file(instar_child_role role = INSTAR_CHILD_FILE) const {
    return child("file", role);
  }

  /** Any child; see instar_child_request. An empty NodeRef for an optional one that is not there.
   */
  Result<NodeRef> child(const char* name, instar_child_role role, const char* reference = nullptr,
                        const char* format = nullptr, uint32_t flags = 0,
                        MorePermissions more = {}) const {
    const instar_child_request request{
        sizeof request, static_cast<uint32_t>(role), name, reference, format, flags, 0, more.taken,
        more.unshared};
    instar_node* node = nullptr;
    uint32_t id = 0;
    OutgoingCall call(&call_);
    const int result = args_->opener->open_child(args_->opener, call.abi(), &request, &node, &id);
    if (result < 0) return call.error(result);
    return NodeRef(node, id);
  }

 private:
  Host host_;
  const Call& call_;
  const instar_open_args* args_;
};

/** What a driver's create works with. */
class CreateContext {
 public:
  CreateContext(const instar_host* host, const Call& call, const instar_create_args* args)
      : host_(host), call_(call), args_(args) {}

  Host host() const { return host_; }
  const Call& call() const { return call_; }
  Options options() const { return Options(args_->options); }
  std::string filename() const { return args_->filename; }

  /** Creates the image's own file (name nullptr) or a further one, of `size` bytes, open for
   * writing. */
  Result<NodeRef> create_file(const char* name = nullptr, uint64_t size = 0) const {
    instar_node* node = nullptr;
    OutgoingCall call(&call_);
    const int result = args_->creator->create_file(args_->creator, call.abi(), name, size, &node);
    if (result < 0) return call.error(result);
    return NodeRef(node);
  }
  Result<NodeRef> open_file(const char* name) const {
    instar_node* node = nullptr;
    OutgoingCall call(&call_);
    const int result = args_->creator->open_file(args_->creator, call.abi(), name, &node);
    if (result < 0) return call.error(result);
    return NodeRef(node);
  }

 private:
  Host host_;
  const Call& call_;
  const instar_create_args* args_;
};

/** create of a protocol whose storage is made elsewhere, when it can't be opened either. */
inline Error creates_nothing(std::string_view driver, const Error& why) {
  return Error{
      why.code,
      cat("Protocol driver '", driver,
          "' does not support creating new images, so an existing image must be selected as "
          "the target; however, opening the given target as an existing image failed: ",
          why.message),
      why.hint};
}

/** What a format's stream is made of. */
class StreamSource {
 public:
  explicit StreamSource(const instar_stream_source& abi) : abi_(abi) {}

  /** Bytes, whole sectors. */
  uint64_t size() const { return abi_.size; }
  /** Where there is data; without its bytes. */
  Status survey(const Call& call, const instar_content& each) const {
    OutgoingCall outgoing(&call);
    return outgoing.status(abi_.survey(abi_.opaque, outgoing.abi(), &each));
  }
  Status read(const Call& call, const instar_content& each) const {
    OutgoingCall outgoing(&call);
    return outgoing.status(abi_.read(abi_.opaque, outgoing.abi(), &each));
  }

 private:
  const instar_stream_source& abi_;
};

/** What a file is made of that is stored as a whole. */
class UploadSource {
 public:
  explicit UploadSource(const instar_upload_source& abi) : abi_(abi) {}

  /** Bytes of the content, which the file has about as many as. */
  uint64_t size() const { return abi_.size; }
  Status read(const Call& call, const instar_content& each) const {
    OutgoingCall outgoing(&call);
    return outgoing.status(abi_.read(abi_.opaque, outgoing.abi(), &each));
  }

 private:
  const instar_upload_source& abi_;
};

namespace detail {
/** The slot for T's parse_filename, or nullptr. */
template <class T>
constexpr int (*filename_parser())(const instar_host*, instar_call*, const char*,
                                   const instar_sink*) {
  if constexpr (requires { &T::parse_filename; })
    return [](const instar_host*, instar_call* abi, const char* filename,
              const instar_sink* json) noexcept {
      return static_cast<int>(
          guard(abi, [&](const Call&) { return send(json, T::parse_filename(filename)); }));
    };
  else
    return nullptr;
}
template <class T>
int open_driver(const instar_host* host, instar_call* abi, const instar_open_args* args,
                instar_node* out) noexcept {
  return static_cast<int>(guard(abi, [&](const Call& call) -> Status {
    OpenContext context(host, call, args);
    INSTAR_TRY(std::unique_ptr<T> node, T::open(context));
    NodeTable<T>::publish(std::move(node), out);
    return {};
  }));
}
template <class T>
int create_driver(const instar_host* host, instar_call* abi,
                  const instar_create_args* args) noexcept {
  return static_cast<int>(guard(abi, [&](const Call& call) -> Status {
    CreateContext context(host, call, args);
    return T::create(context);
  }));
}
}  // namespace detail

/** instar_format_ops of T. */
template <class T>
class FormatTable {
 public:
  static const instar_format_ops* ops() { return &kOps; }

 private:
  static int measure(const instar_host* host, instar_call* abi, const instar_options* options,
                     const instar_node* source, instar_measure_result* result) noexcept {
    return static_cast<int>(guard(abi, [&](const Call&) -> Status {
      INSTAR_TRY(const instar_measure_result measured,
                 T::measure(Host(host), Options(*options), NodeRef(source)));
      const uint32_t size = result->struct_size;
      *result = measured;
      result->struct_size = size;
      return {};
    }));
  }
  static int stream(const instar_host* host, instar_call* abi, const instar_options* options,
                    const instar_stream_source* source, const instar_content* out) noexcept {
    return static_cast<int>(guard(abi, [&](const Call& call) {
      return T::stream(Host(host), call, Options(*options), StreamSource(*source), *out);
    }));
  }
  static const void* get_interface(const char* id) noexcept {
    if constexpr (requires { &T::measure; }) {
      static constexpr instar_measure_ops kMeasure = {sizeof(instar_measure_ops), 0, &measure};
      if (std::string_view(id) == INSTAR_MEASURE_ID) return &kMeasure;
    }
    if constexpr (requires { &T::stream; }) {
      static constexpr instar_stream_ops kStream = {sizeof(instar_stream_ops), 0, &stream};
      if (std::string_view(id) == INSTAR_STREAM_ID) return &kStream;
    }
    (void)id;
    return nullptr;
  }
  static constexpr instar_format_ops make() {
    instar_format_ops ops{};
    ops.struct_size = sizeof ops;
    if constexpr (requires { &T::probe; })
      ops.probe = [](const instar_host*, const uint8_t* head, size_t len,
                     const char* filename) noexcept {
        return T::probe(ConstBytes(head, len), filename);
      };
    ops.open = &detail::open_driver<T>;
    if constexpr (requires { &T::create; }) ops.create = &detail::create_driver<T>;
    ops.get_interface = &get_interface;
    return ops;
  }
  static constexpr instar_format_ops kOps = make();
};

/** instar_protocol_ops of T. */
template <class T>
class ProtocolTable {
 public:
  static const instar_protocol_ops* ops() { return &kOps; }

 private:
  static constexpr instar_protocol_ops make() {
    instar_protocol_ops ops{};
    ops.struct_size = sizeof ops;
    ops.parse_filename = detail::filename_parser<T>();
    ops.open = &detail::open_driver<T>;
    if constexpr (requires { &T::create; }) ops.create = &detail::create_driver<T>;
    if constexpr (requires { &T::remove; })
      ops.remove = [](const instar_host* host, instar_call* abi, const char* filename) noexcept {
        return static_cast<int>(
            guard(abi, [&](const Call&) { return T::remove(Host(host), std::string(filename)); }));
      };
    if constexpr (requires { &T::stage; }) {
      ops.stage = [](const instar_host*, instar_call* abi, const char* filename, uint32_t flags,
                     const instar_sink* name) noexcept {
        return static_cast<int>(guard(
            abi, [&](const Call&) { return send(name, T::stage(std::string(filename), flags)); }));
      };
      ops.settle = [](const instar_host*, instar_call* abi, const char* staged,
                      const char* filename, uint32_t flags) noexcept {
        return static_cast<int>(guard(abi, [&](const Call&) {
          return T::settle(std::string(staged), std::string(filename), flags);
        }));
      };
    }
    if constexpr (requires { &T::upload; })
      ops.upload = [](const instar_host* host, instar_call* abi, const instar_create_args* args,
                      const instar_upload_source* source) noexcept {
        return static_cast<int>(guard(abi, [&](const Call& call) {
          CreateContext context(host, call, args);
          return T::upload(context, UploadSource(*source));
        }));
      };
    return ops;
  }
  static constexpr instar_protocol_ops kOps = make();
};

/** instar_filter_ops of T. */
template <class T>
class FilterTable {
 public:
  static const instar_filter_ops* ops() { return &kOps; }

 private:
  static constexpr instar_filter_ops kOps = {sizeof(instar_filter_ops), 0, &detail::open_driver<T>,
                                             detail::filename_parser<T>()};
};

}  // namespace instar::sdk
