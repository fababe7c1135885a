// SPDX-License-Identifier: Apache-2.0
// A format against the bare ABI that breaks its first rule: exceptions leave its functions. An image
// is "THROW" and a letter that says where: o (open), s (size), r (read).
#include <instar/abi/format.h>
#include <instar/abi/plugin.h>

#include <stdexcept>

namespace {

struct Image {
  const instar_node* file;
  char where;
};

void maybe_throw(char where, char here) {
  if (where == here) throw std::runtime_error("it is that letter");
}

char where(void* self) {
  return static_cast<Image*>(self)->where;
}

int close_image(void* self, instar_call*) {
  delete static_cast<Image*>(self);
  return 0;
}

int64_t size(void* self, instar_call*) {
  maybe_throw(where(self), 's');
  return 1 << 20;
}

int limits(void*, instar_call*, instar_node_limits*) {
  return 0;
}

int read_image(void* self, instar_call*, uint64_t, const instar_iovec* iov, size_t count) {
  maybe_throw(where(self), 'r');
  for (size_t i = 0; i < count; ++i)
    for (size_t at = 0; at < iov[i].len; ++at)
      static_cast<char*>(iov[i].base)[at] = 0;
  return 0;
}

constexpr instar_node_ops kNode = {sizeof(instar_node_ops),
                                   INSTAR_THREADS_PARALLEL,
                                   &close_image,
                                   &size,
                                   &limits,
                                   &read_image,
                                   nullptr,
                                   nullptr,
                                   nullptr,
                                   nullptr,
                                   nullptr,
                                   nullptr};

int open_image(const instar_host*, instar_call* call, const instar_open_args* args,
               instar_node* out) {
  instar_child_request request{};
  request.struct_size = sizeof request;
  request.role = INSTAR_CHILD_FILE;
  request.name = "file";
  instar_node* file = nullptr;
  uint32_t id = 0;
  int result = args->opener->open_child(args->opener, call, &request, &file, &id);
  if (result < 0) return result;
  char head[6] = {};
  const instar_iovec piece{head, sizeof head};
  result = file->ops->read(file->self, call, 0, &piece, 1);
  if (result < 0) return result;
  maybe_throw(head[5], 'o');
  *out = {&kNode, new Image{file, head[5]}};
  return 0;
}

constexpr instar_format_ops kFormat = {
    sizeof(instar_format_ops), 0, nullptr, &open_image, nullptr, nullptr};
const instar_provide kProvides[] = {{INSTAR_KIND_FORMAT, 0, "throwing", &kFormat}};

}  // namespace

extern "C" INSTAR_EXPORT int instar_plugin_entry_v1(const instar_host*, instar_plugin* plugin) {
  *plugin = {sizeof *plugin, INSTAR_ABI_MINOR, "throwing", "1", kProvides, 1};
  return 0;
}
