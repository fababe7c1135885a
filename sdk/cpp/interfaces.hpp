// SPDX-License-Identifier: Apache-2.0
/**
 * @file interfaces.hpp
 * The optional interfaces of a node, from member functions of its class. A class that has the first
 * function of a row offers the interface; the row's others are then needed too, unless they are
 * marked optional. Each is by name, so a wrong signature is a compile error.
 *
 * instar.info/1
 *     Result<std::string> info()                  the JSON text; or void info(JsonWriter&)
 *     Result<uint64_t> allocated_size()           optional
 *     Result<std::string> filename()              optional; "": only options say it
 * instar.map/1
 *     Result<size_t> prepare_write(const Call&, uint64_t offset, uint64_t length,
 *                                  instar_placement* out, size_t max)
 *                                                 0 placements: this must go through write
 *     Status commit_write(const Call&, const instar_placement*, size_t count)
 *     void abort_write(const instar_placement*, size_t count)
 *     or, for a node that is only read: static constexpr bool kPlainReads = true
 * instar.rawfd/1
 *     Status rawfd(instar_rawfd&)
 * instar.permissions/1
 *     Status set_permissions(const Call&, uint32_t used, uint32_t shared)
 * instar.compress/1
 *     Result<int64_t> pack(const Call&, ConstBytes block, Bytes out)   -ENOSPC: not smaller
 *     Status store(const Call&, uint64_t offset, size_t len, ConstBytes packed)
 * instar.snapshot/1
 *     Result<std::string> snapshot_list()
 *     Status snapshot_create(const Call&, std::string_view name, int64_t sec, int32_t nsec)
 *     Status snapshot_apply(const Call&, std::string_view id)
 *     Status snapshot_remove(const Call&, std::string_view id, std::string_view name)
 *     Status snapshot_load(const Call&, std::string_view id)
 * instar.bitmap/1
 *     bitmap_list, bitmap_add, bitmap_remove, bitmap_clear, bitmap_set_enabled, bitmap_walk,
 *     bitmap_set_dirty
 * instar.check/1
 *     Status check(const Call&, uint32_t fix, instar_check_result&, const instar_sink* messages,
 *                  const instar_progress*)
 * instar.amend/1
 *     Status amend(const Call&, const Options&, bool force, const instar_progress*)
 * instar.resize/1
 *     Status resize(const Call&, uint64_t size, uint32_t preallocation, uint32_t flags,
 *                   const instar_progress*)
 * instar.change-backing/1
 *     Status change_backing(const Call&, const char* filename, const char* format)
 *     Status expect_backing(const Call&, const char* identity)       if an identity is recorded
 * instar.make-empty/1
 *     Status make_empty(const Call&)
 * instar.identity/1
 *     Result<std::string> identity()
 *     Result<std::string> next_identity()                            if a write changes it
 * instar.cancel/1
 *     void cancel()
 * instar.debug-event/1
 *     void debug_event(std::string_view name)
 * instar.forward/1
 *     Result<size_t> read_forward(const Call&, uint64_t offset, Bytes)
 *     Status find_size(const Call&, bool keep)
 *
 * A class may also have `bool offers(std::string_view id)` to withdraw an interface for one image.
 */
#pragma once

#include <string>
#include <string_view>

#include "../abi/amend.h"
#include "../abi/bitmap.h"
#include "../abi/cancel.h"
#include "../abi/change_backing.h"
#include "../abi/check.h"
#include "../abi/compress.h"
#include "../abi/debug_event.h"
#include "../abi/forward.h"
#include "../abi/identity.h"
#include "../abi/info.h"
#include "../abi/make_empty.h"
#include "../abi/map.h"
#include "../abi/permissions.h"
#include "../abi/rawfd.h"
#include "../abi/resize.h"
#include "../abi/snapshot.h"
#include "bytes.hpp"
#include "call.hpp"
#include "json_writer.hpp"
#include "options.hpp"
#include "result.hpp"

namespace instar::sdk {

template <class T>
class InterfaceTables {
 public:
  static const void* find(T& node, std::string_view id) noexcept {
    if constexpr (requires { node.offers(id); })
      if (!node.offers(id)) return nullptr;
    return table(id);
  }

