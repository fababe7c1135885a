// SPDX-License-Identifier: Apache-2.0
#include "plugins/commands/map/picture.hpp"

#include <algorithm>
#include <cstdio>

#include "sdk/cpp/bytes.hpp"
#include "sdk/cpp/result.hpp"

namespace instar::map {

using sdk::cat;

namespace {

constexpr size_t kCell = 14;  // pixels, the gap to the next one included
constexpr size_t kGap = 2;
constexpr size_t kLeft = 110;
constexpr size_t kTop = 64;
constexpr size_t kLegendRow = 22;
constexpr size_t kLegendColumns = 2;
constexpr uint64_t kLeastCell = 512;

/** By depth: told apart also by who sees no red or green (Okabe and Ito). */
constexpr const char* kColours[Picture::kDepths] = {"#0072b2", "#e69f00", "#009e73",
                                                    "#cc79a7", "#56b4e9", "#d55e00"};

/** The code point at the front of `text`, which loses it; '?' for a byte that is no UTF-8. */
uint32_t next_code_point(std::string_view& text) {
  const auto first = static_cast<uint8_t>(text[0]);
  const size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  uint32_t point = length == 1 ? first : first & (0x7fu >> length);
  bool sound = first < 0x80 || (first >= 0xc2 && first < 0xf5 && text.size() >= length);
  for (size_t i = 1; i < length && sound; ++i) {
    sound = (static_cast<uint8_t>(text[i]) & 0xc0) == 0x80;
    point = point << 6 | (static_cast<uint8_t>(text[i]) & 0x3f);
  }
  text.remove_prefix(sound ? length : 1);
  return sound ? point : '?';
}

/** As XML text: what XML can't hold becomes a question mark. */
std::string escaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const uint32_t point = next_code_point(text);
    const bool barred = point < ' ' || (point >= 0xd800 && point < 0xe000) || point == 0xfffe ||
                        point == 0xffff || point > 0x10ffff;
    const bool plain = point < 0x7f && std::string_view("<>&\"").find(static_cast<char>(point)) ==
                                           std::string_view::npos;
    if (barred)
      out += '?';
    else if (plain)
      out += static_cast<char>(point);
    else
      out += cat("&#", point, ";");
  }
  return out;
}

/** "1.5 GiB" */
std::string size_text(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1000 && unit + 1 < std::size(kUnits); ++unit)
    value /= 1024;
  char text[32];
  std::snprintf(text, sizeof text, "%.3g %s", value, kUnits[unit]);
  return text;
}

std::string kind_text(size_t look, size_t depth) {
  if (look == Picture::kAbsent) return "not in any file: reads as zeroes";
  constexpr const char* kWhat[] = {"", "zeroes", "data", "compressed data"};
  const bool last = depth + 1 == Picture::kDepths;
  const std::string where =
      depth == 0 ? "in the image" : cat("in backing file ", depth, last ? " and below" : "");
  return cat(kWhat[look], " ", where);
}

/** fill=… of a kind. */
std::string fill_of(size_t look, size_t depth) {
  if (look == Picture::kAbsent) return "fill=\"none\" stroke=\"#999999\" stroke-opacity=\"0.5\"";
  if (look == Picture::kCompressed) return cat("fill=\"url(#packed", depth, ")\"");
  return cat("fill=\"", kColours[depth], "\"",
             look == Picture::kZero ? " fill-opacity=\"0.3\"" : "");
}

std::string text_at(size_t x, size_t y, std::string_view more, std::string_view text) {
  return cat("<text x=\"", x, "\" y=\"", y, "\"", more, ">", escaped(text), "</text>\n");
}

std::string rect_at(size_t x, size_t y, size_t width, const std::string& fill,
                    std::string_view tip) {
  return cat("<rect x=\"", x, "\" y=\"", y, "\" width=\"", width, "\" height=\"", kCell - kGap,
             "\" ", fill, "><title>", escaped(tip), "</title></rect>\n");
}

/** Compressed data is striped in its depth's colour. */
std::string patterns() {
  std::string out = "<defs>\n";
  for (size_t depth = 0; depth < Picture::kDepths; ++depth)
    out += cat("<pattern id=\"packed", depth,
               "\" width=\"4\" height=\"4\" patternUnits=\"userSpaceOnUse\" "
               "patternTransform=\"rotate(45)\"><rect width=\"4\" height=\"4\" fill=\"",
               kColours[depth], "\" fill-opacity=\"0.35\"/><rect width=\"2\" height=\"4\" fill=\"",
               kColours[depth], "\"/></pattern>\n");
  return out + "</defs>\n";
}

}  // namespace

Picture::Picture(std::string title, uint64_t start, uint64_t length)
    : title_(std::move(title)),
      start_(start),
      length_(length),
      cell_bytes_(std::max(
          sdk::round_up(sdk::div_up(length, uint64_t{kColumns * kRows}), kLeastCell), kLeastCell)),
      cells_(sdk::div_up(length, cell_bytes_)) {}

size_t Picture::kind_of(const instar_map_extent& extent) {
  const auto depth = std::min<size_t>(static_cast<size_t>(std::max(extent.depth, 0)), kDepths - 1);
  Look look = kAbsent;
  if ((extent.flags & INSTAR_EXTENT_COMPRESSED) != 0)
    look = kCompressed;
  else if ((extent.flags & INSTAR_EXTENT_ZERO) == 0 && (extent.flags & INSTAR_EXTENT_DATA) != 0)
    look = kData;
  else if ((extent.flags & INSTAR_EXTENT_ALLOCATED) != 0)
    look = kZero;
  return look == kAbsent ? 0 : look * kDepths + depth;
}

