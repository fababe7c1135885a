// SPDX-License-Identifier: Apache-2.0
#include "plugins/vendor/proxmox/dd.hpp"

#include <unistd.h>

#include <array>
#include <vector>

#include "plugins/vendor/proxmox/stream.hpp"

namespace instar::proxmox {

using namespace sdk;

namespace {

constexpr uint64_t kSector = 512;
constexpr size_t kBuffer = 1 << 20;
constexpr Range kBlocks{0, INT64_MAX, false};

/** One run: a source and a target, each an image or a standard stream. */
class Copy {
 public:
  Copy(CommandContext& context, const DdArguments& arguments)
      : context_(context), arguments_(arguments), buffer_(kBuffer) {}

  Status run() {
    INSTAR_CHECK(open_source());
    INSTAR_CHECK(choose_sizes());
    INSTAR_CHECK(open_target());
    auto done = copy();
    if (done && target_) done = target_.flush(context_.call());
    if (done && target_) done = target_.close(context_.call());
    if (!done) remove();
    return done;
  }

 private:
  Status open_source() {
    if (!arguments_.source) {
      if (arguments_.format != "raw")
        return fail(EINVAL, "Input format must be raw when reading from stdin");
      if (arguments_.snapshot) return fail(EINVAL, "stdin has no snapshots");
      return {};
    }
    const uint32_t flags =
        arguments_.force_share ? uint32_t{INSTAR_OPEN_FORCE_SHARE} : uint32_t{INSTAR_OPEN_NO_SHARE};
    INSTAR_TRY(source_,
               context_.open(image_spec(*arguments_.source, arguments_.format,
                                        arguments_.image_opts, flags, {}, arguments_.snapshot)));
    INSTAR_TRY(const uint64_t size, source_.node().size());
    source_size_ = round_up(size, kSector);
    return {};
  }

  Status choose_sizes() {
    uint64_t counted = UINT64_MAX;
    if (arguments_.count && mul_overflows(*arguments_.count, arguments_.block_size, &counted))
      counted = INT64_MAX;
    if (arguments_.output_size)
      size_ = round_up(*arguments_.output_size, kSector);
    else if (arguments_.source)
      size_ = std::min(source_size_, counted);
    else if (arguments_.count)
      size_ = counted;
    else
      return fail(EINVAL, "Output size must be known when reading from stdin");
    if (size_ > INT64_MAX) return fail(EFBIG, "The output would be too large");
    if (mul_overflows(arguments_.skip, arguments_.block_size, &begin_) || begin_ > size_) {
      context_.error(cat(arguments_.source.value_or("stdin"), ": cannot skip to specified offset"));
      begin_ = size_;
    }
    end_ = arguments_.input_size.value_or(0) != 0 ? *arguments_.input_size : size_;
    if (!arguments_.output_size) size_ -= begin_;
    return {};
  }

  Status open_target() {
    if (!arguments_.target) {
      if (arguments_.target_format && arguments_.target_format != "raw")
        return fail(EINVAL, "Output format must be raw when writing to stdout");
      if (arguments_.no_create) return fail(EINVAL, "stdout is not an image that is there already");
      return {};
    }
    if (!arguments_.no_create) INSTAR_CHECK(create());
    const std::string format = arguments_.target_format.value_or("raw");
    INSTAR_TRY(target_,
               context_.open(image_spec(*arguments_.target, format, false, INSTAR_OPEN_WRITE)));
    INSTAR_TRY(const uint64_t room, target_.node().size());
    const uint64_t wanted = end_ - std::min(end_, begin_);
    if (round_up(room, kSector) < std::max(arguments_.no_create ? size_ : 0, wanted))
      return fail(EINVAL, "output file is smaller than input file");
    INSTAR_TRY(const instar_node_limits limits, target_.node().limits());
    reads_zero_ = created_ && (limits.flags & INSTAR_NODE_ZERO_INIT) != 0;
    return {};
  }

  Status create() {
    const std::string format = arguments_.target_format.value_or("raw");
    instar_create_spec spec{};
    spec.struct_size = sizeof spec;
    spec.flags = INSTAR_CREATE_QUIET;
    spec.filename = arguments_.target->c_str();
    spec.format = format.c_str();
    spec.size = size_;
    OutgoingCall call(&context_.call());
    const int result = context_.graph().create(context_.host().abi(), call.abi(), &spec);
    created_ = result >= 0;
    if (created_) return {};
    auto error = call.error(result);
    error.message = cat(*arguments_.target, ": error while creating output image: ", error.message);
    return error;
  }

