// SPDX-License-Identifier: Apache-2.0
/** @file sigv4.hpp Signatures of requests, as AWS and what is like it want them: "Signature Version 4" of
 * the AWS General Reference, with the rules of S3 (a path is encoded once). */
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "sdk/cpp/bytes.hpp"
#include "sdk/cpp/result.hpp"

namespace instar::curl {

struct Credentials {
  std::string access_key;  ///< "": requests are not signed
  std::string secret_key;
  std::string token;  ///< of a session; "": none
};

/** Makes the library ready; to be called once before the rest. */
sdk::Status prepare_hashes();

/** SHA-256, as lower-case hexadecimal digits. */
std::string hash_of(sdk::ConstBytes bytes);

/** All but letters, digits and "-._~" as "%XX". @param keep more that stays, such as "/". */
std::string percent_encoded(std::string_view text, std::string_view keep = {});

/** One request, encoded as it is sent. */
struct ToSign {
  std::string method;
  std::string path;                            ///< with its first slash
  std::string query;                           ///< "a=1&b=", sorted; ""
  std::map<std::string, std::string> headers;  ///< names in lower case; "host" is among them
  std::string payload_hash;
};

/** The value of the header Authorization. @param time "20130524T000000Z". */
std::string authorization(const Credentials& credentials, std::string_view region,
                          std::string_view time, const ToSign& request);

}  // namespace instar::curl
