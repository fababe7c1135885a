// SPDX-License-Identifier: Apache-2.0
/** @file s3_reply.hpp What a server of S3 says in XML: single elements, which are all that is needed. */
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace instar::curl {

/** The text of the first element of that name, without its children's; none if there is none. Its
 * references are resolved; what can't be printed is left out, as is what is longer than 1000 bytes. */
std::optional<std::string> xml_text(std::string_view xml, std::string_view element);

/** An answer that is an error, for a message: "NoSuchKey (404): …". @param code of HTTP. */
std::string describe_refusal(long code, std::string_view xml);

}  // namespace instar::curl
