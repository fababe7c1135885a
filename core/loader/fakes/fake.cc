// SPDX-License-Identifier: Apache-2.0
// Plugins with one fault each, for the tests of loader and registry. Written against the bare ABI,
// as the SDK makes most of these faults impossible. Every one provides the format "fake", but for
// its manifest, which the tests write.
#include <cerrno>
#include <cstdlib>
#include <stdexcept>

#include "sdk/abi/format.h"
#include "sdk/abi/plugin.h"

extern "C" void nobody_defines_this();

namespace {

int probe_score(const instar_host* host, const uint8_t* head, size_t head_len,
                const char* filename);

[[maybe_unused]] int probe(const instar_host*, const uint8_t* head, size_t head_len, const char*) {
#if defined(FAKE_THROWING_OPS)
  throw std::runtime_error("probing is hard");
#endif
  return head_len > 0 && head[0] == 'F' ? 42 : 0;
}

[[maybe_unused]] int open_image(const instar_host*, instar_call*, const instar_open_args*,
                                instar_node*) {
  return -ENOTSUP;
}

#if defined(FAKE_NEWER_MINOR)
// A table of a later SDK: slots that this host has never heard of.
struct Table {
  instar_format_ops base;
  void (*later_slots[4])();
};
constexpr uint32_t kMinor = 99;
const Table table = {{sizeof(Table), 0, &probe, &open_image, nullptr, nullptr}, {}};
#elif defined(FAKE_SHORT_TABLE)
// A table of an earlier SDK: it ends before `create`, what follows is not to be looked at.
constexpr uint32_t kMinor = 0;
const instar_format_ops table = {
    offsetof(instar_format_ops, create),
    0,
    &probe,
    &open_image,
    reinterpret_cast<int (*)(const instar_host*, instar_call*, const instar_create_args*)>(0x1),
    reinterpret_cast<const void* (*)(const char*)>(0x1)};
#elif defined(FAKE_NO_OPEN)
constexpr uint32_t kMinor = 0;
const instar_format_ops table = {sizeof(instar_format_ops), 0, &probe, nullptr, nullptr, nullptr};
#elif defined(FAKE_REPLACING)
constexpr uint32_t kMinor = 0;
const instar_format_ops table = {
    sizeof(instar_format_ops), 0, &probe_score, &open_image, nullptr, nullptr};
#else
constexpr uint32_t kMinor = 0;
const instar_format_ops table = {
    sizeof(instar_format_ops), 0, &probe, &open_image, nullptr, nullptr};
#endif

/** One more than what stands behind; what `replaces` is for. */
[[maybe_unused]] int probe_score(const instar_host* host, const uint8_t* head, size_t head_len,
                                 const char* filename) {
  const auto* next = static_cast<const instar_format_ops*>(
      host->next(host, nullptr, INSTAR_KIND_FORMAT, "fake", &table));
  return next != nullptr ? next->probe(host, head, head_len, filename) + 1 : -ENOENT;
}

[[maybe_unused]] int fill_in(const instar_host* host, instar_plugin* plugin) {
#if defined(FAKE_THROWING_ENTRY)
  throw std::runtime_error("no mood");
#elif defined(FAKE_THROWING_INT)
  throw 42;
#elif defined(FAKE_REFUSING)
  return -ENODEV;
#elif defined(FAKE_CRASHING)
  std::abort();
#elif defined(FAKE_EMPTY)
  return host != nullptr ? 0 : -EINVAL;
#elif defined(FAKE_UNDEFINED)
  nobody_defines_this();
#endif
  static const instar_provide provides[] = {{INSTAR_KIND_FORMAT, 0, "fake", &table}};
  if (host == nullptr) return -EINVAL;
  plugin->abi_minor = kMinor;
  plugin->name = "fake";
  plugin->version = "1";
  plugin->provides = provides;
  plugin->provides_count = 1;
  return 0;
}

}  // namespace

#if defined(FAKE_MAJOR_2)
extern "C" INSTAR_EXPORT int instar_plugin_entry_v2(const instar_host* host,
                                                    instar_plugin* plugin) {
  return fill_in(host, plugin);
}
#elif defined(FAKE_NO_ENTRY)
extern "C" INSTAR_EXPORT int some_other_library() {
  return table.reserved;
}
#else
extern "C" INSTAR_EXPORT int instar_plugin_entry_v1(const instar_host* host,
                                                    instar_plugin* plugin) {
  return fill_in(host, plugin);
}
#endif

#if defined(FAKE_LEAKING)
extern "C" INSTAR_EXPORT int leaked_symbol() {
  return 1;
}
#endif
