// SPDX-License-Identifier: Apache-2.0
/**
 * @file testing.hpp
 * For unit tests of drivers: stands in for the host around one driver. Children are what the test
 * gives, usually a MemoryNode; what the real host adds (alignment, bouncing, emulation) is not
 * there.
 */
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "../abi/host.h"
#include "../abi/objects.h"
#include "../abi/open.h"
#include "call.hpp"
#include "driver.hpp"
#include "node.hpp"
#include "node_ref.hpp"
#include "power_cut.hpp"

namespace instar::sdk::testing {

/** A growable disk in memory. It may be shared by several nodes; thread-safe. */
struct MemoryDisk {
  std::mutex mutex;
  std::vector<uint8_t> bytes;
  uint64_t reads = 0, writes = 0, zeroes = 0, discards = 0, flushes = 0, resizes = 0;
  int fail_with = 0;           ///< not 0: every request fails with this errno
  uint64_t room = UINT64_MAX;  ///< it can't be longer
  Journal* journal = nullptr;  ///< where changes are recorded, if anywhere; one thread then
  uint32_t number = 0;         ///< of this disk there
};

class MemoryNode {
 public:
  static constexpr instar_thread_model kThreads = INSTAR_THREADS_PARALLEL;
  explicit MemoryNode(std::shared_ptr<MemoryDisk> disk) : disk_(std::move(disk)) {}

  uint64_t size() const {
    const std::lock_guard lock(disk_->mutex);
    return disk_->bytes.size();
  }
  Status read(const Call&, uint64_t offset, IoVec to) {
    return request(disk_->reads, [&]() -> Status {
      const auto& bytes = disk_->bytes;
      const uint64_t length = to.length();
      const uint64_t inside =
          offset < bytes.size() ? std::min<uint64_t>(length, bytes.size() - offset) : 0;
      to.copy_in(0, bytes.data() + offset, inside);
      to.fill_zero(inside, length - inside);
      return {};
    });
  }
  Status write(const Call&, uint64_t offset, IoVec from, uint32_t) {
    return request(disk_->writes, [&]() -> Status {
      INSTAR_CHECK(reach(offset, from.length()));
      from.copy_out(0, disk_->bytes.data() + offset, from.length());
      note_write(offset, from.length());
      return {};
    });
  }
  Status write_zeroes(const Call&, uint64_t offset, uint64_t length, uint32_t) {
    return request(disk_->zeroes, [&]() -> Status {
      INSTAR_CHECK(reach(offset, length));
      std::fill_n(disk_->bytes.begin() + static_cast<int64_t>(offset), length, uint8_t{0});
      note_write(offset, length);
      return {};
    });
  }
  Status discard(const Call&, uint64_t, uint64_t) {
    return request(disk_->discards, []() -> Status { return {}; });
  }
  Status flush(const Call&) {
    return request(disk_->flushes, [&]() -> Status {
      note(Journal::Kind::kFlush, 0);
      return {};
    });
  }
  Status resize(const Call&, uint64_t size, uint32_t, uint32_t, const instar_progress*) {
    return request(disk_->resizes, [&]() -> Status {
      if (size > disk_->room) return fail(ENOSPC, errno_text(ENOSPC));
      disk_->bytes.resize(size);
      note(Journal::Kind::kResize, size);
      return {};
    });
  }
  /** Sectors of zeroes are holes. */
  Result<size_t> extents(const Call&, uint64_t offset, uint64_t length, instar_extent* out,
                         size_t max) {
    const std::lock_guard lock(disk_->mutex);
    size_t count = 0;
    for (uint64_t at = offset; at < offset + length;) {
      const uint64_t n = std::min(512 - at % 512, offset + length - at);
      const uint32_t flags = INSTAR_EXTENT_ALLOCATED | INSTAR_EXTENT_OFFSET |
                             (hole(at, n) ? INSTAR_EXTENT_ZERO : INSTAR_EXTENT_DATA);
      if (count > 0 && out[count - 1].flags == flags) {
        out[count - 1].length += n;
      } else {
        if (count == max) break;
        out[count++] = {n, at, flags, 0};
      }
      at += n;
    }
    return count;
  }

