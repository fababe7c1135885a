// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/rbd/name.hpp"

#include <algorithm>

#include "sdk/cpp/json_reader.hpp"
#include "sdk/cpp/json_writer.hpp"

namespace instar::rbd {

namespace {

using sdk::fail;
using sdk::Result;

/** A name from its front to its end. */
class Words {
 public:
  explicit Words(std::string_view rest) : rest_(rest) {}

  /** What stands before the next of `ends`, still with its backslashes; without one, all of the rest. */
  std::string_view take(std::string_view ends) {
    size_t at = 0;
    while (at < rest_.size() && ends.find(rest_[at]) == ends.npos)
      at += rest_[at] == '\\' && at + 1 < rest_.size() ? 2 : 1;
    const auto word = rest_.substr(0, at);
    end_ = at < rest_.size() ? rest_[at] : '\0';
    rest_ = rest_.substr(std::min(at + 1, rest_.size()));
    return word;
  }
  /** That of the last word; 0 where nothing follows. */
  char end() const { return end_; }

 private:
  std::string_view rest_;
  char end_ = '\0';
};

std::string plain(std::string_view word) {
  std::string text;
  for (size_t i = 0; i < word.size(); ++i) {
    if (word[i] == '\\' && i + 1 < word.size()) ++i;
    text += word[i];
  }
  return text;
}

/** "[NAMESPACE/]IMAGE". */
void take_image(Name& name, std::string_view word) {
  Words words(word);
  name.image = plain(words.take("/"));
  if (words.end() == 0) return;
  name.space = std::exchange(name.image, plain(words.take("")));
}

}  // namespace

Result<Name> parse_name(std::string_view filename) {
  constexpr std::string_view kScheme = "rbd:";
  if (!filename.starts_with(kScheme)) return fail(EINVAL, "File name must start with 'rbd:'");
  Words words(filename.substr(kScheme.size()));
  Name name;
  name.pool = plain(words.take("/"));
  if (words.end() == 0) return fail(EINVAL, "Pool name is required");
  take_image(name, words.take("@:"));
  if (words.end() == '@') name.snapshot = plain(words.take(":"));
  while (words.end() != 0) {
    const std::string option = plain(words.take("="));
    if (words.end() == 0) return fail(EINVAL, "conf option ", option, " has no value");
    std::string value = plain(words.take(":"));
    if (option == "conf")
      name.conf = std::move(value);
    else if (option == "id")
      name.user = std::move(value);
    else
      name.config.emplace_back(option, std::move(value));
  }
  return name;
}

std::string options_of(const Name& name) {
  sdk::JsonWriter json;
  json.begin_object()
      .field("pool", name.pool)
      .field("namespace", name.space)
      .field("image", name.image);
  if (name.snapshot) json.field("snapshot", *name.snapshot);
  if (name.conf) json.field("conf", *name.conf);
  if (name.user) json.field("user", *name.user);
  if (!name.config.empty()) {
    sdk::JsonWriter config;
    config.begin_array();
    for (const auto& [option, value] : name.config)
      config.value(option).value(value);
    config.end_array();
    json.field(kConfigOption, config.text());
  }
  json.end_object();
  return json.text();
}

Result<ConfigValues> read_config(std::string_view json) {
  std::vector<std::string> texts;
  sdk::JsonObject::each_item(
      json, [&](std::string_view item) { texts.push_back(sdk::JsonObject::text_of(item)); });
  if (texts.empty() || texts.size() % 2 != 0)
    return fail(EINVAL, "Parameter '", kConfigOption, "' is no list of names and values");
  ConfigValues config;
  for (size_t i = 0; i < texts.size(); i += 2)
    config.emplace_back(std::move(texts[i]), std::move(texts[i + 1]));
  return config;
}

}  // namespace instar::rbd
