// Which file of debug information is used for a kernel: the proof, the places, the servers. And what it
// changes.
#include "debuginfo/debuginfo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "debuginfo/debuginfod.h"
#include "debuginfo/places.h"
#include "image/open.h"
#include "images/image.h"
#include "kernel/session.h"
#include "kvista/kernel.h"
#include "tests/unit/dwarf_files.h"

namespace kvista::debuginfo {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kBuildId = "0123456789abcdef0123456789abcdef01234567";
constexpr const char* kRelease = "6.12.107+deb13-cloud-amd64";
constexpr uint64_t kKaslr = 0x7a00000;

class DebuginfoTest : public testing::Test {
 protected:
  DebuginfoTest() : image_("machine levels=4\n") { image_.write(directory_.file("vmcore")); }

  // kernel.c, linked as the image's kernel is, before KASLR moves it.
  std::string vmlinux(const std::string& name, const std::string& build_id) const {
    std::filesystem::create_directories(std::filesystem::path(directory_.file(name)).parent_path());
    test::run_command(fmt::format(
        "gcc -g -O1 -mcmodel=kernel -fno-pic -fcf-protection=none -no-pie -nostdlib -static -Wl,-e,_stext "
        "-Wl,--build-id={} -Wl,-Ttext=0xffffffff81000000 -Wl,--section-start=.uts=0xffffffff813ffe00 "
        "-Wl,--defsym=init_top_pgt=0xffffffff81200000 {}kernel.c -o {}",
        build_id, test::kDwarfSources, directory_.file(name)));
    return directory_.file(name);
  }
  std::unique_ptr<kernel::Session> open(const Options& options, const std::string& root = {}) const {
    machine::Options of_machine;
    of_machine.system_root = root;
    return std::make_unique<kernel::Session>(image::open_image(directory_.file("vmcore")), of_machine,
                                             options);
  }

