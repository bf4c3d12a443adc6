// The library's face. What is below it has tests of its own: here, that each question reaches the right
// floor, from any thread.
#include "kvista/kernel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <thread>

#include "images/image.h"
#include "images/temporary.h"

namespace kvista {
namespace {

using machine::FactId;
using testing::HasSubstr;

constexpr const char* kDescription =
    "pages 0x400-0x7ff class=buddy order=10\n"
    "pages 0xc00-0xc3f class=anon\n";

class KernelTest : public testing::Test {
 protected:
  KernelTest() : image_(kDescription), path_(directory_.file("vmcore")) { image_.write(path_); }

  VirtAddr uts_name() const { return {*Kernel({path_}).note().symbol("init_uts_ns")}; }

  test::TemporaryDirectory directory_;
  test::TestImage image_;
  std::string path_;
};

TEST_F(KernelTest, SaysWhatTheImageIs) {
  const Kernel kernel({path_});
  EXPECT_EQ(kernel.image().path, path_);
  EXPECT_EQ(kernel.image().format, "ELF core");
  ASSERT_FALSE(kernel.ram().empty());
  EXPECT_EQ(kernel.ram().back().end(), PhysAddr{64 << 20});
  EXPECT_EQ(kernel.note().text(), image_.note());
}

TEST_F(KernelTest, GivesFactsWithTheirEvidence) {
  const Kernel kernel({path_}, {.ask_all_sources = true});
  const machine::Fact& fact = kernel.fact(FactId::page_offset);
  ASSERT_TRUE(fact.value);
  EXPECT_EQ(machine::format(*fact.value, machine::Form::hex), image_.truth().at("page_offset"));
  EXPECT_TRUE(fact.verified);
  EXPECT_GE(fact.candidates.size(), 3U);
  EXPECT_EQ(kernel.number(FactId::page_offset), std::get<uint64_t>(*fact.value));
  EXPECT_EQ(kernel.text(FactId::release), image_.truth().at("release"));
  EXPECT_EQ(kernel.text(FactId::page_offset), std::nullopt) << "it is a number";
}

TEST_F(KernelTest, TheUsersFactsComeFirst) {
  const Kernel kernel({path_}, {.facts = {{FactId::page_offset, uint64_t{0xff00000000000000}}}});
  EXPECT_EQ(kernel.number(FactId::page_offset), 0xff00000000000000);
  EXPECT_FALSE(kernel.warnings().empty());
}

TEST_F(KernelTest, ReadsTheSameThroughBothKindsOfAddress) {
  const Kernel kernel({path_});
  const machine::Translation at = kernel.translate(uts_name());
  ASSERT_EQ(at.end, machine::WalkEnd::mapped);
  std::array<std::byte, 64> by_virtual{};
  std::array<std::byte, 64> by_physical{};
  EXPECT_EQ(kernel.read(uts_name(), by_virtual).done, by_virtual.size());
  EXPECT_EQ(kernel.read(at.phys, by_physical).done, by_physical.size());
  EXPECT_EQ(by_virtual, by_physical);
  uint64_t word = 0;
  std::memcpy(&word, by_virtual.data(), sizeof word);
  EXPECT_EQ(kernel.read<uint64_t>(uts_name()), word);
  EXPECT_EQ(kernel.read<uint32_t>(uts_name()), static_cast<uint32_t>(word));
  EXPECT_EQ(kernel.read<uint16_t>(uts_name()), static_cast<uint16_t>(word));
  EXPECT_EQ(kernel.read<uint8_t>(uts_name()), static_cast<uint8_t>(word));
}

TEST_F(KernelTest, AMissingNumberIsAFault) {
  const Kernel kernel({path_});
  constexpr VirtAddr kNowhere{0xfffffffff0000000};
  try {
    kernel.read<uint64_t>(kNowhere);
    FAIL() << "something was read from nowhere";
  } catch (const FaultError& fault) {
    EXPECT_EQ(fault.address(), kNowhere);
    EXPECT_NE(fault.end(), machine::WalkEnd::mapped);
    EXPECT_THAT(fault.what(), HasSubstr("8 bytes at 0xfffffffff0000000 cannot be read"));
  }
  std::array<std::byte, 8> bytes{};
  const image::ReadResult result = kernel.read(PhysAddr{uint64_t{1} << 40}, bytes);
  EXPECT_EQ(result.done, 0U);
  EXPECT_EQ(result.state, image::PageState::beyond);
}

TEST_F(KernelTest, CountsPages) {
  const pages::Census census = Kernel({path_}).census();
  EXPECT_EQ(census.count(pages::PageClass::free), 0x400U);
  EXPECT_EQ(census.count(pages::PageClass::user), 0x40U);
}

TEST_F(KernelTest, IsReadByManyThreadsAndMoved) {
  Kernel first({path_});
  const Kernel kernel = std::move(first);
  const VirtAddr address = uts_name();
  const uint64_t expected = Kernel({path_}).read<uint64_t>(address);
  std::array<uint64_t, 8> read{};
  std::array<std::optional<uint64_t>, 8> facts{};
  std::vector<std::thread> threads;
  for (size_t i = 0; i < read.size(); ++i)
    threads.emplace_back([&, i] {
      facts.at(i) = kernel.number(FactId::page_offset);
      read.at(i) = kernel.read<uint64_t>(address);
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(read, testing::Each(expected));
  EXPECT_THAT(facts, testing::Each(kernel.number(FactId::page_offset)));
}

TEST_F(KernelTest, ErrorsSayWhatIsWrong) {
  EXPECT_THROW(Kernel({directory_.file("none")}), AccessError);
  EXPECT_THROW(Kernel({directory_.write("text", "no image")}), FormatError);
  test::TestImage("note omit SYMBOL(prb)\n").write(path_);
  EXPECT_THROW(Kernel({path_}).log(), NotFound);
}

}  // namespace
}  // namespace kvista