 private:
  static T& get(void* self) { return *static_cast<T*>(self); }
  template <class Function>
  static int run(instar_call* abi, Function&& function) noexcept {
    return static_cast<int>(guard(abi, std::forward<Function>(function)));
  }

  static const void* table(std::string_view id) noexcept {
    if constexpr (requires { &T::info; })
      if (id == INSTAR_INFO_ID) return &kInfo<T>;
    if constexpr (
        requires { &T::prepare_write; } || requires { T::kPlainReads; })
      if (id == INSTAR_MAP_ID) return &kMap<T>;
    if constexpr (requires { &T::rawfd; })
      if (id == INSTAR_RAWFD_ID) return &kRawfd<T>;
    if constexpr (requires { &T::set_permissions; })
      if (id == INSTAR_PERMISSIONS_ID) return &kPermissions<T>;
    if constexpr (requires { &T::pack; })
      if (id == INSTAR_COMPRESS_ID) return &kCompress<T>;
    if constexpr (requires { &T::snapshot_list; })
      if (id == INSTAR_SNAPSHOT_ID) return &kSnapshot<T>;
    if constexpr (requires { &T::bitmap_list; })
      if (id == INSTAR_BITMAP_ID) return &kBitmap<T>;
    return maintenance_table(id);
  }
  static const void* maintenance_table(std::string_view id) noexcept {
    if constexpr (requires { &T::check; })
      if (id == INSTAR_CHECK_ID) return &kCheck<T>;
    if constexpr (requires { &T::amend; })
      if (id == INSTAR_AMEND_ID) return &kAmend<T>;
    if constexpr (requires { &T::resize; })
      if (id == INSTAR_RESIZE_ID) return &kResize<T>;
    if constexpr (requires { &T::change_backing; })
      if (id == INSTAR_CHANGE_BACKING_ID) return &kChangeBacking<T>;
    if constexpr (requires { &T::make_empty; })
      if (id == INSTAR_MAKE_EMPTY_ID) return &kMakeEmpty<T>;
    if constexpr (requires { &T::identity; })
      if (id == INSTAR_IDENTITY_ID) return &kIdentity<T>;
    if constexpr (requires { &T::cancel; })
      if (id == INSTAR_CANCEL_ID) return &kCancel<T>;
    if constexpr (requires { &T::debug_event; })
      if (id == INSTAR_DEBUG_EVENT_ID) return &kDebugEvent<T>;
    if constexpr (requires { &T::read_forward; })
      if (id == INSTAR_FORWARD_ID) return &kForward<T>;
    return nullptr;
  }

  static int describe(void* self, instar_call* abi, const instar_sink* sink) noexcept {
    return run(abi, [&](const Call&) -> Status {
      if constexpr (requires(T t, JsonWriter & w) { t.info(w); }) {
        JsonWriter json;
        get(self).info(json);
        return send(sink, json.text());
      } else {
        return send(sink, get(self).info());
      }
    });
  }
  template <class U>
  static constexpr int64_t (*allocated_size_slot())(void*, instar_call*) {
    if constexpr (requires { &U::allocated_size; })
      return [](void* self, instar_call* abi) noexcept -> int64_t {
        return guard(abi, [&](const Call&) { return get(self).allocated_size(); });
      };
    else
      return nullptr;
  }
  template <class U>
  static constexpr int (*filename_slot())(void*, instar_call*, const instar_sink*) {
    if constexpr (requires { &U::filename; })
      return [](void* self, instar_call* abi, const instar_sink* sink) noexcept {
        return run(abi, [&](const Call&) { return send(sink, get(self).filename()); });
      };
    else
      return nullptr;
  }
  template <class U>
  static constexpr instar_info_ops kInfo = {sizeof(instar_info_ops), 0, &describe,
                                            allocated_size_slot<U>(), filename_slot<U>()};

