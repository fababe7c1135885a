// SPDX-License-Identifier: Apache-2.0
#include "plugins/commands/convert/bitmap_copy.hpp"

#include <algorithm>
#include <iterator>

#include "sdk/abi/bitmap.h"
#include "sdk/cpp/json_reader.hpp"

namespace instar::convert {

using namespace instar::sdk;

namespace {

struct Bitmaps {
  explicit Bitmaps(NodeRef image)
      : ops(image.interface<instar_bitmap_ops>(INSTAR_BITMAP_ID, &self)) {}
  void* self = nullptr;
  const instar_bitmap_ops* ops;
};

struct Bitmap {
  std::string name;
  uint32_t granularity = 0;
  bool enabled = false;
  bool broken = false;
};

Result<std::vector<Bitmap>> list(const Bitmaps& from) {
  StringSink text;
  OutgoingCall call;
  INSTAR_CHECK(call.status(from.ops->list(from.self, call.abi(), text.abi())));
  std::vector<Bitmap> bitmaps;
  JsonObject::each_item(text.text, [&](std::string_view item) {
    const JsonObject object(item);
    Bitmap bitmap;
    bitmap.name = object.string("name").value_or("");
    bitmap.granularity = static_cast<uint32_t>(object.number("granularity").value_or(0));
    JsonObject::each_item(object.find("flags").value_or("[]"), [&](std::string_view flag) {
      bitmap.enabled = bitmap.enabled || flag == "\"auto\"";
      bitmap.broken = bitmap.broken || flag == "\"in-use\"";
    });
    bitmaps.push_back(std::move(bitmap));
  });
  return bitmaps;
}

Error prefixed(Error error, std::string_view what, const std::string& name) {
  error.message = cat("Failed to ", what, " bitmap ", name, ": ", error.message);
  return error;
}

Status copy_bits(const Bitmaps& from, const Bitmaps& to, const std::string& name) {
  struct Copy {
    const Bitmaps& to;
    const std::string& name;
    OutgoingCall call = OutgoingCall();
    int result = 0;
  } copy{to, name};
  const auto run = [](void* opaque, uint64_t offset, uint64_t length) noexcept -> int {
    auto& c = *static_cast<Copy*>(opaque);
    c.result = c.to.ops->set_dirty(c.to.self, c.call.abi(), c.name.c_str(), offset, length);
    return c.result;
  };
  OutgoingCall call;
  const int result = from.ops->walk(from.self, call.abi(), name.c_str(), &copy, run);
  if (copy.result < 0) return copy.call.error(copy.result);
  return call.status(result);
}

Status add(const Bitmaps& to, const Bitmap& bitmap) {
  OutgoingCall call;
  const int added = to.ops->add(to.self, call.abi(), bitmap.name.c_str(), bitmap.granularity,
                                bitmap.enabled ? 1 : 0);
  if (added < 0) return prefixed(call.error(added), "create", bitmap.name);
  return {};
}

/** Leaves nothing of a bitmap whose bits could not be copied. */
Status copy(const Bitmaps& from, const Bitmaps& to, const Bitmap& bitmap) {
  INSTAR_CHECK(add(to, bitmap));
  auto copied = copy_bits(from, to, bitmap.name);
  if (copied) return {};
  OutgoingCall call;
  to.ops->remove(to.self, call.abi(), bitmap.name.c_str());
  return prefixed(std::move(copied).error(), "populate", bitmap.name);
}

}  // namespace

bool has_bitmaps(NodeRef image) {
  const Bitmaps bitmaps(image);
  if (bitmaps.ops == nullptr) return false;
  const auto listed = list(bitmaps);
  return listed || listed.error().code != ENOTSUP;
}

Status check_bitmaps(NodeRef source, bool skip_broken) {
  if (!has_bitmaps(source)) return fail(ENOTSUP, "Source lacks bitmap support");
  INSTAR_TRY(const auto bitmaps, list(Bitmaps(source)));
  // Of several, the last is told of, here as below.
  const auto broken = [](const Bitmap& bitmap) { return bitmap.broken; };
  const auto last = std::find_if(bitmaps.rbegin(), bitmaps.rend(), broken);
  if (skip_broken || last == bitmaps.rend()) return {};
  Error error = fail(EINVAL, "Cannot copy inconsistent bitmap '", last->name, "'");
  error.hint = "Try --skip-broken-bitmaps, or use 'qemu-img bitmap --remove' to delete it";
  return error;
}

Status copy_bitmaps(const CommandContext& context, NodeRef source, NodeRef target) {
  const Bitmaps from(source);
  const Bitmaps to(target);
  INSTAR_TRY(const auto bitmaps, list(from));
  INSTAR_TRY(const auto existing, list(to));
  INSTAR_TRY(const uint64_t source_size, source.size());
  INSTAR_TRY(const uint64_t size, target.size());
  // From the last one to the one that can't be copied; the target lists them in the order of the source.
  Status problem;
  auto first = bitmaps.end();
  for (; first != bitmaps.begin(); --first) {
    const auto& bitmap = *std::prev(first);
    if (bitmap.broken)
      context.warn(cat("Skipping inconsistent bitmap '", bitmap.name, "'"));
    else if (std::any_of(existing.begin(), existing.end(),
                         [&](const Bitmap& other) { return other.name == bitmap.name; }))
      problem = add(to, bitmap);
    else if (size != source_size)
      problem = prefixed(fail(EINVAL, "Bitmaps are of different sizes (destination size is ", size,
                              ", source size is ", source_size, ") and can't be merged"),
                         "populate", bitmap.name);
    if (!problem) break;
  }
  for (; first != bitmaps.end(); ++first)
    if (!first->broken) INSTAR_CHECK(copy(from, to, *first));
  return problem;
}

}  // namespace instar::convert
