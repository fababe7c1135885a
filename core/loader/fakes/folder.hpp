// SPDX-License-Identifier: Apache-2.0
/** @file folder.hpp A plugin folder for a test: copies of the fakes, with manifests that the test
 * writes. */
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

namespace instar::loader::testing {

class Folder {
 public:
  // In /tmp, since the folders above count: root's, and sticky.
  Folder() {
    std::string name = "/tmp/instar-test-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string path() const { return path_; }
  std::string path(const std::string& name) const { return path_ + "/" + name; }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
  }
  /** A copy of fakes/FAULT.so as NAME.so, with a manifest that agrees with it but for `members`
   * (of the provided thing) and `head` (of the plugin), each ending in a comma. */
  void add(const std::string& name, const std::string& fault, const std::string& members = "",
           const std::string& head = R"("name": "fake", "version": "1",)") const {
    // Never over the old file, which may be loaded.
    std::filesystem::remove(path(name + ".so"));
    std::filesystem::copy_file("core/loader/fakes/" + fault + ".so", path(name + ".so"));
    std::filesystem::permissions(path(name + ".so"), std::filesystem::perms(0755));
    write(name + ".json", "{" + head + R"("manifest": 1, "provides": [{)" + members +
                              R"("kind": "format", "name": "fake"}]})");
  }

 private:
  std::string path_;
};

}  // namespace instar::loader::testing