  template <class U>
  static constexpr instar_map_ops make_map() {
    instar_map_ops ops{};
    ops.struct_size = sizeof ops;
    if constexpr (requires { &U::prepare_write; }) {
      ops.prepare_write = [](void* self, instar_call* abi, uint64_t offset, uint64_t length,
                             instar_placement* out, size_t max) noexcept -> int64_t {
        const int64_t n = guard(abi, [&](const Call& call) {
          return get(self).prepare_write(call, offset, length, out, max);
        });
        return n == 0 ? -ENOTSUP : n;
      };
      ops.commit_write = [](void* self, instar_call* abi, const instar_placement* p,
                            size_t n) noexcept {
        return run(abi, [&](const Call& call) { return get(self).commit_write(call, p, n); });
      };
      ops.abort_write = [](void* self, const instar_placement* p, size_t n) noexcept {
        run(nullptr, [&](const Call&) -> Status {
          get(self).abort_write(p, n);
          return {};
        });
      };
    }
    return ops;
  }
  template <class U>
  static constexpr instar_map_ops kMap = make_map<U>();

  template <class U>
  static constexpr instar_rawfd_ops kRawfd = {
      sizeof(instar_rawfd_ops), 0, [](void* self, instar_call* abi, instar_rawfd* out) noexcept {
        return run(abi, [&](const Call&) { return get(self).rawfd(*out); });
      }};

  template <class U>
  static constexpr instar_permissions_ops kPermissions = {
      sizeof(instar_permissions_ops), 0,
      [](void* self, instar_call* abi, uint32_t used, uint32_t shared) noexcept {
        return run(abi,
                   [&](const Call& call) { return get(self).set_permissions(call, used, shared); });
      }};

  template <class U>
  static constexpr instar_compress_ops kCompress = {
      sizeof(instar_compress_ops), 0,
      [](void* self, instar_call* abi, const void* block, size_t len, void* out,
         size_t out_len) noexcept {
        return guard(abi, [&](const Call& call) {
          return get(self).pack(call, ConstBytes(static_cast<const uint8_t*>(block), len),
                                Bytes(static_cast<uint8_t*>(out), out_len));
        });
      },
      [](void* self, instar_call* abi, uint64_t offset, size_t len, const void* packed,
         size_t packed_len) noexcept {
        return run(abi, [&](const Call& call) {
          return get(self).store(call, offset, len,
                                 ConstBytes(static_cast<const uint8_t*>(packed), packed_len));
        });
      }};

  template <class U>
  static constexpr instar_snapshot_ops kSnapshot = {
      sizeof(instar_snapshot_ops),
      0,
      [](void* self, instar_call* abi, const instar_sink* sink) noexcept {
        return run(abi, [&](const Call&) { return send(sink, get(self).snapshot_list()); });
      },
      [](void* self, instar_call* abi, const char* name, int64_t sec, int32_t nsec) noexcept {
        return run(abi, [&](const Call& call) {
          return get(self).snapshot_create(call, name, sec, nsec);
        });
      },
      [](void* self, instar_call* abi, const char* id) noexcept {
        return run(abi, [&](const Call& call) { return get(self).snapshot_apply(call, id); });
      },
      [](void* self, instar_call* abi, const char* id, const char* name) noexcept {
        return run(abi,
                   [&](const Call& call) { return get(self).snapshot_remove(call, id, name); });
      },
      [](void* self, instar_call* abi, const char* id) noexcept {
        return run(abi, [&](const Call& call) { return get(self).snapshot_load(call, id); });
      }};

  template <class U>
  static constexpr instar_bitmap_ops kBitmap = {
      sizeof(instar_bitmap_ops),
      0,
      [](void* self, instar_call* abi, const instar_sink* sink) noexcept {
        return run(abi, [&](const Call&) { return send(sink, get(self).bitmap_list()); });
      },
      [](void* self, instar_call* abi, const char* name, uint32_t granularity,
         int enabled) noexcept {
        return run(abi, [&](const Call& call) {
          return get(self).bitmap_add(call, name, granularity, enabled != 0);
        });
      },
      [](void* self, instar_call* abi, const char* name) noexcept {
        return run(abi, [&](const Call& call) { return get(self).bitmap_remove(call, name); });
      },
      [](void* self, instar_call* abi, const char* name) noexcept {
        return run(abi, [&](const Call& call) { return get(self).bitmap_clear(call, name); });
      },
      [](void* self, instar_call* abi, const char* name, int enabled) noexcept {
        return run(abi, [&](const Call& call) {
          return get(self).bitmap_set_enabled(call, name, enabled != 0);
        });
      },
      [](void* self, instar_call* abi, const char* name, void* opaque,
         instar_bitmap_run_fn each) noexcept {
        return run(
            abi, [&](const Call& call) { return get(self).bitmap_walk(call, name, opaque, each); });
      },
      [](void* self, instar_call* abi, const char* name, uint64_t offset,
         uint64_t length) noexcept {
        return run(abi, [&](const Call& call) {
          return get(self).bitmap_set_dirty(call, name, offset, length);
        });
      }};

