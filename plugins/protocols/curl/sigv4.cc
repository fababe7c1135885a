// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/curl/sigv4.hpp"

#include <gcrypt.h>

#include <array>

namespace instar::curl {

using sdk::cat;
using sdk::ConstBytes;

namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
using Hash = std::array<uint8_t, 32>;

ConstBytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string hex(ConstBytes bytes) {
  std::string text;
  for (const uint8_t byte : bytes)
    for (const int shift : {4, 0})
      text += "0123456789abcdef"[byte >> shift & 15];
  return text;
}

Hash keyed_hash(ConstBytes key, std::string_view text) {
  Hash out{};
  gcry_buffer_t parts[2] = {};
  parts[0].data = const_cast<uint8_t*>(key.data());
  parts[0].len = key.size();
  parts[1].data = const_cast<char*>(text.data());
  parts[1].len = text.size();
  gcry_md_hash_buffers(GCRY_MD_SHA256, GCRY_MD_FLAG_HMAC, out.data(), parts, 2);
  return out;
}

}  // namespace

sdk::Status prepare_hashes() {
  // Another plugin may have made it ready, with secure memory for its keys.
  if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P) == 0) {
    gcry_check_version(nullptr);
    gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
    gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
  }
  if (gcry_md_test_algo(GCRY_MD_SHA256) != 0)
    return sdk::fail(ENOTSUP, "libgcrypt was built without SHA256");
  return {};
}

std::string hash_of(ConstBytes bytes) {
  Hash out{};
  gcry_md_hash_buffer(GCRY_MD_SHA256, out.data(), bytes.data(), bytes.size());
  return hex(out);
}

std::string percent_encoded(std::string_view text, std::string_view keep) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~").find(c) != std::string_view::npos ||
                       keep.find(c) != std::string_view::npos;
    const auto byte = static_cast<uint8_t>(c);
    if (plain)
      out += c;
    else
      out.append({'%', "0123456789ABCDEF"[byte >> 4], "0123456789ABCDEF"[byte & 15]});
  }
  return out;
}

std::string authorization(const Credentials& credentials, std::string_view region,
                          std::string_view time, const ToSign& request) {
  std::string canonical = cat(request.method, "\n", request.path, "\n", request.query, "\n");
  std::string names;
  for (const auto& [name, value] : request.headers) {
    canonical += cat(name, ":", value, "\n");
    names += cat(names.empty() ? "" : ";", name);
  }
  canonical += cat("\n", names, "\n", request.payload_hash);
  const auto date = time.substr(0, 8);
  const std::string scope = cat(date, "/", region, "/s3/aws4_request");
  const std::string text =
      cat(kAlgorithm, "\n", time, "\n", scope, "\n", hash_of(bytes_of(canonical)));
  const std::string first_key = cat("AWS4", credentials.secret_key);
  Hash key = keyed_hash(bytes_of(first_key), date);
  for (const std::string_view part :
       {region, std::string_view("s3"), std::string_view("aws4_request")})
    key = keyed_hash(key, part);
  return cat(kAlgorithm, " Credential=", credentials.access_key, "/", scope,
             ",SignedHeaders=", names, ",Signature=", hex(keyed_hash(key, text)));
}

}  // namespace instar::curl
