// SPDX-License-Identifier: Apache-2.0
#include "core/output/map_printer.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "sdk/abi/node.h"

namespace instar::output {
namespace {

constexpr size_t kBufferSize = 256UL * 1024;
constexpr size_t kLongestElement = 256;  // every key and the longest numbers
constexpr size_t kNumberLength = 20;
constexpr std::ptrdiff_t kColumnWidth = 16;

// The text between two numbers never changes with the flags but in these places: one string per
// combination.
struct FlagTexts {
  char text[16][96];
  uint8_t length[16];
};

constexpr FlagTexts make_flag_texts() {
  FlagTexts texts{};
  for (unsigned bits = 0; bits < 16; bits++) {
    constexpr const char* kKeys[] = {
        ", \"present\": ", ", \"zero\": ", ", \"data\": ", ", \"compressed\": "};
    uint8_t length = 0;
    for (unsigned key = 0; key < 4; key++) {
      for (const char* c = kKeys[key]; *c != 0; c++)
        texts.text[bits][length++] = *c;
      for (const char* c = (bits >> key & 1) != 0 ? "true" : "false"; *c != 0; c++)
        texts.text[bits][length++] = *c;
    }
    texts.length[bits] = length;
  }
  return texts;
}

constexpr FlagTexts kFlagTexts = make_flag_texts();

unsigned flag_index(uint32_t flags) {
  return ((flags & INSTAR_EXTENT_ALLOCATED) != 0 ? 1u : 0u) |
         ((flags & INSTAR_EXTENT_ZERO) != 0 ? 2u : 0u) |
         ((flags & INSTAR_EXTENT_DATA) != 0 ? 4u : 0u) |
         ((flags & INSTAR_EXTENT_COMPRESSED) != 0 ? 8u : 0u);
}

}  // namespace

MapPrinter::MapPrinter(Sink& sink, MapStyle style)
    : sink_(sink), style_(style), buffer_(new char[kBufferSize]), at_(buffer_.get()) {}

MapPrinter::~MapPrinter() {
  flush();
}

void MapPrinter::flush() {
  if (at_ == buffer_.get()) return;
  sink_.write({buffer_.get(), static_cast<size_t>(at_ - buffer_.get())});
  at_ = buffer_.get();
}

void MapPrinter::reserve(size_t bytes) {
  if (static_cast<size_t>(buffer_.get() + kBufferSize - at_) < bytes) flush();
}

void MapPrinter::put(std::string_view text) {
  std::memcpy(at_, text.data(), text.size());
  at_ += text.size();
}

void MapPrinter::put_decimal(uint64_t value) {
  at_ = std::to_chars(at_, at_ + kNumberLength, value).ptr;
}

void MapPrinter::put_hex_column(uint64_t value) {
  char* const start = at_;
  if (value != 0) put("0x");
  at_ = std::to_chars(at_, at_ + kNumberLength, value, 16).ptr;
  while (at_ - start < kColumnWidth)
    *at_++ = ' ';
}

void MapPrinter::begin() {
  reserve(kLongestElement);
  put(style_ == MapStyle::kHuman ? "Offset          Length          Mapped to       File\n" : "[");
}

Status MapPrinter::add(const instar_map_extent& run) {
  if (style_ == MapStyle::kHuman) return add_row(run);
  add_element(run);
  return {};
}

Status MapPrinter::add_row(const instar_map_extent& run) {
  const bool first = std::exchange(first_, false);
  const bool zero = (run.flags & INSTAR_EXTENT_ZERO) != 0;
  if ((run.flags & INSTAR_EXTENT_DATA) == 0) return {};
  // QEMU forgives zeroes without a place everywhere but in the first run.
  if ((run.flags & INSTAR_EXTENT_OFFSET) == 0 && (!zero || first))
    return fail(ENOTSUP, "File contains external, encrypted or compressed clusters.");
  if (zero) return {};
  reserve(kLongestElement);
  put_hex_column(run.start);
  put_hex_column(run.length);
  put_hex_column(run.offset);
  const std::string_view filename = run.filename != nullptr ? run.filename : "";
  if (filename.size() + 1 < kBufferSize) {
    reserve(filename.size() + 1);
    put(filename);
  } else {
    flush();
    sink_.write(filename);
  }
  put("\n");
  return {};
}

void MapPrinter::add_element(const instar_map_extent& run) {
  reserve(kLongestElement);
  if (!std::exchange(first_, false)) put(",\n");
  put("{ \"start\": ");
  put_decimal(run.start);
  put(", \"length\": ");
  put_decimal(run.length);
  put(", \"depth\": ");
  put_decimal(static_cast<uint64_t>(std::max(run.depth, 0)));
  const unsigned index = flag_index(run.flags);
  put({kFlagTexts.text[index], kFlagTexts.length[index]});
  if ((run.flags & INSTAR_EXTENT_OFFSET) != 0) {
    put(", \"offset\": ");
    put_decimal(run.offset);
  }
  put("}");
}

void MapPrinter::end() {
  reserve(kLongestElement);
  if (style_ == MapStyle::kJson) put("]\n");
  flush();
}

}  // namespace instar::output
