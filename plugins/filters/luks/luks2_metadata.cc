// SPDX-License-Identifier: Apache-2.0
#include "plugins/filters/luks/luks2_metadata.hpp"

#include <algorithm>
#include <bit>

#include "sdk/cpp/base64.hpp"
#include "sdk/cpp/json_reader.hpp"
#include "sdk/cpp/json_writer.hpp"

namespace instar::luks {
namespace {

using sdk::fail;
using sdk::JsonObject;

constexpr uint64_t kAreaUnit = 4096;
constexpr uint64_t kMaxKeySize = 64;
constexpr uint64_t kMaxSalt = 1024;

sdk::Error corrupt(std::string_view what) {
  return fail(EINVAL, "LUKS metadata: ", what, " is missing or wrong");
}

bool lists(const JsonObject& object, std::string_view name, std::string_view id) {
  bool found = false;
  JsonObject::each_item(object.find(name).value_or("[]"),
                        [&](std::string_view item) { found |= JsonObject::text_of(item) == id; });
  return found;
}

std::string decoded(const JsonObject& object, std::string_view name) {
  const auto text = object.string(name);
  auto bytes = text && text->size() <= 2 * kMaxSalt ? sdk::decode_base64(*text) : std::nullopt;
  return std::move(bytes).value_or("");
}

/** What changed the volume in a way that we don't know. */
sdk::Status check_requirements(const JsonObject& config) {
  std::string first;
  JsonObject::each_item(config.object("requirements").find("mandatory").value_or("[]"),
                        [&](std::string_view item) {
                          if (first.empty()) first = JsonObject::text_of(item) + " ";
                        });
  if (first.empty()) return {};
  first.pop_back();
  return fail(ENOTSUP, "LUKS requirement '", first, "' is not supported");
}

sdk::Result<Luks2Segment> read_segment(const JsonObject& segments) {
  Luks2Segment out;
  size_t count = 0;
  std::string_view text;
  segments.each_member([&](const std::string& id, std::string_view value) {
    out.id = id;
    text = value;
    return ++count > 1;
  });
  if (count != 1) return fail(ENOTSUP, "LUKS volumes of several segments are not supported");
  const JsonObject segment(text);
  if (segment.string("type") != "crypt")
    return fail(ENOTSUP, "LUKS segment type '", segment.string("type").value_or(""),
                "' is not supported");
  if (segment.find("integrity"))
    return fail(ENOTSUP, "LUKS volumes with integrity protection are not supported");
  if (segment.string("size") != "dynamic")
    return fail(ENOTSUP, "LUKS segments of a fixed size are not supported");
  const auto offset = segment.number("offset");
  const auto tweak = segment.number("iv_tweak");
  const auto sector = segment.number("sector_size");
  if (!offset || *offset > INT64_MAX || *offset % kSectorSize != 0) return corrupt("\"offset\"");
  if (!tweak) return corrupt("\"iv_tweak\"");
  if (!sector || *sector < kSectorSize || *sector > 4096 || !std::has_single_bit(*sector))
    return corrupt("\"sector_size\"");
  out.offset = *offset;
  out.iv_tweak = *tweak;
  out.sector_size = *sector;
  out.encryption = segment.string("encryption").value_or("");
  return out;
}

/** The digest that the segment's key is checked with; its text in `json`. */
sdk::Result<Luks2Digest> read_digest(const JsonObject& digests, const std::string& segment,
                                     std::string_view& json) {
  Luks2Digest out;
  digests.each_member([&](const std::string& id, std::string_view value) {
    if (!lists(JsonObject(value), "segments", segment)) return false;
    out.id = id;
    json = value;
    return true;
  });
  const JsonObject digest(json);
  if (digest.string("type") != "pbkdf2") return corrupt("a digest of type \"pbkdf2\"");
  out.hash = find_hash(digest.string("hash").value_or(""));
  if (out.hash == nullptr)
    return fail(EINVAL, "Hash algorithm '", digest.string("hash").value_or(""), "' not supported");
  out.iterations = digest.number("iterations").value_or(0);
  if (out.iterations == 0 || out.iterations > kMaxIterations) return corrupt("\"iterations\"");
  out.salt = decoded(digest, "salt");
  out.digest = decoded(digest, "digest");
  if (out.salt.empty()) return corrupt("\"salt\"");
  if (out.digest.size() < 16 || out.digest.size() > 64) return corrupt("\"digest\"");
  return out;
}

/** nullopt for what we don't know, or what nobody should compute. */
std::optional<Kdf> read_kdf(const JsonObject& object) {
  const auto type = find_kdf(object.string("type").value_or(""));
  if (!type) return std::nullopt;
  Kdf kdf;
  kdf.type = *type;
  kdf.salt = decoded(object, "salt");
  kdf.iterations = object.number(kdf.is_argon2() ? "time" : "iterations").value_or(0);
  kdf.memory = object.number("memory").value_or(0);
  kdf.lanes = object.number("cpus").value_or(0);
  if (!kdf.is_argon2()) {
    kdf.hash = find_hash(object.string("hash").value_or(""));
    if (kdf.hash == nullptr) return std::nullopt;
  }
  if (kdf.salt.empty()) return std::nullopt;
  return kdf;
}

sdk::Result<Luks2Slot> read_slot(const JsonObject& slot, const Luks2Area& all, size_t key_size) {
  Luks2Slot out;
  const JsonObject area = slot.object("area");
  const auto offset = area.number("offset");
  const auto length = area.number("size");
  if (!offset || !length || *offset < all.offset || *offset > all.end() ||
      *length > all.end() - *offset)
    return corrupt("the area of a key slot");
  out.area = {*offset, *length};
  out.encryption = area.string("encryption").value_or("");
  out.area_key_size = area.number("key_size").value_or(0);
  const JsonObject af = slot.object("af");
  out.af_hash = find_hash(af.string("hash").value_or(""));
  const auto kdf = read_kdf(slot.object("kdf"));
  if (kdf) out.kdf = *kdf;
  out.usable = slot.string("type") == "luks2" && area.string("type") == "raw" &&
               slot.number("key_size") == key_size && af.string("type") == "luks1" &&
               af.number("stripes") == kStripes && out.af_hash != nullptr && kdf.has_value() &&
               out.area.length >= key_size * kStripes &&
               read_encryption(out.encryption, out.area_key_size);
  return out;
}

/** The id of a key slot: "0" to "31". */
std::optional<size_t> slot_number(const std::string& id) {
  const bool plain = id.size() == 1 || (id.size() == 2 && id[0] != '0');
  if (!plain || id.find_first_not_of("0123456789") != id.npos) return std::nullopt;
  const size_t number = std::stoul(id);
  return number < kLuks2Slots ? std::optional(number) : std::nullopt;
}

sdk::Status read_slots(const JsonObject& keyslots, const JsonObject& digest, Luks2Metadata& out) {
  sdk::Status result;
  keyslots.each_member([&](const std::string& id, std::string_view value) {
    const auto number = slot_number(id);
    if (!number || out.slots[*number]) {
      result = corrupt("the number of a key slot");
      return true;
    }
    auto slot = read_slot(JsonObject(value), out.slots_area, out.key_size);
    if (!slot) {
      result = std::move(slot).error();
      return true;
    }
    slot->usable = slot->usable && lists(digest, "keyslots", id);
    out.slots[*number] = *std::move(slot);
    return false;
  });
  return result;
}

/** The key's length, by the first slot that holds it. More slots than there can be are not looked for. */
size_t read_key_size(const JsonObject& keyslots, const JsonObject& digest) {
  size_t size = 0, looked_at = 0;
  keyslots.each_member([&](const std::string& id, std::string_view value) {
    if (++looked_at > kLuks2Slots) return true;
    if (!lists(digest, "keyslots", id)) return false;
    size = JsonObject(value).number("key_size").value_or(0);
    return true;
  });
  return size;
}

sdk::Status check_overlaps(const Luks2Metadata& metadata) {
  for (size_t i = 0; i < kLuks2Slots; ++i)
    for (size_t j = i + 1; j < kLuks2Slots; ++j) {
      const auto &a = metadata.slots[i], &b = metadata.slots[j];
      if (a && b && a->area.end() > b->area.offset && b->area.end() > a->area.offset)
        return fail(EINVAL, "Keyslots ", i, " and ", j, " are overlapping in the header");
    }
  return {};
}

/** An object's text with one member changed (at its place), added, or (empty) left out. */
std::string with_member(std::string_view object, const std::string& name, std::string_view value) {
  sdk::JsonWriter json;
  json.begin_object();
  bool done = false;
  JsonObject(object).each_member([&](const std::string& member, std::string_view old) {
    const bool changed = member == name;
    done |= changed;
    if (!changed || !value.empty()) json.key(member).raw(changed ? value : old);
    return false;
  });
  if (!done && !value.empty()) json.key(name).raw(value);
  return json.end_object().text();
}

/** The list of that name in an object, with or without an id. */
std::string change_list(std::string_view object, const std::string& name, const std::string& id,
                        bool present) {
  sdk::JsonWriter json;
  json.begin_array();
  JsonObject::each_item(JsonObject(object).find(name).value_or("[]"), [&](std::string_view item) {
    if (JsonObject::text_of(item) != id) json.raw(item);
  });
  if (present) json.value(id);
  return with_member(object, name, json.end_array().text());
}

std::string text_of(const Luks2Slot& slot, size_t key_size) {
  const auto& kdf = slot.kdf;
  sdk::JsonWriter json;
  json.begin_object().field("type", "luks2").field("key_size", key_size);
  json.key("af").begin_object().field("type", "luks1").field("stripes", kStripes);
  json.field("hash", slot.af_hash->name).end_object();
  json.key("area").begin_object().field("type", "raw");
  json.field("offset", std::to_string(slot.area.offset));
  json.field("size", std::to_string(slot.area.length)).field("encryption", slot.encryption);
  json.field("key_size", slot.area_key_size).end_object();
  json.key("kdf").begin_object().field("type", name_of(kdf.type));
  if (kdf.is_argon2())
    json.field("time", kdf.iterations).field("memory", kdf.memory).field("cpus", kdf.lanes);
  else
    json.field("hash", kdf.hash->name).field("iterations", kdf.iterations);
  json.field("salt", sdk::encode_base64(kdf.salt)).end_object();
  return json.end_object().text();
}

}  // namespace

size_t luks2_material(size_t key_size) {
  return sdk::round_up(key_size * kStripes, kAreaUnit);
}

sdk::Result<CipherSpec> read_encryption(const std::string& text, size_t key_size) {
  const auto dash = text.find('-');
  if (dash == text.npos || key_size > kMaxKeySize)
    return fail(ENOTSUP, "LUKS encryption '", text, "' with a key of ", key_size,
                " bytes is not supported");
  return read_spec(text.substr(0, dash), std::string_view(text).substr(dash + 1),
                   static_cast<uint32_t>(key_size));
}

sdk::Result<Luks2Metadata> Luks2Metadata::read(const std::string& json, uint64_t header_size) {
  const JsonObject all(json);
  Luks2Metadata out;
  const JsonObject config = all.object("config");
  INSTAR_CHECK(check_requirements(config));
  out.slots_area = {2 * header_size, config.number("keyslots_size").value_or(0)};
  if (out.slots_area.length > (128u << 20)) return corrupt("\"keyslots_size\"");
  INSTAR_TRY(out.segment, read_segment(all.object("segments")));
  std::string_view digest_text;
  INSTAR_TRY(out.digest, read_digest(all.object("digests"), out.segment.id, digest_text));
  const JsonObject digest(digest_text), keyslots = all.object("keyslots");
  out.key_size = read_key_size(keyslots, digest);
  // Without a slot there is nothing that could be opened, but something to be described.
  for (size_t size = kMaxKeySize; out.key_size == 0 && size >= 16; size /= 2)
    if (read_encryption(out.segment.encryption, size)) out.key_size = size;
  INSTAR_TRY(out.spec, read_encryption(out.segment.encryption, out.key_size));
  out.spec.sector_size = out.segment.sector_size;
  INSTAR_CHECK(read_slots(keyslots, digest, out));
  INSTAR_CHECK(check_overlaps(out));
  return out;
}

sdk::Result<Luks2Area> Luks2Metadata::free_area() const {
  Luks2Area area{slots_area.offset, luks2_material(key_size)};
  for (bool moved = true; moved;) {
    moved = false;
    for (const auto& slot : slots) {
      if (!slot || slot->area.offset >= area.end() || area.offset >= slot->area.end()) continue;
      area.offset = sdk::round_up(slot->area.end(), kAreaUnit);
      moved = true;
    }
  }
  if (area.end() > slots_area.end())
    return fail(ENOSPC, "Can't add a keyslot - the header has no room for its material");
  return area;
}

std::string change_slot(const std::string& json, size_t id, const Luks2Slot* slot,
                        const Luks2Metadata& metadata) {
  const JsonObject all(json);
  const std::string name = std::to_string(id);
  const std::string slots =
      with_member(all.object("keyslots").json(), name,
                  slot != nullptr ? text_of(*slot, metadata.key_size) : std::string());
  std::string digests(all.object("digests").json());
  all.object("digests").each_member([&](const std::string& digest, std::string_view value) {
    const bool present = slot != nullptr && digest == metadata.digest.id;
    digests = with_member(digests, digest, change_list(value, "keyslots", name, present));
    return false;
  });
  std::string tokens(all.object("tokens").json());
  if (slot == nullptr)
    all.object("tokens").each_member([&](const std::string& token, std::string_view value) {
      tokens = with_member(tokens, token, change_list(value, "keyslots", name, false));
      return false;
    });
  return with_member(with_member(with_member(json, "keyslots", slots), "digests", digests),
                     "tokens", tokens);
}

std::string make_metadata(const Luks2Metadata& metadata, uint64_t json_size) {
  const auto& segment = metadata.segment;
  const auto& digest = metadata.digest;
  sdk::JsonWriter json;
  json.begin_object().key("keyslots").begin_object().end_object();
  json.key("tokens").begin_object().end_object();
  json.key("segments").begin_object().key(segment.id).begin_object().field("type", "crypt");
  json.field("offset", std::to_string(segment.offset)).field("size", "dynamic");
  json.field("iv_tweak", std::to_string(segment.iv_tweak));
  json.field("encryption", segment.encryption).field("sector_size", segment.sector_size);
  json.end_object().end_object();
  json.key("digests").begin_object().key(digest.id).begin_object().field("type", "pbkdf2");
  json.key("keyslots").begin_array().end_array();
  json.key("segments").begin_array().value(segment.id).end_array();
  json.field("hash", digest.hash->name).field("iterations", digest.iterations);
  json.field("salt", sdk::encode_base64(digest.salt));
  json.field("digest", sdk::encode_base64(digest.digest)).end_object().end_object();
  json.key("config").begin_object().field("json_size", std::to_string(json_size));
  json.field("keyslots_size", std::to_string(metadata.slots_area.length)).end_object();
  return json.end_object().text();
}

}  // namespace instar::luks
