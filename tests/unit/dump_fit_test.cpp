// Dumps that have to fit, dumps that are only planned, and streams that become files again.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "codec/codec.h"
#include "dump/level_list.h"
#include "dump/output.h"
#include "dump/rearrange.h"
#include "dump/verify.h"
#include "dump/writer.h"
#include "image/open.h"
#include "images/image.h"
#include "images/temporary.h"
#include "kernel/session.h"
#include "unit/failure.h"

namespace kvista::dump {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kDescription =
    "pages 0x800-0xfff class=anon\n"
    "contents random 0x800000-0x1000000\n";

class FittingDumps : public testing::Test {
 protected:
  FittingDumps() { test::TestImage(kDescription).write(source_); }

  DumpRequest request(unsigned level) const {
    DumpRequest request;
    request.outputs = {dump_};
    request.level = level;
    request.codec = codec::Codec::zlib;
    request.threads = 2;
    return request;
  }
  DumpResult dump(const DumpRequest& wanted) const {
    return write_to_fit(kernel::Session{image::open_image(source_), {}}, wanted);
  }
  static std::string contents(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static VerifyResult verified(const std::string& path) { return verify(*image::open_image(path), {1, {}}); }

  test::TemporaryDirectory directory_;
  std::string source_ = directory_.file("vmcore");
  std::string dump_ = directory_.file("dump");
};

TEST_F(FittingDumps, TakeTheFirstLevelThatFits) {
  DumpRequest wanted = request(0);
  wanted.next_levels = {16, 8, 31};
  wanted.limit = uint64_t{4} << 20;  // the anonymous pages alone are 8 MiB
  const DumpResult result = dump(wanted);
  EXPECT_EQ(result.level, 8U);
  EXPECT_EQ(result.failure, "");
  EXPECT_THAT(result.warnings, ElementsAre(HasSubstr("level 0 did not fit, level 16 is next"),
                                           HasSubstr("level 16 did not fit, level 8 is next")));
  EXPECT_LE(std::filesystem::file_size(dump_), *wanted.limit);
  EXPECT_EQ(std::filesystem::file_size(dump_), result.bytes);
  EXPECT_TRUE(verified(dump_).is_whole());
}

TEST_F(FittingDumps, AreTheSameAsIfOnlyTheRightLevelHadBeenAskedFor) {
  DumpRequest wanted = request(0);
  wanted.next_levels = {31};
  wanted.limit = uint64_t{4} << 20;
  dump(wanted);
  const std::string retried = contents(dump_);
  DumpRequest alone = request(31);
  alone.overwrite = true;
  dump(alone);
  EXPECT_EQ(retried, contents(dump_));
}

TEST_F(FittingDumps, ThatDoNotAreIncomplete) {
  DumpRequest wanted = request(0);
  wanted.next_levels = {1};
  wanted.limit = uint64_t{4} << 20;
  const DumpResult result = dump(wanted);
  EXPECT_THAT(result.failure, HasSubstr("4194304 bytes"));
  EXPECT_TRUE(result.full);
  EXPECT_EQ(result.level, 1U);
  EXPECT_LE(result.bytes, *wanted.limit);
  EXPECT_LE(std::filesystem::file_size(dump_), *wanted.limit);
  const VerifyResult found = verified(dump_);
  EXPECT_EQ(found.good(), result.written);
  EXPECT_EQ(found.bad(), result.lost());
  EXPECT_GT(result.written, 0U);
}

TEST_F(FittingDumps, WithoutRoomForTheirTablesAreNone) {
  DumpRequest wanted = request(0);
  wanted.next_levels = {31};
  wanted.limit = 10000;
  EXPECT_THAT(test::failure_of<OutputFull>([&] { dump(wanted); }), HasSubstr("10000 bytes"));
}

TEST_F(FittingDumps, CannotTakeAStreamBack) {
  DumpRequest wanted = request(0);
  wanted.next_levels = {31};
  wanted.outputs = {std::string(1, '-')};
  wanted.flattened = true;
  EXPECT_THAT(test::failure_of<UsageError>([&] { dump(wanted); }), HasSubstr("several levels"));
}

TEST_F(FittingDumps, KeepWhatIsThereUnlessAskedTo) {
  directory_.write("dump", "precious");
  DumpRequest wanted = request(0);
  wanted.next_levels = {31};
  EXPECT_THAT(test::failure_of<AccessError>([&] { dump(wanted); }), HasSubstr("-f overwrites it"));
  EXPECT_EQ(contents(dump_), "precious");
}

TEST_F(FittingDumps, ThatAreOnlyPlannedWriteNothing) {
  DumpRequest wanted = request(31);
  const DumpResult real = dump(wanted);
  std::filesystem::remove(dump_);
  wanted.dry_run = true;
  const DumpResult planned = dump(wanted);
  EXPECT_FALSE(std::filesystem::exists(dump_));
  EXPECT_EQ(planned.planned, real.planned);
  EXPECT_EQ(planned.frames, real.frames);
  EXPECT_GE(planned.most_bytes, real.bytes);
  for (size_t i = 0; i < real.classes.size(); ++i)
    EXPECT_EQ(planned.classes.at(i).kept, real.classes.at(i).kept);
}

// Streams that become files.
class Streams : public FittingDumps {
 protected:
  Streams() {
    DumpRequest wanted = request(8);
    dump(wanted);
    wanted.outputs = {stream_};
    wanted.flattened = true;
    dump(wanted);
  }

