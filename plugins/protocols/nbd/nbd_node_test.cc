// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/nbd/nbd_node.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "plugins/protocols/nbd/fake_server.hpp"
#include "sdk/cpp/testing.hpp"

namespace instar::nbd {
namespace {

using sdk::ProtocolTable;
using sdk::testing::FakeHost;
using sdk::testing::OptionList;
using sdk::testing::quiet_call;

constexpr size_t kSize = 1 << 20;

class Nbd : public testing::Test {
 protected:
  auto open(OptionList options = {}, uint32_t flags = INSTAR_OPEN_WRITE) {
    return host_.open(ProtocolTable<NbdNode>::ops(), "", flags,
                      options.text("path", server_.path()));
  }
  FakeServer server_{kSize};
  FakeHost host_;
};

TEST_F(Nbd, ReadsAndWrites) {
  auto node = open();
  ASSERT_TRUE(node) << node.error().message;
  EXPECT_EQ(*node->ref().size(), kSize);
  std::vector<uint8_t> data(4096, 7), back(4096);
  ASSERT_TRUE(node->ref().write(quiet_call(), 8192, data.data(), data.size()));
  ASSERT_TRUE(node->ref().flush(quiet_call()));
  ASSERT_TRUE(node->ref().read(quiet_call(), 8192, back.data(), back.size()));
  EXPECT_EQ(back, data);
  instar_iovec pieces[] = {{back.data(), 512}, {back.data() + 1024, 512}};
  ASSERT_EQ(node->abi()->ops->read(node->abi()->self, nullptr, 8192, pieces, 2), 0);
  EXPECT_EQ(server_.connections, 1);
}

TEST_F(Nbd, ServesManyThreadsOverSeveralConnections) {
  server_.milliseconds = 1;
  auto node = open();
  ASSERT_TRUE(node);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int number = 0; number < 8; ++number)
    threads.emplace_back([&, number] {
      std::vector<uint8_t> data(4096, static_cast<uint8_t>(number + 1)), back(4096);
      for (uint64_t at = 4096 * static_cast<uint64_t>(number); at < kSize; at += 8 * 4096) {
        if (!node->ref().write(quiet_call(), at, data.data(), data.size())) ++wrong;
        if (!node->ref().read(quiet_call(), at, back.data(), back.size())) ++wrong;
        if (back != data) ++wrong;
      }
    });
  for (auto& thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(server_.connections, 1);
  EXPECT_LE(server_.connections, 4);
}

TEST_F(Nbd, PassesOnTheServersErrors) {
  auto node = open();
  ASSERT_TRUE(node);
  uint8_t sector[512];
  server_.fail_with = ENOSPC;
  EXPECT_EQ(node->ref().write(quiet_call(), 0, sector, sizeof sector).error().code, ENOSPC);
  server_.fail_with = EIO;
  EXPECT_EQ(node->ref().read(quiet_call(), 0, sector, sizeof sector).error().code, EIO);
  server_.fail_with = 0;
  EXPECT_TRUE(node->ref().read(quiet_call(), 0, sector, sizeof sector));
}

TEST_F(Nbd, FailsWhereAConnectionIsCut) {
  auto node = open();
  ASSERT_TRUE(node);
  uint8_t sector[512];
  server_.cut_after = 1;
  const auto cut = node->ref().read(quiet_call(), 0, sector, sizeof sector);
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, EIO);
  EXPECT_EQ(cut.error().message, "Input/output error");
}

TEST_F(Nbd, WaitsForALostServer) {
  auto node = open(OptionList().number("reconnect-delay", 20, INSTAR_OPTION_NUMBER));
  ASSERT_TRUE(node);
  std::fill(server_.disk().begin(), server_.disk().end(), uint8_t{9});
  server_.stop();
  std::thread restart([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    server_.start();
  });
  uint8_t sector[512] = {};
  const auto read = node->ref().read(quiet_call(), 0, sector, sizeof sector);
  restart.join();
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(sector[511], 9);
}

TEST_F(Nbd, GivesUpAfterTheDelay) {
  auto node = open(OptionList().number("reconnect-delay", 1, INSTAR_OPTION_NUMBER));
  ASSERT_TRUE(node);
  server_.stop();
  uint8_t sector[512];
  const auto begin = Clock::now();
  EXPECT_EQ(node->ref().read(quiet_call(), 0, sector, sizeof sector).error().code, EIO);
  EXPECT_GE(Clock::now() - begin, std::chrono::milliseconds(900));
}

TEST_F(Nbd, EndsSoonWhenCancelled) {
  auto node = open();
  ASSERT_TRUE(node);
  server_.mute = true;
  int32_t cancelled = 0;
  instar_call abi{};
  abi.struct_size = sizeof abi;
  abi.cancelled = &cancelled;
  std::thread user([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    __atomic_store_n(&cancelled, 1, __ATOMIC_RELAXED);
  });
  uint8_t sector[512];
  const auto begin = Clock::now();
  EXPECT_EQ(node->ref().read(sdk::Call(&abi), 0, sector, sizeof sector).error().code, ECANCELED);
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(1));
  user.join();
}

