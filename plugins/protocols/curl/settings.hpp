// SPDX-License-Identifier: Apache-2.0
/** @file settings.hpp What a user says of a URL and of how it is read. */
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "sdk/cpp/driver.hpp"

namespace instar::curl {

class Dialect;

struct Settings {
  std::string url;
  uint64_t read_ahead = 0;          ///< bytes; of requests that are smaller
  std::chrono::seconds timeout{0};  ///< without a byte; 0: none
  bool verify = true;               ///< certificates are checked
  std::string cookie;
  std::string username, password, proxy_username, proxy_password;
  std::string name;                             ///< that opens the file again; "": only options do
  std::shared_ptr<const Dialect> dialect = {};  ///< nullptr: plain HTTP or FTP

  bool is_http() const { return url.starts_with("http"); }
};

/** Checks everything; secrets come from objects. @param scheme "http", "ftps", … */
sdk::Result<Settings> read_settings(const sdk::Host& host, const sdk::Options& options,
                                    std::string_view scheme);

/** What --object secret has under the id that an option names; "" without the option. */
sdk::Result<std::string> read_secret(const sdk::Host& host, const sdk::Options& options,
                                     const char* name);

/** Those that every driver here has: readahead, timeout, sslverify. */
sdk::Status read_limits(const sdk::Options& options, uint64_t timeout, Settings& settings);

}  // namespace instar::curl