  template <class U>
  static constexpr instar_check_ops kCheck = {
      sizeof(instar_check_ops), 0,
      [](void* self, instar_call* abi, uint32_t fix, instar_check_result* result,
         const instar_sink* messages, const instar_progress* progress) noexcept {
        return run(abi, [&](const Call& call) {
          return get(self).check(call, fix, *result, messages, progress);
        });
      }};

  template <class U>
  static constexpr instar_amend_ops kAmend = {
      sizeof(instar_amend_ops), 0,
      [](void* self, instar_call* abi, const instar_options* options, int force,
         const instar_progress* progress) noexcept {
        return run(abi, [&](const Call& call) {
          return get(self).amend(call, Options(*options), force != 0, progress);
        });
      }};

  template <class U>
  static constexpr instar_resize_ops kResize = {
      sizeof(instar_resize_ops), 0,
      [](void* self, instar_call* abi, uint64_t size, uint32_t preallocation, uint32_t flags,
         const instar_progress* progress) noexcept {
        return run(abi, [&](const Call& call) {
          return get(self).resize(call, size, preallocation, flags, progress);
        });
      }};

  template <class U>
  static constexpr auto expect_backing() -> decltype(instar_change_backing_ops::expect_backing) {
    if constexpr (requires { &U::expect_backing; })
      return [](void* self, instar_call* abi, const char* identity) noexcept {
        return run(abi, [&](const Call& call) { return get(self).expect_backing(call, identity); });
      };
    return nullptr;
  }
  template <class U>
  static constexpr instar_change_backing_ops kChangeBacking = {
      sizeof(instar_change_backing_ops), 0,
      [](void* self, instar_call* abi, const char* filename, const char* format) noexcept {
        return run(abi, [&](const Call& call) {
          return get(self).change_backing(call, filename, format);
        });
      },
      expect_backing<U>()};

  template <class U>
  static constexpr instar_make_empty_ops kMakeEmpty = {
      sizeof(instar_make_empty_ops), 0, [](void* self, instar_call* abi) noexcept {
        return run(abi, [&](const Call& call) { return get(self).make_empty(call); });
      }};

  template <class U>
  static constexpr auto next_identity() -> decltype(instar_identity_ops::next_identity) {
    if constexpr (requires { &U::next_identity; })
      return [](void* self, instar_call* abi, const instar_sink* text) noexcept {
        return run(abi, [&](const Call&) { return send(text, get(self).next_identity()); });
      };
    return nullptr;
  }
  template <class U>
  static constexpr instar_identity_ops kIdentity = {
      sizeof(instar_identity_ops), 0,
      [](void* self, instar_call* abi, const instar_sink* text) noexcept {
        return run(abi, [&](const Call&) { return send(text, get(self).identity()); });
      },
      next_identity<U>()};

  template <class U>
  static constexpr instar_cancel_ops kCancel = {sizeof(instar_cancel_ops), 0,
                                                [](void* self) noexcept { get(self).cancel(); }};

  template <class U>
  static constexpr instar_debug_event_ops kDebugEvent = {sizeof(instar_debug_event_ops), 0,
                                                         [](void* self, const char* name) noexcept {
                                                           run(nullptr, [&](const Call&) -> Status {
                                                             get(self).debug_event(name);
                                                             return {};
                                                           });
                                                         }};

  template <class U>
  static constexpr instar_forward_ops kForward = {
      sizeof(instar_forward_ops), 0,
      [](void* self, instar_call* abi, uint64_t offset, void* to, size_t len) noexcept -> int64_t {
        return guard(abi, [&](const Call& call) {
          return get(self).read_forward(call, offset, Bytes(static_cast<uint8_t*>(to), len));
        });
      },
      [](void* self, instar_call* abi, int keep) noexcept {
        return run(abi, [&](const Call& call) { return get(self).find_size(call, keep != 0); });
      }};
};

}  // namespace instar::sdk