TEST_F(Nbd, DoesNotWaitForEverWhenToldSo) {
  auto node = open(OptionList().number("request-timeout", 1, INSTAR_OPTION_NUMBER));
  ASSERT_TRUE(node);
  server_.mute = true;
  uint8_t sector[512];
  EXPECT_EQ(node->ref().read(quiet_call(), 0, sector, sizeof sector).error().code, EIO);
}

TEST_F(Nbd, KnowsItsName) {
  auto node = open();
  ASSERT_TRUE(node);
  void* self = nullptr;
  const auto* ops = node->ref().interface<instar_info_ops>(INSTAR_INFO_ID, &self);
  sdk::StringSink name;
  ASSERT_EQ(ops->filename(self, nullptr, name.abi()), 0);
  EXPECT_EQ(name.text, "nbd+unix://?socket=" + server_.path());
}

TEST(NbdReadOnly, RefusesWriters) {
  FakeServer server(kSize, FakeServer::kHasFlags | FakeServer::kReadOnly);
  FakeHost host;
  const auto opened = host.open(ProtocolTable<NbdNode>::ops(), "", INSTAR_OPEN_WRITE,
                                OptionList().text("path", server.path()));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().message, "Could not open image: Permission denied");
  EXPECT_TRUE(
      host.open(ProtocolTable<NbdNode>::ops(), "", 0, OptionList().text("path", server.path())));
}

TEST_F(Nbd, CreatesOnlyWhereThereIsRoom) {
  const std::string name = "nbd+unix://?socket=" + server_.path();
  const auto* ops = ProtocolTable<NbdNode>::ops();
  std::fill(server_.disk().begin(), server_.disk().end(), uint8_t{9});
  EXPECT_EQ(host_.create(ops, name, OptionList().number("size", kSize + 1)).error().message,
            "Cannot grow NBD nodes");
  ASSERT_TRUE(host_.create(ops, name, OptionList().number("size", kSize)));
  EXPECT_EQ(server_.disk()[511], 0);
  EXPECT_EQ(server_.disk()[512], 9);
  EXPECT_EQ(host_.create(ops, name, OptionList().text("preallocation", "full")).error().message,
            "Unsupported preallocation mode 'full'");
}

TEST(NbdTls, RefusesCredentialsThatAreNone) {
  FakeHost host;
  host.objects["s"] = R"({"qom-type":"secret","id":"s"})";
  host.objects["x"] = R"({"qom-type":"tls-creds-x509","id":"x","dir":"/nonexistent"})";
  host.objects["p"] = R"({"qom-type":"tls-creds-psk","id":"p","dir":"/d","endpoint":"server"})";
  const auto message = [&](const std::string& id) {
    const auto opened = host.open(ProtocolTable<NbdNode>::ops(), "", 0,
                                  OptionList().text("host", "h").text("tls-creds", id));
    return opened ? "" : opened.error().message;
  };
  EXPECT_EQ(message("n"), "No TLS credentials with id 'n'");
  EXPECT_EQ(message("s"), "Object with id 's' is not TLS credentials");
  EXPECT_EQ(message("p"), "Expecting TLS credentials with a client endpoint");
  EXPECT_EQ(message("x"),
            "Unable to access credentials /nonexistent/ca-cert.pem: No such file or directory");
}

}  // namespace
}  // namespace instar::nbd