  Rearranged rearranged(bool overwrite = false) const {
    const int fd = open(stream_.c_str(), O_RDONLY | O_CLOEXEC);
    const auto closer = std::shared_ptr<void>(nullptr, [fd](void*) { close(fd); });
    return rearrange(fd, out_, overwrite);
  }
  std::filesystem::path stream_ = directory_.file("stream");
  std::string out_ = directory_.file("out");
};

TEST_F(Streams, BecomeTheDumpThatWouldHaveBeenWritten) {
  const Rearranged result = rearranged();
  EXPECT_EQ(result.failure, "");
  EXPECT_EQ(result.size, std::filesystem::file_size(out_));
  const std::string once = contents(dump_);
  const std::string twice = contents(out_);
  ASSERT_EQ(once.size(), twice.size());
  EXPECT_TRUE(once == twice);
}

TEST_F(Streams, MayHaveAnythingBehindTheirEnd) {
  std::ofstream(stream_, std::ios::binary | std::ios::app) << std::string(5000, 'x');
  EXPECT_EQ(rearranged().failure, "");
  EXPECT_TRUE(contents(dump_) == contents(out_));
}

TEST_F(Streams, LeaveNoTraceOfWhatWasThere) {
  directory_.write("out", std::string(std::filesystem::file_size(dump_) + 10000, 'x'));
  EXPECT_EQ(rearranged(true).failure, "");
  EXPECT_TRUE(contents(dump_) == contents(out_));
}

TEST_F(Streams, ThatAreCutSayWhereAndKeepTheRest) {
  const uint64_t size = std::filesystem::file_size(stream_);
  unsigned usable = 0;
  for (unsigned step = 1; step < 20; ++step) {
    SCOPED_TRACE(step);
    std::filesystem::resize_file(stream_, size * (20 - step) / 20);
    const Rearranged result = rearranged(true);
    EXPECT_THAT(result.failure, HasSubstr("cut short"));
    std::optional<VerifyResult> direct;
    test::failure_of<FormatError>([&] { direct = verified(stream_); });
    if (!direct) continue;
    ++usable;
    // Of the descriptor that the cut goes through the part that counts may be there.
    EXPECT_GE(verified(out_).good(), direct->good());
    EXPECT_LE(verified(out_).good(), direct->good() + 1);
  }
  EXPECT_GT(usable, 10U);
}

TEST_F(Streams, WithADamagedRecordSaySo) {
  std::fstream file(stream_, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(4096);
  file.write("\x80\0\0\0\0\0\0\0", 8);
  file.close();
  EXPECT_THAT(rearranged().failure, HasSubstr("damaged at offset 0x1000"));
}

TEST_F(Streams, ThatAreNoneTouchNothing) {
  directory_.write("stream", "no stream at all");
  directory_.write("out", "precious");
  EXPECT_THAT(test::failure_of<FormatError>([&] { rearranged(true); }), HasSubstr("no flattened stream"));
  EXPECT_EQ(contents(out_), "precious");
}

}  // namespace
}  // namespace kvista::dump
