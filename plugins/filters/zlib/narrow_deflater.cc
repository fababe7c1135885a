// SPDX-License-Identifier: Apache-2.0
// Deflate for windows below 32 KiB: lazy matching, and blocks that end where the content changes.
#include <libdeflate.h>

#include <array>
#include <cmath>
#include <vector>

#include "plugins/filters/zlib/block_writer.hpp"
#include "plugins/filters/zlib/deflater.hpp"
#include "plugins/filters/zlib/match_finder.hpp"

namespace instar::zlib {
namespace {

struct Effort {
  unsigned depth;  ///< candidates looked at
  unsigned nice;   ///< a match of that length is taken at once
  unsigned lazy;   ///< positions that may do better: 0, 1 or 2
};

// Level 1 is where it gets denser than zlib's default level.
constexpr std::array<Effort, kMaxLevel + 1> kEfforts = {{{0, 0, 0},
                                                         {8, 16, 1},
                                                         {8, 24, 1},
                                                         {8, 32, 1},
                                                         {12, 32, 1},
                                                         {16, 48, 1},
                                                         {24, 64, 2},
                                                         {32, 128, 2},
                                                         {64, 200, 2},
                                                         {128, 258, 2},
                                                         {256, 258, 2},
                                                         {1024, 258, 2},
                                                         {4096, 258, 2}}};

/** Blocks are cut at multiples of this many tokens. */
constexpr size_t kChunk = 1024;
constexpr size_t kMaxBlockTokens = 40 * kChunk;
/** After 2^kPatience positions without a match every second one is looked at, and so on. */
constexpr unsigned kPatience = 5;
constexpr uint32_t kMaxStep = 8;
/** Bits that a new block must save: those of its header. */
constexpr double kHeaderBits = 500;

/** n * log2(n) */
double self_weight(uint32_t n) {
  static const auto table = [] {
    std::array<float, 4096> made{};
    for (size_t i = 1; i < made.size(); ++i)
      made[i] = static_cast<float>(static_cast<double>(i) * std::log2(static_cast<double>(i)));
    return made;
  }();
  return n < table.size() ? static_cast<double>(table[n]) : n * std::log2(static_cast<double>(n));
}

template <class Counts>
double entropy_bits(const Counts& counts) {
  uint32_t sum = 0;
  double bits = 0;
  for (const uint32_t n : counts) {
    sum += n;
    bits -= self_weight(n);
  }
  return bits + self_weight(sum);
}

double entropy_bits(const SymbolCounts& counts) {
  return entropy_bits(counts.lengths) + entropy_bits(counts.distances);
}

/** Collects tokens, and writes them block by block. */
class BlockSplitter {
 public:
  explicit BlockSplitter(std::vector<Token>& tokens) : tokens_(tokens) {}

  void begin(sdk::ConstBytes plain, BlockWriter& writer) {
    tokens_.clear();
    block_ = chunk_ = {};
    plain_ = plain;
    writer_ = &writer;
    chunk_tokens_ = 0;
    block_bytes_ = chunk_bytes_ = 0;
    fits_ = true;
  }
  void add(Token token, unsigned length) {
    tokens_.push_back(token);
    chunk_.add(token);
    chunk_bytes_ += length;
    if (++chunk_tokens_ == kChunk) end_chunk();
  }
  /** False: the output is full. */
  bool fits() const { return fits_; }
  bool end() {
    join_chunk();
    write_block(tokens_.size(), true);
    return fits_;
  }

 private:
  void end_chunk() {
    const size_t before = tokens_.size() - chunk_tokens_;
    if (before > 0) {
      SymbolCounts both = block_;
      both.add(chunk_);
      const double apart = entropy_bits(block_) + entropy_bits(chunk_) + kHeaderBits;
      if (entropy_bits(both) > apart || tokens_.size() > kMaxBlockTokens)
        write_block(before, false);
    }
    join_chunk();
  }
  void join_chunk() {
    block_.add(chunk_);
    block_bytes_ += chunk_bytes_;
    chunk_ = {};
    chunk_tokens_ = chunk_bytes_ = 0;
  }
  void write_block(size_t count, bool last) {
    fits_ = fits_ && writer_->write(std::span(tokens_).first(count), block_,
                                    plain_.first(block_bytes_), last);
    plain_ = plain_.subspan(block_bytes_);
    tokens_.erase(tokens_.begin(), tokens_.begin() + static_cast<ptrdiff_t>(count));
    block_ = {};
    block_bytes_ = 0;
  }