void Picture::add(const instar_map_extent& extent) {
  const size_t kind = kind_of(extent);
  uint64_t position = std::max(extent.start, start_) - start_;
  const uint64_t end = std::min(extent.start + extent.length - start_, length_);
  while (position < end) {
    const uint64_t index = position / cell_bytes_;
    const uint64_t next = std::min((index + 1) * cell_bytes_, end);
    cells_[index].bytes[kind] += next - position;
    total_.bytes[kind] += next - position;
    position = next;
  }
}

size_t Picture::look_of(const Cell& cell) {
  // A little data in a large cell must be seen.
  for (const auto& [first, last] : {std::pair<size_t, size_t>{kData, kLooks}, {kZero, kData}}) {
    const auto begin = cell.bytes.begin() + static_cast<ptrdiff_t>(first * kDepths);
    const auto end = cell.bytes.begin() + static_cast<ptrdiff_t>(last * kDepths);
    const auto most = std::max_element(begin, end);
    if (*most != 0) return static_cast<size_t>(most - cell.bytes.begin());
  }
  return 0;
}

uint64_t Picture::bytes_of(size_t index) const {
  return std::min(cell_bytes_, length_ - index * cell_bytes_);
}

/** `count` neighbours that look the same. */
void Picture::add_cell(std::string& out, size_t index, size_t count) const {
  const size_t kind = look_of(cells_[index]);
  uint64_t share = 0, bytes = 0;
  for (size_t i = index; i < index + count; ++i) {
    share += cells_[i].bytes[kind];
    bytes += bytes_of(i);
  }
  const auto percent = static_cast<uint64_t>(100.0 * static_cast<double>(share) /
                                             static_cast<double>(std::max<uint64_t>(bytes, 1)));
  const size_t look = kind / kDepths, depth = kind % kDepths;
  std::string fill = fill_of(look, depth);
  // The less of it there is, the paler.
  if (look != kAbsent && percent < 50)
    fill += cat(" opacity=\"", percent < 10 ? "0.4" : "0.7", "\"");
  out += rect_at(kLeft + index % kColumns * kCell, kTop + index / kColumns * kCell,
                 count * kCell - kGap, fill,
                 cat(start_ + index * cell_bytes_, " + ", size_text(bytes), ": ",
                     kind_text(look, depth), ", ", percent, "%"));
}

void Picture::add_row(std::string& out, size_t row) const {
  const size_t end = std::min((row + 1) * kColumns, cells_.size());
  for (size_t i = row * kColumns, next = 0; i < end; i = next) {
    for (next = i + 1; next < end && cells_[next].bytes == cells_[i].bytes;)
      ++next;
    add_cell(out, i, next - i);
  }
}

void Picture::add_cells(std::string& out) const {
  for (size_t row = 0; row * kColumns < cells_.size(); ++row)
    add_row(out, row);
}

/** At the left of every fourth row. */
void Picture::add_offsets(std::string& out) const {
  for (size_t row = 0; row * kColumns < cells_.size(); row += 4)
    out += text_at(kLeft - 8, kTop + row * kCell + kCell - kGap - 1, " text-anchor=\"end\"",
                   size_text(start_ + row * kColumns * cell_bytes_));
}

void Picture::add_legend(std::string& out) const {
  const size_t top = kTop + sdk::div_up(cells_.size(), kColumns) * kCell + 18;
  size_t entry = 0;
  for (size_t kind = 0; kind < kKinds; ++kind) {
    if (total_.bytes[kind] == 0) continue;
    const size_t x = kLeft + entry % kLegendColumns * (kColumns * kCell / kLegendColumns);
    const size_t y = top + entry / kLegendColumns * kLegendRow;
    const std::string text =
        cat(kind_text(kind / kDepths, kind % kDepths), ": ", size_text(total_.bytes[kind]));
    out += rect_at(x, y, kCell - kGap, fill_of(kind / kDepths, kind % kDepths), text);
    out += text_at(x + kCell + 6, y + kCell - kGap - 1, "", text);
    ++entry;
  }
}

std::string Picture::svg() const {
  const size_t kinds = static_cast<size_t>(
      std::count_if(total_.bytes.begin(), total_.bytes.end(), [](uint64_t n) { return n != 0; }));
  const size_t rows = sdk::div_up(cells_.size(), kColumns);
  const size_t width = kLeft + kColumns * kCell + 20;
  const size_t height = kTop + rows * kCell + 30 + sdk::div_up(kinds, kLegendColumns) * kLegendRow;
  std::string out = cat(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"",
      width, "\" height=\"", height, "\" viewBox=\"0 0 ", width, " ", height,
      "\" font-family=\"sans-serif\" font-size=\"11\" fill=\"#222222\">\n<title>", escaped(title_),
      "</title>\n<rect width=\"", width, "\" height=\"", height, "\" fill=\"#ffffff\"/>\n");
  out += patterns();
  out += text_at(kLeft, 26, " font-size=\"16\" font-weight=\"bold\"", title_);
  out += text_at(kLeft, 46, "",
                 cat(size_text(length_), start_ != 0 ? cat(" from ", size_text(start_)) : "",
                     ", a cell is ", size_text(cell_bytes_)));
  add_offsets(out);
  add_cells(out);
  add_legend(out);
  return out + "</svg>\n";
}

}  // namespace instar::map
