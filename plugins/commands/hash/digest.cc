// SPDX-License-Identifier: Apache-2.0
#include "plugins/commands/hash/digest.hpp"

#include <gcrypt.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "sdk/cpp/bytes.hpp"

namespace instar::hash {

using sdk::fail;
using sdk::Status;

namespace {

constexpr size_t kBlocks = 4;  // in use at a time; as many pieces wait at most
constexpr const char* kAlgorithms[] = {"sha256",   "sha224",      "sha384",      "sha512",
                                       "sha3-256", "sha3-512",    "blake2b-256", "blake2b-512",
                                       "sha1",     "blake2s-256", "sm3"};

/** The same zeroes for everybody. */
const uint8_t* zeroes() {
  static const std::vector<uint8_t> block(Digest::kBlock);
  return block.data();
}

void prepare_library() {
  // The image that is hashed may have made it ready, with secure memory for its keys.
  if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P) != 0) return;
  gcry_check_version(nullptr);
  gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
  gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
}

int algorithm_number(const std::string& name) {
  const auto* found = std::find(std::begin(kAlgorithms), std::end(kAlgorithms), name);
  if (found == std::end(kAlgorithms)) return GCRY_MD_NONE;
  const int number = gcry_md_map_name(name == "blake2b-256"   ? "BLAKE2B_256"
                                      : name == "blake2b-512" ? "BLAKE2B_512"
                                      : name == "blake2s-256" ? "BLAKE2S_256"
                                                              : name.c_str());
  return gcry_md_test_algo(number) == 0 ? number : GCRY_MD_NONE;
}

}  // namespace

std::string algorithm_names() {
  std::string names;
  for (const char* name : kAlgorithms)
    names += (names.empty() ? "" : " ") + std::string(name);
  return names;
}

Digest::Digest() = default;

Digest::~Digest() {
  {
    const std::lock_guard lock(mutex_);
    pieces_.clear();  // nobody asks for the result any more
  }
  stop();
  if (handle_ != nullptr) gcry_md_close(static_cast<gcry_md_hd_t>(handle_));
}

Status Digest::start(const std::string& algorithm) {
  prepare_library();
  algorithm_ = algorithm_number(algorithm);
  gcry_md_hd_t handle = nullptr;
  if (algorithm_ == GCRY_MD_NONE || gcry_md_open(&handle, algorithm_, 0) != 0) {
    sdk::Error error = fail(EINVAL, "Unknown hash algorithm '", algorithm, "'");
    error.hint = "There are: " + algorithm_names();
    return error;
  }
  handle_ = handle;
  for (size_t i = 0; i < kBlocks; ++i)
    spare_.emplace_back(kBlock);
  thread_ = std::thread([this] { work(); });
  return {};
}

uint8_t* Digest::block() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !spare_.empty(); });
  current_ = std::move(spare_.back());
  spare_.pop_back();
  return current_.data();
}

void Digest::add(size_t length) {
  put({std::move(current_), length});
}

void Digest::add_zeroes(uint64_t length) {
  if (length != 0) put({{}, length});
}

void Digest::put(Piece piece) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return pieces_.size() < kBlocks; });
  pieces_.push_back(std::move(piece));
  changed_.notify_all();
}

void Digest::work() {
  const auto handle = static_cast<gcry_md_hd_t>(handle_);
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ended_ || !pieces_.empty(); });
    if (pieces_.empty()) return;
    Piece piece = std::move(pieces_.front());
    pieces_.pop_front();
    lock.unlock();
    if (!piece.bytes.empty()) gcry_md_write(handle, piece.bytes.data(), piece.length);
    for (uint64_t left = piece.bytes.empty() ? piece.length : 0; left > 0;) {
      const auto n = std::min<uint64_t>(left, kBlock);
      gcry_md_write(handle, zeroes(), n);
      left -= n;
    }
    lock.lock();
    if (!piece.bytes.empty()) spare_.push_back(std::move(piece.bytes));
    changed_.notify_all();
  }
}

void Digest::stop() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

std::string Digest::finish() {
  stop();
  const auto handle = static_cast<gcry_md_hd_t>(handle_);
  const uint8_t* bytes = gcry_md_read(handle, algorithm_);
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < gcry_md_get_algo_dlen(algorithm_); ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

}  // namespace instar::hash
