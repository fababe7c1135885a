// SPDX-License-Identifier: Apache-2.0
/** @file s3_node.hpp An object of S3: read by ranges, stored whole. */
#pragma once

#include "plugins/protocols/curl/curl_node.hpp"

namespace instar::curl {

struct S3Node : CurlNode {
  using CurlNode::CurlNode;
  static sdk::Result<std::unique_ptr<S3Node>> open(sdk::OpenContext& context);
  static sdk::Status upload(sdk::CreateContext& context, const sdk::UploadSource& source);
  static sdk::Result<std::string> parse_filename(std::string_view filename);
};

}  // namespace instar::curl