  test::TemporaryDirectory directory_;
  test::TestImage image_;
};

TEST_F(DebuginfoTest, GivesTypesVariablesAndLines) {
  const std::string path = vmlinux("vmlinux", std::string("0x") + kBuildId);
  const Kernel kernel({directory_.file("vmcore")}, {.debuginfo_files = {path}});
  EXPECT_EQ(kernel.type("struct uts_namespace").members().size(), 2);
  const Value uts = kernel["init_uts_ns"];
  EXPECT_EQ(uts.type().declaration(), "struct uts_namespace");
  EXPECT_EQ(uts["name"]["sysname"].text(), "Linux");
  EXPECT_EQ(kernel["symbol_1"].type().declaration("f"), "int f(int, struct new_utsname *)");
  const auto line = kernel.source_line(VirtAddr{0xffffffff81000080 + kKaslr});
  ASSERT_TRUE(line);
  EXPECT_THAT(line->file, testing::EndsWith("dwarf/kernel.c"));
  EXPECT_EQ(line->line, 20);
  EXPECT_THAT(kernel.warnings(), IsEmpty());
  EXPECT_THROW(Kernel({directory_.file("vmcore")}).type("struct uts_namespace"), NotFound);
}

TEST_F(DebuginfoTest, ItsSymbolsServeAsThose) {
  const std::string path = vmlinux("vmlinux", std::string("0x") + kBuildId);
  const auto session = open({{path}});
  EXPECT_EQ(
      session->with_machine([](const machine::Machine& machine) { return machine.options().symbols_file; }),
      path);
  const auto& table = session->with_machine([](machine::Machine& machine) -> const machine::SymbolTable& {
    return machine.symbol_table(machine::Source::symbol_file);
  });
  EXPECT_EQ(table.failure, "");
  EXPECT_EQ(table.shift, kKaslr);
}

TEST_F(DebuginfoTest, AnotherBuildIdIsRefused) {
  const std::string path = vmlinux("vmlinux", "0xfedcba9876543210");
  const auto session = open({{path}});
  EXPECT_EQ(session->debuginfo(), nullptr);
  EXPECT_THAT(session->warnings(),
              Contains(fmt::format("{} is not used: the symbols are of another kernel: its build-id is "
                                   "fedcba9876543210, VMCOREINFO's is {}",
                                   path, kBuildId)));
}

TEST_F(DebuginfoTest, WithoutABuildIdMemoryProves) {
  const auto session = open({{vmlinux("vmlinux", "none")}});
  EXPECT_NE(session->debuginfo(), nullptr);
}

TEST_F(DebuginfoTest, TheFirstThatIsThisKernelsIsUsed) {
  const std::string other = vmlinux("other", "0xfedcba9876543210");
  const std::string right = vmlinux("right", std::string("0x") + kBuildId);
  const auto session = open({{other, right}});
  ASSERT_NE(session->debuginfo(), nullptr);
  EXPECT_EQ(session->debuginfo()->path(), right);
  EXPECT_THAT(session->warnings(), Contains(HasSubstr("other is not used")));
}

TEST_F(DebuginfoTest, NothingIsLookedForUnlessAsked) {
  vmlinux("root/usr/lib/debug/boot/vmlinux-" + std::string(kRelease), std::string("0x") + kBuildId);
  EXPECT_EQ(open({}, directory_.file("root"))->debuginfo(), nullptr);
}

TEST_F(DebuginfoTest, IsFoundByBuildId) {
  const std::string name = "root/usr/lib/debug/.build-id/01/23456789abcdef0123456789abcdef01234567.debug";
  vmlinux(name, std::string("0x") + kBuildId);
  const auto session = open({.find = true}, directory_.file("root"));
  ASSERT_NE(session->debuginfo(), nullptr);
  EXPECT_EQ(session->debuginfo()->path(), directory_.file(name));
}

// One that is another's, or no ELF file, is passed over.
TEST_F(DebuginfoTest, IsFoundByRelease) {
  const std::string boot =
      vmlinux("root/usr/lib/debug/boot/vmlinux-" + std::string(kRelease), "0xfedcba9876543210");
  directory_.write("root/usr/lib/debug/lib/modules/" + std::string(kRelease) + "/vmlinux", "no ELF file");
  const std::string build =
      vmlinux("root/lib/modules/" + std::string(kRelease) + "/build/vmlinux", std::string("0x") + kBuildId);
  const auto session = open({.find = true}, directory_.file("root"));
  ASSERT_NE(session->debuginfo(), nullptr);
  EXPECT_EQ(session->debuginfo()->path(), build);
  EXPECT_THAT(session->warnings(),
              Contains(HasSubstr(boot + " is not used: the symbols are of another kernel")));
  EXPECT_THAT(session->warnings(), Contains(HasSubstr("is no ELF file")));
}

TEST_F(DebuginfoTest, SaysWhereItLooked) {
  const auto session = open({.find = true}, directory_.file("root"));
  EXPECT_EQ(session->debuginfo(), nullptr);
  EXPECT_THAT(session->warnings(), Contains(testing::AllOf(HasSubstr("no debuginfo is found: there is no "),
                                                           HasSubstr("/usr/lib/debug/.build-id/01/2345"),
                                                           HasSubstr("/boot/vmlinux-6.12.107"))));
}

TEST(DebuginfoPlaces, AreThoseOfDistributions) {
  const auto places = usual_places({"abcdef", "6.1"}, "/root");
  EXPECT_EQ(places.front(), "/root/usr/lib/debug/.build-id/ab/cdef.debug");
  EXPECT_THAT(places, Contains("/root/usr/lib/debug/boot/vmlinux-6.1"));
  EXPECT_THAT(places, Contains("/root/usr/lib/debug/lib/modules/6.1/vmlinux"));
  EXPECT_THAT(places, Contains("/root/lib/modules/6.1/build/vmlinux"));
  EXPECT_THAT(usual_places({"abcdef", ""}, ""), ElementsAre("/usr/lib/debug/.build-id/ab/cdef.debug"));
  EXPECT_THAT(usual_places({"a", "../../etc"}, ""), IsEmpty()) << "a note leads out of no directory";
  EXPECT_THAT(usual_places({"../..", ".."}, ""), IsEmpty());
}

// --- debuginfod ---

// Sets a variable of the environment, and puts it back.
class Setting {
 public:
  Setting(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    setenv(name, value.c_str(), 1);
  }
  ~Setting() {
    if (old_)
      setenv(name_, old_->c_str(), 1);
    else
      unsetenv(name_);
  }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

// A server of the files below a directory, as debuginfod's are asked: buildid/ID/debuginfo.
class Server {
 public:
  explicit Server(const std::string& directory) {
    const std::string command = fmt::format(
        "exec python3 -u -c 'import functools, http.server, os\n"
        "handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=\"{}\")\n"
        "server = http.server.HTTPServer((\"127.0.0.1\", 0), handler)\n"
        "print(os.getpid(), server.server_port)\n"
        "server.serve_forever()' 2>/dev/null",
        directory);
    pipe_ = popen(command.c_str(), "r");
    if (std::fscanf(pipe_, "%d %d", &process_, &port_) != 2) throw std::runtime_error("no server");
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    kill(process_, SIGTERM);
    pclose(pipe_);
  }
  std::string address() const { return fmt::format("http://127.0.0.1:{}", port_); }

