// SPDX-License-Identifier: Apache-2.0
// A command that packs and unpacks a block by a codec of another plugin, as a format would: from
// C++ through the host into whatever language the codec is written in.
#include <instar/cpp/plugin.hpp>
#include <numeric>

using namespace instar::sdk;

namespace {

class CodecTrip {
 public:
  static int run(CommandContext& context) {
    const auto& args = context.args();
    if (args.argc != 3) return context.error("Expecting the name of a codec");
    instar_codec_params params{};
    const auto pool = CodecPool::open(context.host(), args.argv[2], params);
    if (!pool) return context.error(pool.error());
    const Status status = trip(**pool);
    if (!status) return context.error(status.error());
    context.print("the block came back\n");
    return 0;
  }

 private:
  static Status trip(CodecPool& pool) {
    std::vector<uint8_t> block(65536);
    for (size_t i = 0; i < block.size(); ++i)
      block[i] = static_cast<uint8_t>(i / 64 * 7);
    std::vector<uint8_t> packed(pool.bound(block.size()));
    INSTAR_TRY(const int64_t length, pool.compress(block, packed));
    if (length <= 0 || static_cast<size_t>(length) >= block.size())
      return fail(EIO, "packed into ", length, " bytes");
    packed.resize(static_cast<size_t>(length));
    std::vector<uint8_t> back(block.size());
    INSTAR_TRY(const int64_t unpacked, pool.decompress(packed, back));
    if (unpacked != static_cast<int64_t>(block.size()) || back != block)
      return fail(EIO, "the block came back changed");
    return {};
  }
};

}  // namespace

INSTAR_PLUGIN("codec-trip", "1.0.0", command<CodecTrip>("codec-trip"))
