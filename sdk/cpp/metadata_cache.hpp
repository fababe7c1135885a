// SPDX-License-Identifier: Apache-2.0
/**
 * @file metadata_cache.hpp
 * The bytes of a file that are an image's tables, page by page in memory. It never writes by itself:
 * its owner does, in the order that crash safety asks for. Only sectors that were changed are
 * written, so that what lies between tables is left alone. Not thread-safe.
 */
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "host_file.hpp"

namespace instar::sdk {

class MetadataCache {
 public:
  /** @param capacity bytes; only changed pages may make it larger, until its owner writes them back.
   */
  MetadataCache(HostFile& file, uint64_t capacity)
      : file_(file), most_pages_(std::max<size_t>(capacity / kPage, 4)) {}

  /** The number (Le<…>, Be<…>) at byte `position` of the file; 0 beyond its end. */
  template <class Number>
  Result<Number> get(const Call& call, uint64_t position) {
    Number number;
    INSTAR_CHECK(read(call, position, &number, sizeof number));
    return number;
  }
  template <class Number>
  Status set(const Call& call, uint64_t position, Number number) {
    return write(call, position, &number, sizeof number);
  }
  Status read(const Call& call, uint64_t position, void* to, size_t length) {
    return walk(call, position, length, [&](Page& page, size_t begin, size_t done, size_t n) {
      std::memcpy(static_cast<uint8_t*>(to) + done, page.bytes.data() + begin, n);
    });
  }
  Status write(const Call& call, uint64_t position, const void* from, size_t length) {
    return walk(call, position, length, [&](Page& page, size_t begin, size_t done, size_t n) {
      std::memcpy(page.bytes.data() + begin, static_cast<const uint8_t*>(from) + done, n);
      change(page, begin, n);
    });
  }
  /** For a table that was just made. */
  Status write_zeroes(const Call& call, uint64_t position, uint64_t length) {
    return walk(call, position, length, [&](Page& page, size_t begin, size_t, size_t n) {
      std::memset(page.bytes.data() + begin, 0, n);
      change(page, begin, n);
    });
  }

  bool dirty() const { return dirty_pages_ != 0; }
  /** The owner has to write back before more is changed. */
  bool crowded() const { return dirty_pages_ >= most_pages_ - most_pages_ / 4; }
  /** Writes what was changed, in ascending order. After a failure the rest is still to be written.
   */
  Status write_back(const Call& call) {
    std::vector<Page*> pages;
    for (auto& [number, page] : pages_)
      if (page->dirty != 0) pages.push_back(page.get());
    std::sort(pages.begin(), pages.end(), [](auto* a, auto* b) { return a->number < b->number; });
    for (Page* page : pages)
      INSTAR_CHECK(write_page(call, *page));
    return {};
  }
  /** Bytes of the file that were changed. */
  struct Piece {
    uint64_t position = 0;
    const uint8_t* bytes = nullptr;  ///< valid until the cache is used again
  };
  /** What was changed, in ascending order, as pieces of `unit` bytes (a power of two of whole sectors,
   * at most a page) that lie at multiples of it. For an owner who writes them otherwise, and then
   * says set_clean. */
  std::vector<Piece> changes(size_t unit) const {
    std::vector<Piece> pieces;
    const size_t sectors = unit / kSector;
    const uint64_t mask = sectors == 64 ? ~uint64_t{0} : (uint64_t{1} << sectors) - 1;
    for (const auto& [number, page] : pages_)
      for (size_t i = 0; i < kPage / kSector; i += sectors)
        if ((page->dirty & mask << i) != 0)
          pieces.push_back({number * kPage + i * kSector, page->bytes.data() + i * kSector});
    std::sort(pieces.begin(), pieces.end(),
              [](const auto& a, const auto& b) { return a.position < b.position; });
    return pieces;
  }
  void set_clean() {
    for (auto& [number, page] : pages_)
      page->dirty = 0;
    dirty_pages_ = 0;
  }
  /** Forgets everything, unwritten changes too. */
  void clear() {
    pages_.clear();
    last_ = nullptr;
    dirty_pages_ = 0;
  }

 private:
  static constexpr size_t kSector = 512;
  static constexpr size_t kPage = 64 * kSector;  // a bit of a mask for each sector
  struct Page {
    uint64_t number = 0;
    uint64_t dirty = 0;  ///< mask of sectors
    bool used = false;
    std::array<uint8_t, kPage> bytes;
  };

  template <class Each>
  Status walk(const Call& call, uint64_t position, uint64_t length, Each each) {
    for (uint64_t done = 0; done < length;) {
      const size_t begin = (position + done) % kPage;
      const auto n = static_cast<size_t>(std::min<uint64_t>(kPage - begin, length - done));
      INSTAR_TRY(Page * page, this->page(call, (position + done) / kPage));
      each(*page, begin, done, n);
      done += n;
    }
    return {};
  }
  Result<Page*> page(const Call& call, uint64_t number) {
    if (last_ != nullptr && last_->number == number) return last_;
    const auto found = pages_.find(number);
    if (found != pages_.end()) {
      last_ = found->second.get();
    } else {
      std::unique_ptr<Page> made = take();
      made->number = number;
      made->dirty = 0;
      INSTAR_CHECK(file_.read(call, number * kPage, made->bytes.data(), kPage));
      last_ = made.get();
      pages_.emplace(number, std::move(made));
    }
    last_->used = true;
    return last_;
  }
  /** A page to be filled: one that is not used nor changed, if there are enough. */
  std::unique_ptr<Page> take() {
    last_ = nullptr;
    if (pages_.size() >= most_pages_) {
      for (auto it = pages_.begin(); it != pages_.end(); ++it) {
        if (std::exchange(it->second->used, false) || it->second->dirty != 0) continue;
        auto page = std::move(it->second);
        pages_.erase(it);
        return page;
      }
      // All were used lately: any clean one.
      const auto clean = std::find_if(pages_.begin(), pages_.end(),
                                      [](const auto& entry) { return entry.second->dirty == 0; });
      if (clean != pages_.end()) {
        auto page = std::move(clean->second);
        pages_.erase(clean);
        return page;
      }
    }
    return std::make_unique<Page>();
  }
  void change(Page& page, size_t begin, size_t length) {
    const size_t first = begin / kSector;
    const size_t count = (begin + length - 1) / kSector - first + 1;
    const uint64_t mask = (count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1) << first;
    if (page.dirty == 0) ++dirty_pages_;
    page.dirty |= mask;
  }
  Status write_page(const Call& call, Page& page) {
    while (page.dirty != 0) {
      const auto first = static_cast<size_t>(std::countr_zero(page.dirty));
      const auto count = static_cast<size_t>(std::countr_one(page.dirty >> first));
      INSTAR_CHECK(file_.write(call, page.number * kPage + first * kSector,
                               page.bytes.data() + first * kSector, count * kSector));
      page.dirty &= ~((count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1) << first);
    }
    --dirty_pages_;
    return {};
  }

  HostFile& file_;
  const size_t most_pages_;
  std::unordered_map<uint64_t, std::unique_ptr<Page>> pages_;
  Page* last_ = nullptr;
  size_t dirty_pages_ = 0;
};

}  // namespace instar::sdk
