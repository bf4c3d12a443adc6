#include "image/open.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "images/temporary.h"
#include "unit/bytes.h"
#include "unit/memory_file.h"

namespace kvista::image {
namespace {

using test::MemoryFile;
using testing::HasSubstr;

std::string failure_of(const std::string& path) {
  try {
    open_image(path);
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_status(), ExitStatus::nothing);
    return error.what();
  }
  return "no failure";
}

std::string failure_of_bytes(const test::Bytes& bytes) {
  return failure_of(MemoryFile(bytes).path());
}

TEST(OpenImage, OpensAnElfCoreByItsContent) {
  test::ElfDescription elf;
  elf.segments.push_back({.paddr = 0x1000, .memory_size = 0x1000});
  const MemoryFile file(test::elf_bytes(elf));
  const auto image = open_image(file.path());
  EXPECT_EQ(image->traits().format, "ELF core");
  EXPECT_EQ(image->traits().path, file.path());
}

TEST(OpenImage, SaysThatAFileIsNotThere) {
  EXPECT_EQ(failure_of("/nonexistent/vmcore"), "cannot open /nonexistent/vmcore: No such file or directory");
}

TEST(OpenImage, SaysThatAPathIsADirectory) {
  EXPECT_EQ(failure_of("/tmp"), "/tmp: a directory, not a memory image");
}

TEST(OpenImage, SaysThatAFileIsEmpty) {
  EXPECT_THAT(failure_of_bytes({}), HasSubstr("the file is empty"));
}

TEST(OpenImage, DoesNotHangOnAPipe) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.file("pipe");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  alarm(10);
  EXPECT_THAT(failure_of(path), HasSubstr(path));
  alarm(0);
}

TEST(OpenImage, NamesTheFormatsThatItKnowsOf) {
  struct Case {
    std::string_view head;
    const char* what;
  };
  for (const Case& c :
       {Case{"KDUMP   \x06", "kdump header"}, Case{"DISKDUMP", "kdump header"}, Case{"EMiL\x01", "LiME"},
        Case{"AVML\x02", "an AVML dump"}, Case{"\x1f\x8b\x08", "gzip"},
        Case{"\xfd"
             "7zXZ",
             "xz"},
        Case{"\x28\xb5\x2f\xfd", "zstd"}, Case{"QEVM", "migration stream"}})
    EXPECT_THAT(failure_of_bytes(test::bytes_of(c.head)), HasSubstr(c.what));
}

TEST(OpenImage, ShowsHowAnUnknownFileBegins) {
  const std::string message = failure_of_bytes(test::bytes_of("#!/bin/sh\n"));
  EXPECT_THAT(message, HasSubstr("no memory image that kvista knows"));
  EXPECT_THAT(message, HasSubstr("23 21 2f 62 69 6e 2f 73"));
  EXPECT_THAT(message, HasSubstr("ELF core"));
  EXPECT_THAT(failure_of_bytes(test::bytes_of("x")), HasSubstr("begins with 78;"));
}

TEST(OpenImage, SaysThatAnElfMagicAloneIsTooShort) {
  EXPECT_THAT(failure_of_bytes(test::bytes_of("\x7f"
                                              "ELF")),
              HasSubstr("too short for an ELF header"));
}

TEST(OpenImage, RefusesItsOwnExecutable) {
  EXPECT_THAT(failure_of("/proc/self/exe"),
              testing::AnyOf(HasSubstr("a shared object"), HasSubstr("an executable")));
}

TEST(PageState, EachHasAName) {
  for (int i = 0; i <= static_cast<int>(PageState::beyond); ++i)
    EXPECT_STRNE(describe(static_cast<PageState>(i)), "unknown");
}

}  // namespace
}  // namespace kvista::image
