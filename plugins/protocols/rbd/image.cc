// SPDX-License-Identifier: Apache-2.0
#include "plugins/protocols/rbd/image.hpp"

#include <algorithm>
#include <mutex>

namespace instar::rbd {

using sdk::fail;
using sdk::Result;
using sdk::Status;

namespace {

/** For whom neither the configuration nor the name says another: a cluster that is dead is an error. Longer than an OSD's
 * failure takes to be noticed and another to take over. */
constexpr std::pair<const char*, const char*> kPatience[] = {
    {"rados_osd_op_timeout", "60"}, {"rados_mon_op_timeout", "30"}, {"client_mount_timeout", "30"}};

/** Runs `use` with librbd's structure for a format. */
template <class Use>
int with_options(const Encryption& encryption, Use use) {
  const auto& text = encryption.passphrase;
  if (encryption.format == RBD_ENCRYPTION_FORMAT_LUKS1) {
    rbd_encryption_luks1_format_options_t options{encryption.cipher, text.data(), text.size()};
    return use(encryption.format, &options, sizeof options);
  }
  rbd_encryption_luks2_format_options_t options{encryption.cipher, text.data(), text.size()};
  return use(encryption.format, &options, sizeof options);
}

}  // namespace

Pool::~Pool() {
  if (io_ != nullptr) rados_ioctx_destroy(io_);
  if (cluster_ != nullptr) rados_shutdown(cluster_);
}

Status Pool::set(const std::string& option, const std::string& value) {
  const int result = rados_conf_set(cluster_, option.c_str(), value.c_str());
  if (result < 0) return failed(result, "invalid conf option ", option);
  return {};
}

std::string Pool::get(const char* option) const {
  char value[64] = "";
  rados_conf_get(cluster_, option, value, sizeof value);
  return value;
}

Status Pool::configure(const Settings& settings) {
  const Name& name = settings.name;
  std::vector<std::string> usual;
  for (const auto& [option, value] : kPatience)
    usual.push_back(get(option));
  const int read = rados_conf_read_file(cluster_, name.conf ? name.conf->c_str() : nullptr);
  if (read < 0 && name.conf) return failed(read, "error reading conf file ", *name.conf);
  for (size_t i = 0; i < usual.size(); ++i)
    if (get(kPatience[i].first) == usual[i])
      INSTAR_CHECK(set(kPatience[i].first, kPatience[i].second));
  // Requests are large already, and what is reported as written is.
  INSTAR_CHECK(set("rbd_cache", "false"));
  for (const auto& [option, value] : name.config)
    INSTAR_CHECK(set(option, value));
  // A request that is given up must not go on with the caller's memory.
  INSTAR_CHECK(set("rbd_disable_zero_copy_writes", "true"));
  if (!settings.mon_host.empty()) INSTAR_CHECK(set("mon_host", settings.mon_host));
  if (!settings.auth.empty()) INSTAR_CHECK(set("auth_client_required", settings.auth));
  if (!settings.key.empty()) INSTAR_CHECK(set("key", settings.key));
  return {};
}

Result<std::shared_ptr<Pool>> Pool::connect(const Settings& settings) {
  const Name& name = settings.name;
  std::shared_ptr<Pool> pool(new Pool);
  int result = rados_create(&pool->cluster_, name.user ? name.user->c_str() : nullptr);
  if (result < 0) return failed(result, "error initializing");
  INSTAR_CHECK(pool->configure(settings));
  result = rados_connect(pool->cluster_);
  if (result < 0) return failed(result, "error connecting");
  result = rados_ioctx_create(pool->cluster_, name.pool.c_str(), &pool->io_);
  if (result < 0) return failed(result, "error opening pool ", name.pool);
  if (name.space.empty()) return pool;
  bool exists = false;
  result = rbd_namespace_exists(pool->io_, name.space.c_str(), &exists);
  if (result < 0) return failed(result, "error checking namespace");
  if (!exists) return fail(ENOENT, "namespace '", name.space, "' does not exist");
  rados_ioctx_set_namespace(pool->io_, name.space.c_str());
  return pool;
}

Result<ImagePtr> Image::open(std::shared_ptr<Pool> pool, const Name& name, bool writable) {
  const char* snapshot =
      name.snapshot && !name.snapshot->empty() ? name.snapshot->c_str() : nullptr;
  ImagePtr image(new Image(std::move(pool)));
  // Without a watch, which those who may only read may not set.
  const auto open_it = writable ? &rbd_open : &rbd_open_read_only;
  const int result = open_it(image->pool_->io(), name.image.c_str(), &image->handle_, snapshot);
  if (result >= 0) return image;
  image->handle_ = nullptr;
  return failed(result, "error reading header from ", name.image);
}

Image::~Image() {
  if (handle_ != nullptr) rbd_close(handle_);
}

Result<uint64_t> Image::size() const {
  uint64_t size = 0;
  const int result = rbd_get_size(handle_, &size);
  if (result < 0) return failed(result, "error getting image info");
  return size;
}

Result<uint64_t> Image::object_size() const {
  rbd_image_info_t about{};
  const int result = rbd_stat(handle_, &about, sizeof about);
  if (result < 0) return failed(result, "error getting image info");
  return about.obj_size;
}

/** librbd tells places in encrypted images with their headers. */
bool Image::has_fast_diff() const {
  uint64_t features = 0, flags = 0;
  if (header_ != 0) return false;
  if (rbd_get_features(handle_, &features) < 0 || rbd_get_flags(handle_, &flags) < 0) return false;
  return (features & RBD_FEATURE_FAST_DIFF) != 0 && (flags & RBD_FLAG_FAST_DIFF_INVALID) == 0;
}

Status Image::resize(uint64_t size) {
  int result = rbd_resize(handle_, size + header_);
  if (result >= 0 && header_ != 0) {
    // Not every librbd counts the header.
    INSTAR_TRY(const uint64_t now, this->size());
    if (now != size) result = rbd_resize(handle_, size);
  }
  if (result < 0) return failed(result, "error resizing image");
  return {};
}

/** @param what librbd's rbd_encryption_load, rbd_encryption_format @param name of it in errors */
template <class Function>
Status Image::encrypt(const Encryption& encryption, Function what, std::string_view name) {
  INSTAR_TRY(const uint64_t whole, size());
  const int result = with_options(encryption, [&](auto format, void* options, size_t size) {
    return what(handle_, format, options, size);
  });
  if (result < 0) return failed(result, "encryption ", name, " fail");
  INSTAR_TRY(const uint64_t content, size());
  header_ = whole - std::min(content, whole);
  return {};
}

Status Image::load(const Encryption& encryption) {
  return encrypt(encryption, rbd_encryption_load, "load");
}

Status Image::format(const Encryption& encryption) {
  return encrypt(encryption, rbd_encryption_format, "format");
}

std::string Image::encryption_format() const {
  constexpr std::string_view kMagic = "LUKS\xba\xbe";
  char head[8] = {};
  if (rbd_read(handle_, 0, sizeof head, head) != sizeof head) return {};
  if (std::string_view(head, kMagic.size()) != kMagic || head[6] != 0) return {};
  return head[7] == 1 ? "luks" : head[7] == 2 ? "luks2" : "";
}

void abandon(ImagePtr image) {
  static std::mutex mutex;
  static auto& kept = *new std::vector<ImagePtr>;
  const std::lock_guard lock(mutex);
  kept.push_back(std::move(image));
}

}  // namespace instar::rbd
