// SPDX-License-Identifier: Apache-2.0
// What holds for every plugin's library, whatever it provides.
#include <dlfcn.h>
#include <time.h>

#include <cstring>

#include "core/loader/elf.hpp"
#include "sdk/abi/command.h"
#include "sdk/abi/encryption.h"
#include "sdk/abi/filter.h"
#include "sdk/abi/format.h"
#include "sdk/abi/protocol.h"
#include "sdk/conformance/bench.hpp"

namespace instar::conformance {
namespace {

constexpr double kSlowLoadMs = 20;

double cpu_ms() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

instar_plugin_entry_fn entry_of(Bench& bench) {
  const auto& library = bench.subject().manifest->library;
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  require(handle != nullptr, handle == nullptr ? dlerror() : "");
  void* entry = dlsym(handle, INSTAR_PLUGIN_ENTRY_SYMBOL);
  require(entry != nullptr, "no symbol " INSTAR_PLUGIN_ENTRY_SYMBOL);
  return reinterpret_cast<instar_plugin_entry_fn>(entry);
}

void exports_only_the_entry(Bench& bench) {
  const auto elf = need(loader::read_elf(bench.subject().manifest->library));
  for (const auto& symbol : elf.exports)
    require(symbol == INSTAR_PLUGIN_ENTRY_SYMBOL, "exports ", symbol);
  require(!elf.exports.empty(), "does not export " INSTAR_PLUGIN_ENTRY_SYMBOL);
}

void loads_at_once_and_fast(Bench& bench) {
  const double start = cpu_ms();
  entry_of(bench);
  const double ms = cpu_ms() - start;
  if (ms > kSlowLoadMs)
    warn("loading took ", static_cast<int>(ms),
         " ms of CPU: a library that it links to is heavy; load that one when it is needed");
}

void manifest_agrees(Bench& bench) {
  const auto& manifest = *bench.subject().manifest;
  const auto elf = need(loader::read_elf(manifest.library));
  require(manifest.build_id.empty() || manifest.build_id == elf.build_id,
          "the manifest belongs to build ", manifest.build_id, ", the library is ", elf.build_id);
  // The loader compares name, version and what is provided.
  switch (bench.kind()) {
    case INSTAR_KIND_FORMAT:
      bench.table<instar_format_ops>();
      break;
    case INSTAR_KIND_PROTOCOL:
      bench.table<instar_protocol_ops>();
      break;
    case INSTAR_KIND_FILTER:
      bench.table<instar_filter_ops>();
      break;
    case INSTAR_KIND_CODEC:
      bench.table<instar_codec_ops>();
      break;
    case INSTAR_KIND_ENCRYPTION:
      bench.table<instar_encryption_ops>();
      break;
    case INSTAR_KIND_COMMAND:
      bench.table<instar_command_ops>();
      break;
    case INSTAR_KIND_DIGEST:
      bench.table<instar_digest_ops>();
      break;
  }
}

const instar_host* lonely_host() {
  static const instar_host host = {
      sizeof host,
      0,
      nullptr,
      [](const instar_host*, const char*) noexcept -> const void* { return nullptr; },
      [](const instar_host*, int, const char*, size_t) noexcept {},
      [](const instar_host*, instar_call*, uint32_t, const char*,
         const void*) noexcept -> const void* { return nullptr; }};
  return &host;
}

/** Runs the entry for a host that knows `known` bytes of the descriptor. */
void run_entry(Bench& bench, uint32_t known) {
  constexpr uint8_t kCanary = 0xa5;
  std::vector<uint8_t> memory(known + 256, kCanary);
  instar_plugin plugin{};
  plugin.struct_size = known;
  std::memcpy(memory.data(), &plugin, std::min<size_t>(known, sizeof plugin));
  const int result =
      entry_of(bench)(lonely_host(), reinterpret_cast<instar_plugin*>(memory.data()));
  require(result == 0, "the entry returned ", result);
  for (size_t i = known; i < memory.size(); ++i)
    require(memory[i] == kCanary, "wrote beyond the ", known, " bytes that the host knows");
  std::memcpy(&plugin, memory.data(), std::min<size_t>(known, sizeof plugin));
  require(plugin.struct_size <= known, "says it filled in ", plugin.struct_size, " bytes of ",
          known);
  require(plugin.provides != nullptr && plugin.provides_count > 0, "provides nothing");
}

void takes_any_host(Bench& bench) {
  run_entry(bench, sizeof(instar_plugin));
  run_entry(bench, 4096);
}

void unknown_interface_is_null(Bench& bench) {
  if (bench.kind() != INSTAR_KIND_FORMAT) skip("only formats have interfaces of their own");
  const auto& ops = bench.table<instar_format_ops>();
  if (ops.get_interface == nullptr) return;
  for (const char* id : {"", "com.example.nothing/1", "instar.measure/999", "instar.draft.x/1"})
    require(ops.get_interface(id) == nullptr, "has an interface '", id, "'");
}

void tables_are_complete(Bench& bench) {
  const auto check = [](bool there, const char* slot) { require(there, "the table lacks ", slot); };
  switch (bench.kind()) {
    case INSTAR_KIND_FORMAT: {
      const auto& ops = bench.table<instar_format_ops>();
      check(ops.open != nullptr, "open");
      if (bench.subject().provide->probe_by_code) check(ops.probe != nullptr, "probe");
      return;
    }
    case INSTAR_KIND_PROTOCOL:
      return check(bench.table<instar_protocol_ops>().open != nullptr, "open");
    case INSTAR_KIND_FILTER:
      return check(bench.table<instar_filter_ops>().open != nullptr, "open");
    case INSTAR_KIND_COMMAND:
      return check(bench.table<instar_command_ops>().run != nullptr, "run");
    case INSTAR_KIND_ENCRYPTION: {
      const auto& ops = bench.table<instar_encryption_ops>();
      return check(ops.open != nullptr && ops.encrypt != nullptr && ops.decrypt != nullptr &&
                       ops.close != nullptr,
                   "open, encrypt, decrypt or close");
    }
    case INSTAR_KIND_DIGEST: {
      const auto& ops = bench.table<instar_digest_ops>();
      return check(ops.open != nullptr && ops.close != nullptr && ops.update != nullptr &&
                       ops.finish != nullptr,
                   "open, close, update or finish");
    }
    case INSTAR_KIND_CODEC: {
      const auto& ops = bench.table<instar_codec_ops>();
      return check(ops.open != nullptr && ops.close != nullptr && ops.compress != nullptr &&
                       ops.decompress != nullptr && ops.bound != nullptr,
                   "open, close, compress, decompress or bound");
    }
  }
}

}  // namespace

std::vector<Rule> library_rules() {
  return {
      {"L1", "exports nothing but its entry", kAll, &exports_only_the_entry},
      {"L2", "loads at once, and fast", kAll, &loads_at_once_and_fast},
      {"L3", "manifest and library agree", kAll, &manifest_agrees},
      {"L4", "takes older and newer hosts", kAll, &takes_any_host},
      {"L5", "an unknown interface is NULL", kFormats, &unknown_interface_is_null},
      {"L6", "tables have what is required", kAll, &tables_are_complete},
  };
}

}  // namespace instar::conformance