  std::vector<Token>& tokens_;  ///< of the block, the chunk last
  SymbolCounts block_;          ///< without the chunk
  SymbolCounts chunk_;
  sdk::ConstBytes plain_;  ///< from the block on
  BlockWriter* writer_ = nullptr;
  size_t chunk_tokens_ = 0;
  size_t block_bytes_ = 0;
  size_t chunk_bytes_ = 0;
  bool fits_ = true;
};

class NarrowDeflater : public Deflater {
 public:
  NarrowDeflater(Framing framing, int level, int window_bits)
      : framing_(framing),
        window_bits_(window_bits),
        effort_(kEfforts[static_cast<size_t>(level)]),
        finder_(static_cast<unsigned>(window_bits)),
        splitter_(tokens_) {}

  size_t compress(sdk::ConstBytes in, sdk::Bytes out) override {
    std::array<uint8_t, 10> header{};
    const size_t before = make_header(header);
    const size_t behind = framing_ == Framing::kRaw ? 0 : framing_ == Framing::kZlib ? 4 : 8;
    if (out.size() < before + behind) return 0;
    std::copy_n(header.begin(), before, out.begin());
    BlockWriter writer(out.subspan(before, out.size() - before - behind));
    splitter_.begin(in, writer);
    finder_.begin(in);
    if (!find_tokens(in)) return 0;
    const size_t length = before + writer.finish();
    put_trailer(in, out.data() + length);
    return length + behind;
  }

 private:
  size_t make_header(std::array<uint8_t, 10>& header) const {
    if (framing_ == Framing::kRaw) return 0;
    if (framing_ == Framing::kGzip) {
      header = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
      return header.size();
    }
    const unsigned method = 8 | static_cast<unsigned>(window_bits_ - 8) << 4;
    header[0] = static_cast<uint8_t>(method);
    header[1] = static_cast<uint8_t>((31 - method * 256 % 31) % 31);
    return 2;
  }
  void put_trailer(sdk::ConstBytes in, uint8_t* to) const {
    if (framing_ == Framing::kZlib)
      sdk::store_be<uint32_t>(to, libdeflate_adler32(1, in.data(), in.size()));
    if (framing_ != Framing::kGzip) return;
    sdk::store_le<uint32_t>(to, libdeflate_crc32(0, in.data(), in.size()));
    sdk::store_le<uint32_t>(to + 4, static_cast<uint32_t>(in.size()));
  }

  bool find_tokens(sdk::ConstBytes in) {
    const auto size = static_cast<uint32_t>(in.size());
    uint32_t misses = 0;
    for (uint32_t at = 0; at < size && splitter_.fits();) {
      Match match = finder_.find(at, kMinMatch - 1, effort_.depth, effort_.nice);
      uint32_t entered = at + 1;  // positions below are in the finder
      if (match.length != 0) at = improve(in, at, entered, match);
      if (match.length == 0) {
        // The longer nothing has been found, the less often it is looked for.
        const uint32_t step = std::min(1 + (misses++ >> kPatience), kMaxStep);
        for (const uint32_t end = std::min(at + step, size); at < end; ++at)
          splitter_.add(Token::literal(in[at]), 1);
        continue;
      }
      misses = 0;
      splitter_.add(Token::match(match.length, match.distance), match.length);
      const uint32_t end = at + match.length;
      for (; entered < end; ++entered)
        finder_.skip(entered);
      at = end;
    }
    return splitter_.end();
  }

  /** Looks whether a match one or two positions later is worth the literals before it; where the
   * match that is taken begins. */
  uint32_t improve(sdk::ConstBytes in, uint32_t at, uint32_t& entered, Match& match) {
    for (unsigned ahead = 1; ahead <= effort_.lazy && match.length < effort_.nice;) {
      if (entered >= in.size()) break;
      const unsigned depth = ahead == 1 ? effort_.depth / 2 : effort_.depth / 4;
      const unsigned least = match.length - (ahead == 1 ? 1 : 0);
      const Match later = finder_.find(entered, least, depth, effort_.nice);
      ++entered;
      if (later.length != 0 && gain(later, match) > (ahead == 1 ? 2 : 6)) {
        for (; at + 1 < entered; ++at)
          splitter_.add(Token::literal(in[at]), 1);
        match = later;
        ahead = 1;
      } else {
        ++ahead;
      }
    }
    return at;
  }
  /** Roughly the bits that `later` saves more than `match`: a byte is worth four. */
  static int gain(const Match& later, const Match& match) {
    return 4 * (static_cast<int>(later.length) - static_cast<int>(match.length)) +
           static_cast<int>(std::bit_width(match.distance)) -
           static_cast<int>(std::bit_width(later.distance));
  }

  Framing framing_;
  int window_bits_;
  Effort effort_;
  MatchFinder finder_;
  std::vector<Token> tokens_;
  BlockSplitter splitter_;
};

}  // namespace

std::unique_ptr<Deflater> make_narrow_deflater(Framing framing, int level, int window_bits) {
  return std::make_unique<NarrowDeflater>(framing, level, window_bits);
}

}  // namespace instar::zlib
