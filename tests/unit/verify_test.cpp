// Whether verification finds what was done to dumps.
#include "dump/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "dump/writer.h"
#include "image/open.h"
#include "images/image.h"
#include "images/kdump_builder.h"
#include "images/temporary.h"
#include "kernel/session.h"
#include "unit/failure.h"

namespace kvista::dump {
namespace {

using image::Check;
using image::PageState;
using testing::AllOf;
using testing::Contains;
using testing::Field;
using testing::HasSubstr;

constexpr const char* kDescription =
    "pages 0x400-0x7ff class=buddy order=10\n"
    "pages 0x800-0xbff class=anon\n"
    "contents pattern 0x800000-0x1800000\n";

class Verification : public testing::Test {
 protected:
  Verification() { test::TestImage(kDescription).write(source_); }

  DumpResult write(bool flattened) const {
    DumpRequest request;
    request.outputs = {dump_};
    request.overwrite = true;
    request.flattened = flattened;
    request.level = 31;
    request.codec = codec::Codec::zlib;
    return write_dump(kernel::Session{image::open_image(source_), {}}, request);
  }

  VerifyResult verify_dump(unsigned threads = 2) const {
    return verify(*image::open_image(dump_), {threads, {}});
  }

  test::TemporaryDirectory directory_;
  std::string source_ = directory_.file("vmcore");
  std::string dump_ = directory_.file("dump");
};

TEST_F(Verification, FindsWholeDumpsWhole) {
  for (const bool flattened : {false, true}) {
    SCOPED_TRACE((flattened ? "flattened" : "plain"));
    const DumpResult written = write(flattened);
    const VerifyResult result = verify_dump();
    EXPECT_TRUE(result.is_whole());
    EXPECT_EQ(result.good(), written.planned);
    EXPECT_EQ(result.frames(), written.frames);
    EXPECT_EQ(result.in(PageState::excluded).frames, written.frames - written.planned);
    EXPECT_THAT(result.in(PageState::excluded).first, Contains(PhysRange{PhysAddr{0x400000}, 0x800000}));
    EXPECT_THAT(result.checks, Contains(Field(&Check::what, "bitmaps")));
  }
}

TEST_F(Verification, SaysTheSameWithAnyNumberOfThreads) {
  write(false);
  std::filesystem::resize_file(dump_, std::filesystem::file_size(dump_) / 2);
  const VerifyResult one = verify_dump(1);
  const VerifyResult many = verify_dump(5);
  for (size_t i = 0; i < one.states.size(); ++i) {
    EXPECT_EQ(one.states.at(i).frames, many.states.at(i).frames);
    EXPECT_EQ(one.states.at(i).first, many.states.at(i).first);
  }
}

TEST_F(Verification, OfCutDumpsMissesNoPage) {
  for (const bool flattened : {false, true}) {
    const DumpResult written = write(flattened);
    const uint64_t size = std::filesystem::file_size(dump_);
    uint64_t opened = 0;
    for (unsigned step = 29; step > 0; --step) {
      SCOPED_TRACE(testing::Message()
                   << (flattened ? "flattened" : "plain") << " cut to " << step << " of 30");
      std::filesystem::resize_file(dump_, size * step / 30);
      std::optional<VerifyResult> result;
      test::failure_of<FormatError>([&] { result = verify_dump(); });
      if (!result) continue;
      ++opened;
      EXPECT_FALSE(result->is_whole());
      EXPECT_GT(result->bad(), 0U);
      EXPECT_EQ(result->good() + result->bad(), written.planned);
      EXPECT_EQ(result->in(PageState::unreadable).frames, 0U);
    }
    EXPECT_GT(opened, 20U);
  }
}

// The descriptor of such a page has a size that no page has.
TEST_F(Verification, FindsPagesLostThatAFlattenedDumpLacks) {
  std::filesystem::resize_file(source_, std::filesystem::file_size(source_) - 409600);
  for (const bool flattened : {false, true}) {
    SCOPED_TRACE((flattened ? "flattened" : "plain"));
    const DumpResult written = write(flattened);
    const VerifyResult result = verify_dump();
    EXPECT_GT(written.lost(), 90U);
    EXPECT_EQ(result.in(PageState::lost).frames, written.lost());
    EXPECT_EQ(result.in(PageState::unreadable).frames, 0U);
    EXPECT_THAT(result.checks, Contains(AllOf(Field(&Check::what, "descriptors"), Field(&Check::good, false),
                                              Field(&Check::found, HasSubstr("empty")))));
  }
}

TEST_F(Verification, OfElfCoresReadsTheirPages) {
  const VerifyResult whole = verify(*image::open_image(source_), {2, {}});
  EXPECT_TRUE(whole.is_whole());
  EXPECT_GT(whole.good(), 10000U);
  EXPECT_THAT(whole.checks, Contains(Field(&Check::found, HasSubstr("entries"))));
}

TEST_F(Verification, TellsHowFarItIs) {
  write(false);
  uint64_t last = 0;
  uint64_t planned = 0;
  const auto progress = [&](uint64_t done, uint64_t of) {
    EXPECT_GE(done, last);
    last = done;
    planned = of;
  };
  const VerifyResult result = verify(*image::open_image(dump_), {3, progress});
  EXPECT_EQ(last, planned);
  EXPECT_EQ(planned, result.frames() * result.page_size);
}

// Damage in one part of a split dump is found, and which part.
TEST_F(Verification, OfSplitDumpsLooksAtEachPart) {
  test::KdumpDescription kdump;
  kdump.max_mapnr = 1000;
  for (uint64_t pfn = 0; pfn < 1000; ++pfn) kdump.memory.insert(pfn);
  kdump.page = [](uint64_t pfn) { return std::vector<std::byte>(4096, static_cast<std::byte>(pfn)); };
  kdump.vmcoreinfo = "OSRELEASE=6.12.0-test\n";
  std::vector<std::string> paths;
  for (const uint64_t start : {0, 500}) {
    kdump.split = {start, start + 500};
    const auto bytes = test::kdump_bytes(kdump);
    paths.push_back(directory_.file("part" + std::to_string(start)));
    std::ofstream(paths.back(), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  EXPECT_TRUE(verify(*image::open_image_set(paths), {1, {}}).is_whole());
  std::fstream second(paths[1], std::ios::binary | std::ios::in | std::ios::out);
  second.seekp(static_cast<std::streamoff>(test::kdump_descriptors_at(kdump) - 4096));
  second.put('\x00');  // of eight frames that the first part has
  second.close();
  const VerifyResult result = verify(*image::open_image_set(paths), {1, {}});
  EXPECT_FALSE(result.is_whole());
  EXPECT_THAT(result.checks, Contains(AllOf(Field(&Check::path, paths[1]), Field(&Check::what, "bitmaps"),
                                            Field(&Check::good, false))));
}

}  // namespace
}  // namespace kvista::dump