  Status copy() {
    if (!arguments_.source) INSTAR_CHECK(skip_input());
    uint64_t position = begin_;
    while (position < end_) {
      if (context_.call().cancelled()) return fail(ECANCELED, errno_text(ECANCELED));
      const auto length = static_cast<size_t>(std::min<uint64_t>(kBuffer, end_ - position));
      INSTAR_TRY(const size_t got, read(position, length));
      INSTAR_CHECK(write(position - begin_, got));
      position += got;
      if (got == length) continue;
      if (arguments_.input_size == 0u) break;
      return fail(EIO, "Input ended unexpectedly");
    }
    const uint64_t done = position - begin_;
    return created_ && !reads_zero_ && done < size_ ? zero_rest(done) : Status{};
  }

  /** What is left out is read: a pipe has no other way. */
  Status skip_input() {
    for (uint64_t left = begin_; left > 0;) {
      const auto length = static_cast<size_t>(std::min<uint64_t>(kBuffer, left));
      INSTAR_TRY(const size_t got,
                 read_full(context_.call(), STDIN_FILENO, buffer_.data(), length));
      if (got < length) break;
      left -= got;
    }
    return {};
  }

  Result<size_t> read(uint64_t position, size_t length) {
    if (!arguments_.source) return read_full(context_.call(), STDIN_FILENO, buffer_.data(), length);
    if (position + length > source_size_)
      return fail(EIO, "error while reading from input image file: ", errno_text(EIO));
    auto done = source_.node().read(context_.call(), position, buffer_.data(), length);
    if (done) return length;
    return fail(done.error().code,
                "error while reading from input image file: ", errno_text(done.error().code));
  }

  Status write(uint64_t position, size_t length) {
    if (!arguments_.target) {
      auto done = write_full(context_.call(), STDOUT_FILENO, buffer_.data(), length);
      if (done) return done;
      return fail(done.error().code,
                  "error while writing to standard output: ", done.error().message);
    }
    if (reads_zero_ && is_zero(buffer_.data(), length)) return {};
    auto done = target_.node().write(context_.call(), position, buffer_.data(), length);
    if (done) return done;
    return fail(done.error().code,
                "error while writing to output image file: ", errno_text(done.error().code));
  }

  Status zero_rest(uint64_t done) {
    return target_.node().write_zeroes(context_.call(), done, size_ - done);
  }

  /** A target of ours that is not whole must not look as if it were. */
  void remove() {
    if (target_) (void)target_.close();
    if (!created_) return;
    OutgoingCall call;
    context_.graph().remove(context_.host().abi(), call.abi(), arguments_.target->c_str());
  }

  CommandContext& context_;
  const DdArguments& arguments_;
  std::vector<uint8_t> buffer_;
  Image source_, target_;
  uint64_t source_size_ = 0;
  uint64_t size_ = 0;   ///< of the output
  uint64_t begin_ = 0;  ///< of the input: where the copy begins
  uint64_t end_ = 0;    ///< of the input: where the copy ends
  bool created_ = false;
  bool reads_zero_ = false;  ///< the target, where nothing was written
};

}  // namespace

bool DdArguments::take(CommandContext& context, const std::string& operand) {
  struct Number {
    std::string_view name;
    Range range;
    std::optional<uint64_t> value;
  };
  std::array<Number, 5> numbers{{{"bs", {1, INT32_MAX}, {}},
                                 {"count", kBlocks, {}},
                                 {"skip", kBlocks, {}},
                                 {"isize", {}, {}},
                                 {"osize", {}, {}}}};
  const size_t equals = operand.find('=');
  const auto name = std::string_view(operand).substr(0, equals);
  const char* value = equals == std::string::npos ? nullptr : operand.c_str() + equals + 1;
  if (value != nullptr && (name == "if" || name == "of")) {
    (name == "if" ? source : target) = value;
    return true;
  }
  for (auto& number : numbers) {
    if (value == nullptr || name != number.name) continue;
    number.value = parse_number(context, name, value, number.range);
    if (!number.value) return false;
    if (name == "bs") block_size = *number.value;
    if (name == "count") count = number.value;
    if (name == "skip") skip = *number.value;
    if (name == "isize") input_size = number.value;
    if (name == "osize") output_size = number.value;
    return true;
  }
  context.error(cat("unrecognized operand ", name));
  return false;
}

int run_dd(CommandContext& context, const DdArguments& arguments) {
  const auto done = Copy(context, arguments).run();
  return done ? 0 : context.error(done.error());
}

}  // namespace instar::proxmox
