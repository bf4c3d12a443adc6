#include "base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

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
