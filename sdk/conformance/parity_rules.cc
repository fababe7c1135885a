// SPDX-License-Identifier: Apache-2.0
// The genuine qemu-img as a judge.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>

#include "core/base/fd.hpp"
#include "sdk/conformance/bench.hpp"

namespace instar::conformance {
namespace {

constexpr uint64_t kSize = (uint64_t{3} << 20) + 2560;
constexpr int kCheckNotSupported = 63;

struct Finished {
  int status = 0;
  std::string output;
};

[[noreturn]] void become(const std::vector<std::string>& command, int output) {
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const auto& word : command)
    arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  execv(arguments[0], arguments.data());
  _exit(127);
}

Finished run(const std::vector<std::string>& command) {
  int ends[2];
  require(pipe(ends) == 0, "pipe: ", sdk::errno_text(errno));
  const base::Fd from(ends[0]);
  base::Fd to(ends[1]);
  const pid_t child = fork();
  require(child >= 0, "fork: ", sdk::errno_text(errno));
  if (child == 0) become(command, to.get());
  to.reset();
  Finished finished;
  std::array<char, 4096> buffer{};
  for (ssize_t n = 0; (n = read(from.get(), buffer.data(), buffer.size())) > 0;)
    finished.output.append(buffer.data(), static_cast<size_t>(n));
  int status = 0;
  waitpid(child, &status, 0);
  finished.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return finished;
}

void write_file(const std::string& path, const Bytes& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  require(file.good(), "writing ", path);
}

Bytes read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  require(file.good(), "reading ", path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/** The genuine tool on an image of this format. */
class Judge {
 public:
  explicit Judge(Bench& bench) : bench_(bench), tool_(bench.settings().reference) {
    if (tool_.empty()) skip("no genuine qemu-img: give one with --reference or INSTAR_REFERENCE");
    const auto& name = bench.subject().provide->name;
    const auto probe = run({tool_, "create", "-q", "-f", name, path("probe"), "1M"});
    if (probe.output.find("Unknown file format") != std::string::npos)
      skip("the genuine qemu-img does not know the format ", name);
  }
  std::string path(const std::string& name) const { return bench_.folder() + "/" + name; }
  const std::string& format() const { return bench_.subject().provide->name; }
  Finished operator()(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), tool_);
    for (const auto& object : bench_.settings().objects)
      arguments.insert(arguments.begin() + 2, {"--object", object});
    return run(arguments);
  }
  /** How the genuine tool is to open the image. */
  std::string image() const {
    sdk::JsonWriter json;
    json.begin_object().field("driver", format()).field("file.filename", path("image"));
    for (const auto& [name, text] : bench_.open_options())
      json.field(name.c_str(), text);
    return "json:" + json.end_object().text();
  }
  /** Creation options, if the genuine tool can't do without. */
  std::vector<std::string> creation() const {
    if (bench_.open_options().empty()) return {};
    return {"-o", bench_.subject().options};
  }
  /** Puts an image and its model into files. */
  void lay_out(const Store& store, const Bytes& model) const {
    for (const auto& [name, disk] : store.disks)
      write_file(path(name.empty() ? "image" : name), disk->content());
    write_file(path("model"), model);
  }

 private:
  Bench& bench_;
  std::string tool_;
};

void genuine_reads_ours(Bench& bench) {
  const Judge judge(bench);
  const auto [store, model] = bench.filled_image(kSize);
  judge.lay_out(store, model);
  const auto compared = judge({"compare", "-f", "raw", judge.path("model"), judge.image()});
  require(compared.status == 0, "qemu-img compare: ", compared.output);
}

void genuine_check_is_clean(Bench& bench) {
  const Judge judge(bench);
  const auto [store, model] = bench.filled_image(kSize);
  judge.lay_out(store, model);
  const auto checked = judge({"check", judge.image()});
  if (checked.status == kCheckNotSupported) skip("qemu-img checks no images of this format");
  require(checked.status == 0, "qemu-img check: ", checked.output);
}

void we_read_genuine(Bench& bench) {
  const Judge judge(bench);
  Bytes model = bench.random_bytes(kSize);
  for (unsigned i = 0; i < 40; ++i) {
    const size_t at = bench.pick(model.size());
    std::fill_n(model.begin() + static_cast<ptrdiff_t>(at),
                std::min<size_t>(model.size() - at, bench.pick(200000)),
                static_cast<uint8_t>(i % 3));
  }
  write_file(judge.path("model"), model);
  std::vector<std::string> command = {"convert", "-f", "raw", "-O", judge.format()};
  for (auto& word : judge.creation())
    command.push_back(std::move(word));
  command.insert(command.end(), {judge.path("model"), judge.path("image")});
  const auto converted = judge(std::move(command));
  if (converted.status != 0) skip("qemu-img does not write the format: ", converted.output);
  Store store;
  store.name = "image";
  store.disks[""] = std::make_shared<Disk>(read_file(judge.path("image")));
  const auto opened = bench.open(store);
  auto got = read_all(bench, *opened.node);
  // Some formats round the size up to what a disk's geometry can express.
  require(got.size() >= model.size(), "the size is ", got.size(), " instead of ", model.size());
  model.resize(got.size());
  require_equal(got, model, "what the genuine qemu-img wrote");
  opened.close();
}

}  // namespace

std::vector<Rule> parity_rules() {
  return {
      {"Q1", "the genuine qemu-img reads what was written", kFormats, &genuine_reads_ours},
      {"Q2", "the genuine qemu-img's check is clean", kFormats, &genuine_check_is_clean},
      {"Q3", "what the genuine qemu-img wrote is read", kFormats, &we_read_genuine},
  };
}

}  // namespace instar::conformance
