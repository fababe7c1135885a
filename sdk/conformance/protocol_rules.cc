// SPDX-License-Identifier: Apache-2.0
// What holds for protocols beyond what holds for every node.
#include <algorithm>

#include "sdk/abi/protocol.h"
#include "sdk/conformance/bench.hpp"

namespace instar::conformance {
namespace {

void missing_file_is_an_error(Bench& bench) {
  if (!bench.creates()) skip("the plugin creates no files");
  Store store;
  store.name = bench.file_name("is-not-there");
  const auto opened = bench.try_open(store);
  require(!opened, "opens a file that does not exist");
  require(opened.error().code == ENOENT, "the errno is ", opened.error().code,
          " instead of ENOENT");
  require(!opened.error().message.empty(), "refuses without a message");
}

void created_size_is_exact(Bench& bench) {
  for (const uint64_t size : {uint64_t{0}, uint64_t{512}, uint64_t{1} << 20, uint64_t{1} << 40}) {
    const auto store = bench.create(size);
    const auto opened = bench.open(store);
    const uint64_t got = need(opened.node->size(), "size");
    require(got == size, "a file of ", size, " bytes has ", got);
    opened.close();
  }
}

void removed_file_is_gone(Bench& bench) {
  const auto& ops = bench.table<instar_protocol_ops>();
  if (ops.remove == nullptr) skip("the protocol does not remove");
  const auto store = bench.create(512);
  sdk::OutgoingCall call;
  need(call.status(ops.remove(bench.host(), call.abi(), store.name.c_str())), "remove");
  require(!bench.try_open(store), "a removed file can be opened");
}

void writes_beyond_the_end_grow(Bench& bench) {
  const auto store = bench.create(1024);
  const auto opened = bench.open(store, INSTAR_OPEN_WRITE);
  const auto data = bench.random_bytes(1000);
  need(opened.node->write(bench.call(), 5000, data.data(), data.size()), "writing beyond the end");
  Bytes expected(6000);
  std::copy(data.begin(), data.end(), expected.begin() + 5000);
  Bytes got = read_all(bench, *opened.node);
  require(got.size() >= expected.size(), "the file has not grown: ", got.size(), " bytes");
  got.resize(expected.size());
  require_equal(got, expected, "after writing beyond the end");
  opened.close();
}

}  // namespace

std::vector<Rule> protocol_rules() {
  return {
      {"P1", "a file that is not there is an error", kProtocols, &missing_file_is_an_error},
      {"P2", "a created file has its size", kProtocols, &created_size_is_exact},
      {"P3", "a removed file is gone", kProtocols, &removed_file_is_gone},
      {"P4", "writes beyond the end make a file longer", kProtocols, &writes_beyond_the_end_grow},
  };
}

}  // namespace instar::conformance
