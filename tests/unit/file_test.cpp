#include "base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "images/temporary.h"
#include "unit/bytes.h"
#include "unit/memory_file.h"

namespace kvista {
namespace {

using test::Bytes;
using test::MemoryFile;

TEST(File, ReadsAtAnyOffset) {
  const Bytes contents = test::pattern(10000);
  const MemoryFile memory(contents);
  const File file = memory.open();
  EXPECT_EQ(file.size(), contents.size());
  EXPECT_TRUE(file.is_regular());
  EXPECT_FALSE(file.is_directory());
  Bytes out(100);
  EXPECT_EQ(file.read_at(5000, out), 100U);
  EXPECT_EQ(out, Bytes(contents.begin() + 5000, contents.begin() + 5100));
}

TEST(File, GivesFewerBytesAtItsEndWithoutAnError) {
  const MemoryFile memory("0123456789");
  const File file = memory.open();
  Bytes out(100);
  int error = -1;
  EXPECT_EQ(file.read_at(7, out, &error), 3U);
  EXPECT_EQ(error, 0);
  EXPECT_EQ(file.read_at(10, out), 0U);
}

TEST(File, ReadsNothingFromOffsetsThatNoFileHas) {
  const MemoryFile memory("0123456789");
  const File file = memory.open();
  Bytes out(16);
  EXPECT_EQ(file.read_at(UINT64_MAX, out), 0U);
  EXPECT_EQ(file.read_at(UINT64_MAX - 8, out), 0U);
  EXPECT_EQ(file.read_at(uint64_t{1} << 63, out), 0U);
}

TEST(File, SaysWhyItCannotBeOpened) {
  try {
    File::open("/nonexistent/vmcore");
    FAIL() << "opened a file that is not there";
  } catch (const AccessError& error) {
    EXPECT_STREQ(error.what(), "cannot open /nonexistent/vmcore: No such file or directory");
  }
}

TEST(File, MovesWithoutClosing) {
  const MemoryFile memory("0123456789");
  File first = memory.open();
  File second = std::move(first);
  Bytes out(10);
  EXPECT_EQ(second.read_at(0, out), 10U);
  File third = memory.open();
  third = std::move(second);
  EXPECT_EQ(third.read_at(0, out), 10U);
}

TEST(File, KnowsADirectory) {
  const File file = File::open("/");
  EXPECT_TRUE(file.is_directory());
  EXPECT_FALSE(file.is_regular());
  Bytes out(8);
  int error = 0;
  EXPECT_EQ(file.read_at(0, out, &error), 0U);
  EXPECT_EQ(error, EISDIR);
}

TEST(File, DoesNotWaitForAPipeThatNobodyWrites) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.file("pipe");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  alarm(10);
  const File file = File::open(path);
  alarm(0);
  EXPECT_FALSE(file.is_regular());
  Bytes out(8);
  EXPECT_EQ(file.read_at(0, out), 0U);
}

TEST(FileWindow, ShowsAnyPieceOfAFile) {
  const Bytes contents = test::pattern((size_t{5} << 20) + 123);
  const MemoryFile memory(contents);
  const File file = memory.open();
  FileWindow window;
  const auto expect = [&](uint64_t offset, size_t size) {
    const auto seen = window.view(file, offset, size);
    ASSERT_EQ(seen.size(), size);
    EXPECT_TRUE(std::equal(seen.begin(), seen.end(), contents.begin() + static_cast<ptrdiff_t>(offset)))
        << offset;
  };
  expect(0, 1);
  expect(5000, 4096);
  expect((size_t{2} << 20) - 10, 20);                // over the edge of two windows
  expect((size_t{1} << 20), (size_t{3} << 20) + 1);  // larger than a window
  expect(contents.size() - 1, 1);
  expect(0, contents.size());
}

TEST(FileWindow, ShowsNothingBehindTheEnd) {
  const MemoryFile memory("0123456789");
  const File file = memory.open();
  FileWindow window;
  EXPECT_TRUE(window.view(file, 9, 2).empty());
  EXPECT_TRUE(window.view(file, 10, 1).empty());
  EXPECT_TRUE(window.view(file, UINT64_MAX, 2).empty());
  EXPECT_TRUE(window.view(file, 0, SIZE_MAX).empty());
  EXPECT_EQ(window.view(file, 9, 1).size(), 1U);
}

TEST(FileWindow, MovesWithoutUnmapping) {
  const MemoryFile memory("0123456789");
  const File file = memory.open();
  FileWindow first;
  const auto seen = first.view(file, 3, 1);
  const FileWindow second = std::move(first);
  EXPECT_EQ(seen.front(), std::byte{'3'});
}

TEST(FileWindowDeathTest, EndsWithASentenceWhereTheFileBecomesShorter) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const MemoryFile memory(std::string(16384, 'x'));
  const File file = memory.open();
  FileWindow window;
  const auto seen = window.view(file, 8192, 1);
  ASSERT_EQ(seen.size(), 1U);
  memory.resize(4096);
  EXPECT_EXIT(
      {
        guard_mappings(2);
        _exit(std::to_integer<int>(seen.front()));
      },
      testing::ExitedWithCode(2), "its file became shorter");
}

TEST(ReadTextFile, ReadsAWholeSmallFile) {
  const std::string text(10000, 'x');
  EXPECT_EQ(read_text_file(MemoryFile(text).path()), text);
  EXPECT_EQ(read_text_file(MemoryFile("").path()), "");
}

TEST(ReadTextFile, ReadsFilesWithoutASize) {
  const auto status = read_text_file("/proc/self/status");
  ASSERT_TRUE(status);
  EXPECT_THAT(*status, testing::HasSubstr("Pid:"));
}

TEST(ReadTextFile, StopsAtItsLimit) {
  const MemoryFile memory(std::string(10000, 'x'));
  for (const size_t limit : {size_t{0}, size_t{1}, size_t{4096}, size_t{5000}})
    EXPECT_EQ(read_text_file(memory.path(), limit).value_or("").size(), limit);
}

TEST(ReadTextFile, GivesNothingForWhatCannotBeRead) {
  EXPECT_EQ(read_text_file("/nonexistent"), std::nullopt);
  EXPECT_EQ(read_text_file("/"), std::nullopt);
}

}  // namespace
}  // namespace kvista
