// SPDX-License-Identifier: Apache-2.0
// A backing chain image by image, as far as the names in it lead, whatever is wrong on the way.
#include "core/block/graph_private.hpp"
#include "core/options/json_text.hpp"

namespace instar::block {

namespace {

/** What an image says of its backing file. */
struct Reference {
  std::string recorded;  ///< empty: it has none
  std::string full;      ///< as seen from the image; empty: that can't be told
  std::string format;    ///< empty: not recorded
};

Result<Reference> reference_in(const std::string& info) {
  INSTAR_TRY(const json::value value, options::parse_driver_json(info));
  const auto text = [&](const char* key) {
    const auto* field = value.as_object().if_contains(key);
    return field != nullptr ? options::scalar_text(*field) : std::string{};
  };
  return Reference{text("backing-filename"), text("full-backing-filename"),
                   text("backing-filename-format")};
}

/** Opened for no more than its description, by the format that it should have or looks like. */
Result<NodePtr> open_somehow(Graph::Private& graph, OpenSpec spec) {
  spec.flags |= INSTAR_OPEN_NO_IO;
  auto opened = graph.open_image(spec);
  if (opened || !spec.format) return opened;
  spec.format.reset();
  auto guessed = graph.open_image(spec);
  // Whatever can be read looks like a raw image at least.
  return guessed && (*guessed)->driver() != "raw" ? std::move(guessed) : std::move(opened);
}

}  // namespace

/** Opens the image and looks at it; what is wrong ends in link.error. */
Status Graph::inspect(const OpenSpec& spec, ReferenceChain& above, ChainLink& link) {
  auto opened = private_->open_image(spec);
  if (!opened) {
    link.error = opened.error().message;
    opened = open_somehow(*private_, spec);
    if (!opened) return {};
  }
  Node& image = **opened;
  const std::string plain = plain_name_of(image);
  if (auto entered = above.enter(plain); !entered) return entered;
  if (Node* file = image.file(); file != nullptr && image.kind() == NodeKind::kFormat) {
    INSTAR_TRY(const Driver probed, private_->probe(*file, plain));
    link.probed = probed.name();
  }
  INSTAR_TRY(link.info, describe(image));
  link.image = *std::move(opened);
  return {};
}

Status Graph::walk_chain(const OpenSpec& spec,
                         const std::function<Status(const ChainLink&)>& each) {
  ReferenceChain above;
  OpenSpec next = spec;
  next.flags |= INSTAR_OPEN_NO_BACKING | INSTAR_OPEN_CHECK;
  while (true) {
    ChainLink link{next.filename, next.format.value_or(""), {}, {}, nullptr, {}};
    if (const auto seen = inspect(next, above, link); !seen) link.error = seen.error().message;
    INSTAR_CHECK(each(link));
    if (link.image == nullptr) return {};
    INSTAR_TRY(const Reference below, reference_in(link.info));
    if (below.recorded.empty()) return {};
    auto admitted = below.full.empty()
                        ? fail(EINVAL, "Cannot tell what the relative name means here")
                        : private_->gate.admit(plain_name_of(*link.image), below.full);
    next.filename = below.full.empty() ? below.recorded : below.full;
    next.format = recorded_format(below.format);
    if (!admitted)
      return each({next.filename, below.format, {}, admitted.error().message, nullptr, {}});
    next.image_opts = false;
    next.snapshot.reset();
    next.options.clear();
  }
}

}  // namespace instar::block
