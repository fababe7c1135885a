// SPDX-License-Identifier: Apache-2.0
/** @file fake_server.hpp For tests: a server of the protocol's old style, on a Unix socket, whose
 * connections can be cut and whose replies can be held back. */
#pragma once

#include <endian.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace instar::nbd {

class FakeServer {
 public:
  explicit FakeServer(size_t size, uint16_t flags = kHasFlags | kSendFlush | kMultiConn)
      : disk_(size), flags_(flags) {
    // Not in TEST_TMPDIR, which may be longer than a socket's name can be (108 bytes).
    char folder[] = "/tmp/nbd_XXXXXX";
    if (::mkdtemp(folder) == nullptr) std::abort();
    path_ = std::string(folder) + "/s";
    start();
  }
  ~FakeServer() {
    stop();
    ::rmdir(path_.substr(0, path_.rfind('/')).c_str());
  }
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  const std::string& path() const { return path_; }
  void start() {
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::strncpy(name.sun_path, path_.c_str(), sizeof name.sun_path - 1);
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&name), sizeof name) != 0) std::abort();
    if (::listen(listener_, 8) != 0) std::abort();
    acceptor_ = std::thread([this] { accept(); });
  }
  /** Ends all connections and takes no more. */
  void stop() {
    if (listener_ < 0) return;
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    ::close(listener_);
    listener_ = -1;
    cut();
    for (auto& thread : threads_)
      thread.join();
    threads_.clear();
    ::unlink(path_.c_str());
  }
  void cut() {
    const std::lock_guard lock(mutex_);
    for (const int fd : open_)
      ::shutdown(fd, SHUT_RDWR);
  }
  /** Content, while nobody writes. */
  std::vector<uint8_t>& disk() { return disk_; }

  std::atomic<bool> mute{false};       ///< requests get no replies
  std::atomic<int> milliseconds{0};    ///< that each reply takes
  std::atomic<uint32_t> fail_with{0};  ///< not 0: every request fails with this error
  std::atomic<int> connections{0}, requests{0};
  std::atomic<int> cut_after{-1};  ///< requests that are still answered before a cut; -1: all

  static constexpr uint16_t kHasFlags = 1, kReadOnly = 2, kSendFlush = 4, kMultiConn = 256;

 private:
  static bool move(int fd, void* data, size_t length, bool in) {
    for (size_t done = 0; done < length;) {
      auto* at = static_cast<char*>(data) + done;
      const ssize_t n =
          in ? ::recv(fd, at, length - done, 0) : ::send(fd, at, length - done, MSG_NOSIGNAL);
      if (n <= 0) return false;
      done += static_cast<size_t>(n);
    }
    return true;
  }

  struct __attribute__((packed)) Greeting {
    char magic[8] = {'N', 'B', 'D', 'M', 'A', 'G', 'I', 'C'};
    uint64_t old_style = htobe64(0x0000420281861253);
    uint64_t size;
    uint16_t global_flags = 0;
    uint16_t flags;
    char zeroes[124] = {};
  };
  struct __attribute__((packed)) Request {
    uint32_t magic;
    uint16_t flags;
    uint16_t type;
    uint64_t cookie;
    uint64_t offset;
    uint32_t length;
  };
  struct __attribute__((packed)) Reply {
    uint32_t magic = htobe32(0x67446698);
    uint32_t error;
    uint64_t cookie;
  };

  void accept() {
    while (true) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      ++connections;
      const std::lock_guard lock(mutex_);
      open_.push_back(fd);
      threads_.emplace_back([this, fd] { serve(fd); });
    }
  }
  void serve(int fd) {
    Greeting greeting;
    greeting.size = htobe64(disk_.size());
    greeting.flags = htobe16(flags_);
    if (move(fd, &greeting, sizeof greeting, false))
      while (answer(fd)) {
      }
    const std::lock_guard lock(mutex_);
    std::erase(open_, fd);
    ::close(fd);
  }
  bool answer(int fd) {
    constexpr uint16_t kRead = 0, kWrite = 1, kDisconnect = 2;
    Request request;
    if (!move(fd, &request, sizeof request, true)) return false;
    const uint16_t type = be16toh(request.type);
    if (type == kDisconnect) return false;
    std::vector<uint8_t> data(type == kRead || type == kWrite ? be32toh(request.length) : 0);
    if (type == kWrite && !move(fd, data.data(), data.size(), true)) return false;
    ++requests;
    if (mute) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    if (cut_after == 0 || (cut_after > 0 && --cut_after == 0)) return false;
    Reply reply;
    const uint32_t error = fail_with;
    reply.error = htobe32(error);
    reply.cookie = request.cookie;
    const uint64_t offset = be64toh(request.offset);
    {
      const std::lock_guard lock(mutex_);
      if (type == kRead) std::memcpy(data.data(), disk_.data() + offset, data.size());
      if (type == kWrite) std::memcpy(disk_.data() + offset, data.data(), data.size());
    }
    if (!move(fd, &reply, sizeof reply, false)) return false;
    return type != kRead || error != 0 || move(fd, data.data(), data.size(), false);
  }

  std::vector<uint8_t> disk_;
  const uint16_t flags_;
  std::string path_;
  int listener_ = -1;
  std::thread acceptor_;
  std::mutex mutex_;
  std::vector<int> open_;
  std::vector<std::thread> threads_;
};

}  // namespace instar::nbd