 private:
  template <class Work>
  Status request(uint64_t& counter, Work work) {
    const std::lock_guard lock(disk_->mutex);
    ++counter;
    if (disk_->fail_with != 0) return fail(disk_->fail_with, errno_text(disk_->fail_with));
    return work();
  }
  void note(Journal::Kind kind, uint64_t offset, std::vector<uint8_t> data = {}) {
    if (disk_->journal != nullptr)
      disk_->journal->add({kind, disk_->number, offset, std::move(data)});
  }
  void note_write(uint64_t offset, uint64_t length) {
    if (disk_->journal == nullptr) return;
    const uint8_t* data = disk_->bytes.data() + offset;
    note(Journal::Kind::kWrite, offset, std::vector<uint8_t>(data, data + length));
  }
  Status reach(uint64_t offset, uint64_t length) {
    if (length > disk_->room || offset > disk_->room - length)
      return fail(ENOSPC, errno_text(ENOSPC));
    if (disk_->bytes.size() < offset + length) disk_->bytes.resize(offset + length);
    return {};
  }
  bool hole(uint64_t at, uint64_t length) const {
    const auto& bytes = disk_->bytes;
    if (at >= bytes.size()) return true;
    return is_zero(bytes.data() + at, std::min<uint64_t>(length, bytes.size() - at));
  }
  std::shared_ptr<MemoryDisk> disk_;
};

/** An open node of a driver; closed with the object. */
class OwnedNode {
 public:
  OwnedNode() = default;
  explicit OwnedNode(instar_node node) : node_(node) {}
  OwnedNode(OwnedNode&& other) noexcept : node_(std::exchange(other.node_, instar_node{})) {}
  OwnedNode& operator=(OwnedNode&& other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~OwnedNode() {
    if (node_.ops != nullptr) (void)static_cast<bool>(close());
  }
  NodeRef ref() const { return NodeRef(&node_); }
  const instar_node* abi() const { return &node_; }
  Status close() {
    OutgoingCall call;
    const auto node = std::exchange(node_, instar_node{});
    return call.status(node.ops->close(node.self, call.abi()));
  }

 private:
  instar_node node_{};
};

inline OwnedNode memory_node(std::shared_ptr<MemoryDisk> disk) {
  instar_node node{};
  NodeTable<MemoryNode>::publish(std::make_unique<MemoryNode>(std::move(disk)), &node);
  return OwnedNode(node);
}

/** Options as the host gives them to a driver. */
class OptionList {
 public:
  OptionList& text(std::string name, std::string value) {
    return add(std::move(name), std::move(value), 0, INSTAR_OPTION_STRING);
  }
  OptionList& flag(std::string name, bool value) {
    return add(std::move(name), value ? "on" : "off", value ? 1 : 0, INSTAR_OPTION_BOOL);
  }
  OptionList& number(std::string name, uint64_t value,
                     instar_option_type type = INSTAR_OPTION_SIZE) {
    return add(std::move(name), std::to_string(value), value, type);
  }
  /** Valid until the list changes or goes. */
  instar_options abi() const {
    items_.clear();
    for (const auto& entry : entries_)
      items_.push_back({entry.name.c_str(), entry.text.c_str(), entry.number,
                        static_cast<uint32_t>(entry.type), 0});
    return {items_.data(), items_.size()};
  }

 private:
  struct Entry {
    std::string name, text;
    uint64_t number;
    instar_option_type type;
  };
  OptionList& add(std::string name, std::string text, uint64_t number, instar_option_type type) {
    entries_.push_back({std::move(name), std::move(text), number, type});
    return *this;
  }
  std::vector<Entry> entries_;
  mutable std::vector<instar_option> items_;
};

/** A host with no services but objects, and the other side of open and create. */
class FakeHost {
 public:
  FakeHost() {
    host_.struct_size = sizeof host_;
    host_.opaque = this;
    host_.get_interface = [](const instar_host* host, const char* id) noexcept -> const void* {
      const auto& services = of(host).services;
      const auto found = services.find(id);
      return found != services.end() ? found->second : nullptr;
    };
    host_.log = [](const instar_host*, int, const char*, size_t) noexcept {};
    host_.next = [](const instar_host*, instar_call*, uint32_t, const char*,
                    const void*) noexcept -> const void* { return nullptr; };
    services[INSTAR_OBJECTS_ID] = &kObjects;
  }
  FakeHost(const FakeHost&) = delete;
  FakeHost& operator=(const FakeHost&) = delete;

  const instar_host* abi() const { return &host_; }

  /** What a driver asks the opener for; `role_of` remembers as what. */
  std::map<std::string, const instar_node*> children;
  std::map<std::string, uint32_t> role_of;
  /** Services by id. */
  std::map<std::string, const void*, std::less<>> services;
  /** Objects' JSON by id. */
  std::map<std::string, std::string, std::less<>> objects;
  /** Secrets' bytes by id. */
  std::map<std::string, std::string, std::less<>> secrets;
  /** Warnings of all calls. */
  std::vector<std::string> warnings;