 private:
  std::FILE* pipe_ = nullptr;
  int process_ = 0;
  int port_ = 0;
};

// Whether it is there; a machine of continuous integration must have it.
bool has_debuginfod_find() {
  const bool has = std::system("command -v debuginfod-find >/dev/null") == 0;
  const char* integration = std::getenv("CI");
  if (!has && integration != nullptr && std::string(integration) == "true")
    ADD_FAILURE() << "debuginfod-find is not installed: scripts/install-dependencies test";
  return has;
}

std::string refusal(const std::string& build_id) {
  try {
    return "found " + ask_debuginfod(build_id);
  } catch (const NotFound& error) {
    return error.what();
  }
}

TEST_F(DebuginfoTest, IsAskedForFromAServer) {
  if (!has_debuginfod_find()) GTEST_SKIP() << "debuginfod-find is not installed";
  vmlinux(fmt::format("server/buildid/{}/debuginfo", kBuildId), std::string("0x") + kBuildId);
  const Server server(directory_.file("server"));
  const Setting servers("DEBUGINFOD_URLS", server.address());
  const Setting cache("DEBUGINFOD_CACHE_PATH", directory_.file("cache"));
  const auto session = open({.ask_servers = true}, directory_.file("root"));
  ASSERT_NE(session->debuginfo(), nullptr) << testing::PrintToString(session->warnings());
  EXPECT_THAT(session->debuginfo()->path(), testing::StartsWith(directory_.file("cache")));
  EXPECT_EQ(session->types().find("uts_namespace", type::Kind::structure).size(), 1);
}

// What it serves is proven like any other.
TEST_F(DebuginfoTest, AServersFileOfAnotherKernelIsRefused) {
  if (!has_debuginfod_find()) GTEST_SKIP() << "debuginfod-find is not installed";
  vmlinux(fmt::format("server/buildid/{}/debuginfo", kBuildId), "0xfedcba9876543210");
  const Server server(directory_.file("server"));
  const Setting servers("DEBUGINFOD_URLS", server.address());
  const Setting cache("DEBUGINFOD_CACHE_PATH", directory_.file("cache"));
  const auto session = open({.ask_servers = true}, directory_.file("root"));
  EXPECT_EQ(session->debuginfo(), nullptr);
  EXPECT_THAT(session->warnings(), Contains(HasSubstr("is not used: the symbols are of another kernel")));
}

TEST_F(DebuginfoTest, AServerWithoutItIsASentence) {
  if (!has_debuginfod_find()) GTEST_SKIP() << "debuginfod-find is not installed";
  const Server server(directory_.path());
  const Setting servers("DEBUGINFOD_URLS", server.address());
  const Setting cache("DEBUGINFOD_CACHE_PATH", directory_.file("cache"));
  EXPECT_THAT(refusal(kBuildId),
              HasSubstr(fmt::format("debuginfod-find has nothing for build-id {} from {}: ", kBuildId,
                                    server.address())));
}

TEST(Debuginfod, WithoutServerProgramOrBuildIdIsASentence) {
  {
    const Setting servers("DEBUGINFOD_URLS", "");
    EXPECT_THAT(refusal(kBuildId), HasSubstr("DEBUGINFOD_URLS in the environment names none"));
  }
  const Setting servers("DEBUGINFOD_URLS", "http://127.0.0.1:1");
  EXPECT_THAT(refusal(""), HasSubstr("has no BUILD-ID"));
  EXPECT_THAT(refusal("01; echo /tmp"), HasSubstr("has no BUILD-ID"));
  const Setting path("PATH", "/nowhere");
  EXPECT_THAT(refusal(kBuildId), HasSubstr("debuginfod-find is not installed"));
}

}  // namespace
}  // namespace kvista::debuginfo