  /** Opens by a driver table's open. */
  template <class Ops>
  Result<OwnedNode> open(const Ops* ops, const std::string& filename, uint32_t flags = 0,
                         const OptionList& options = {}) {
    opener_ = {sizeof opener_, 0, this, &FakeHost::open_child};
    const instar_open_args args{sizeof args,   flags,    filename.c_str(),
                                options.abi(), &opener_, nullptr};
    instar_node node{};
    Caller caller(*this);
    const int result = ops->open(&host_, caller.abi(), &args, &node);
    if (result < 0) return caller.error(result);
    return OwnedNode(node);
  }
  /** Creates; files come from `file` (the image's own). */
  template <class Ops>
  Status create(const Ops* ops, const std::string& filename, const OptionList& options = {}) {
    const instar_creator creator{sizeof creator, 0, this, &FakeHost::create_file, nullptr};
    const instar_create_args args{sizeof args, 0, filename.c_str(), options.abi(), &creator};
    Caller caller(*this);
    const int result = ops->create(&host_, caller.abi(), &args);
    if (result < 0) return caller.error(result);
    return {};
  }
  /** Sizes that a driver's create asked files of. */
  std::vector<uint64_t> created_sizes;

 private:
  static FakeHost& of(const instar_host* host) { return *static_cast<FakeHost*>(host->opaque); }

  /** An OutgoingCall whose warnings are kept. */
  class Caller {
   public:
    explicit Caller(FakeHost& host) : call_(&parent_) {
      warner_.struct_size = sizeof warner_;
      warner_.opaque = &host;
      warner_.warn = [](instar_call* call, const char* text, size_t len) noexcept {
        static_cast<FakeHost*>(call->opaque)->warnings.emplace_back(text, len);
      };
    }
    instar_call* abi() { return call_.abi(); }
    Error error(int64_t result) { return call_.error(result); }

   private:
    instar_call warner_{};
    Call parent_{&warner_};
    OutgoingCall call_;
  };

  static int open_child(const instar_opener* opener, instar_call*,
                        const instar_child_request* request, instar_node** out, uint32_t* id) {
    auto& self = *static_cast<FakeHost*>(opener->opaque);
    const auto found = self.children.find(request->name);
    *out = nullptr;
    if (found == self.children.end())
      return (request->flags & INSTAR_CHILD_OPTIONAL) != 0 ? 0 : -ENOENT;
    self.role_of[request->name] = request->role;
    *out = const_cast<instar_node*>(found->second);
    *id = static_cast<uint32_t>(std::distance(self.children.begin(), found));
    return 0;
  }
  static int create_file(const instar_creator* creator, instar_call*, const char* name,
                         uint64_t size, instar_node** out) {
    auto& self = *static_cast<FakeHost*>(creator->opaque);
    self.created_sizes.push_back(size);
    const auto found = self.children.find(name != nullptr ? name : "file");
    if (found == self.children.end()) return -ENOENT;
    *out = const_cast<instar_node*>(found->second);
    return 0;
  }
  static int get_object(const instar_host* host, instar_call*, const char* type, const char* id,
                        const instar_sink* json) {
    const auto& objects = of(host).objects;
    const auto found = objects.find(id);
    if (found == objects.end()) return -ENOENT;
    const std::string type_member = cat("\"qom-type\":\"", type != nullptr ? type : "", "\"");
    if (type != nullptr && found->second.find(type_member) == std::string::npos) return -ENOENT;
    return json->write(json->opaque, found->second.data(), found->second.size());
  }
  static int get_secret(const instar_host* host, instar_call* abi, const char* id,
                        const instar_sink* bytes) noexcept {
    return static_cast<int>(guard(abi, [&](const Call&) -> Status {
      const auto& secrets = of(host).secrets;
      const auto found = secrets.find(id);
      if (found == secrets.end()) return fail(ENOENT, "No secret with id '", id, "'");
      return send(bytes, found->second);
    }));
  }
  static constexpr instar_objects_ops kObjects = {sizeof(instar_objects_ops), 0, &get_object,
                                                  &get_secret};

  instar_host host_{};
  instar_opener opener_{};
};

/** A call for use in tests, when its errors don't matter. */
inline Call quiet_call() {
  return Call(nullptr);
}

}  // namespace instar::sdk::testing
