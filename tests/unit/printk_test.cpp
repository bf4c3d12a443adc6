#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "base/error.h"
#include "images/printk_builder.h"
#include "unit/kallsyms_blob.h"

namespace kvista::decode {
namespace {

using test::PrintkRing;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> texts_of(const PrintkLog& log) {
  std::vector<std::string> texts;
  for (const PrintkRecord& record : log.records) texts.push_back(record.text);
  return texts;
}

// Each byte order with each word size.
std::vector<test::PrintkShape> shapes() {
  std::vector<test::PrintkShape> all;
  for (const ByteOrder order : {ByteOrder::little, ByteOrder::big})
    for (const unsigned word_size : {4U, 8U}) all.push_back({.words = {order, word_size}});
  return all;
}

VirtReader reader_of(const test::PrintkMemory& memory) {
  return test::KallsymsBlob::reader_of(memory.shape.start(), memory.bytes);
}
PrintkLog read(const PrintkRing& ring) {
  return read_printk_ring(reader_of(ring), ring.layout);
}
PrintkLog read(const test::PrintkRecords& log) {
  return read_printk_records(reader_of(log), log.layout);
}
PrintkLog read(const test::PrintkText& log) {
  return read_printk_text(reader_of(log), log.layout);
}

// --- the lockless ring ---

TEST(PrintkRing, GivesWhatARecordHolds) {
  for (test::PrintkShape shape : shapes()) {
    for (const uint64_t info_size : {88, 112}) {
      for (const bool has_last_finalized : {false, true}) {
        shape.info_size = info_size;
        shape.has_last_finalized = has_last_finalized;
        PrintkRing ring(shape);
        for (const char* text : {"first", "", "third"}) ring.add(text);
        const PrintkLog log = read(ring);
        ASSERT_THAT(texts_of(log), ElementsAre("first", "", "third"));
        EXPECT_EQ(log.damaged, 0U) << log.why_damaged;
        const PrintkRecord& record = log.records[2];
        EXPECT_EQ(record.seq, 2U);
        EXPECT_EQ(record.ts_nsec, 2000U);
        EXPECT_EQ(record.facility, 3);
        EXPECT_EQ(record.level, 4);
        EXPECT_EQ(record.caller_id, 0x80000001);
        EXPECT_EQ(record.subsystem, "p");
        EXPECT_EQ(record.device, "+");
      }
    }
  }
}

// Ids pass through zero here, text through the ring's end.
TEST(PrintkRing, GivesTheLastRecordsAfterAnyNumberOfRounds) {
  for (const test::PrintkShape& shape : shapes()) {
    PrintkRing ring(shape);
    for (int i = 0; i < 50; ++i) {
      ring.add(fmt::format("record {:02}", i));
      const PrintkLog log = read(ring);
      EXPECT_EQ(log.damaged, 0U) << i << ": " << log.why_damaged;
      ASSERT_EQ(log.records.size(), static_cast<size_t>(std::min(i + 1, 8)));
      EXPECT_EQ(log.records.back().text, fmt::format("record {:02}", i));
    }
  }
}

TEST(PrintkRing, LeavesOutWhatIsNoRecord) {
  PrintkRing ring;
  ring.add("reusable", PrintkRing::reusable);
  ring.add("committed", PrintkRing::committed);
  ring.add("finalized", PrintkRing::finalized);
  ring.add("reserved", PrintkRing::reserved);
  const PrintkLog log = read(ring);
  EXPECT_THAT(texts_of(log), ElementsAre("committed", "finalized"));
  EXPECT_EQ(log.unfinished, 1U);
  EXPECT_EQ(log.damaged, 0U);
}

TEST(PrintkRing, LosesOnlyTheRecordThatIsDamaged) {
  struct Damage {
    uint64_t offset;
    uint64_t value;
    const char* why;
  };
  PrintkRing ring;
  for (const char* text : {"one", "two", "three"}) ring.add(text);
  const uint64_t id = (ring.head - 1) & ring.id_mask();
  for (const Damage& damage : {Damage{ring.data + 16, 77, "another record's"},
                               Damage{ring.info_at(id), 5, "says that it is number 5"},
                               Damage{ring.desc_at(id), 12345 | uint64_t{2} << 62, "has id 0x3039"},
                               Damage{ring.desc_at(id) + 8, 2, "is nowhere"},
                               Damage{ring.desc_at(id) + 16, 1 << 20, "does not fit its ring"}}) {
    PrintkRing damaged = ring;
    damaged.put_word(damage.offset, damage.value);
    const PrintkLog log = read(damaged);
    EXPECT_THAT(texts_of(log), ElementsAre("one", "three")) << damage.why;
    EXPECT_EQ(log.damaged, 1U);
    EXPECT_THAT(log.why_damaged, HasSubstr(damage.why));
  }
}

TEST(PrintkRing, IsFoundWithoutItsEnds) {
  PrintkRing ring;
  for (const char* text : {"one", "two", "three"}) ring.add(text);
  ring.put_word(ring.head_at(), 1 << 20);
  const PrintkLog log = read(ring);
  EXPECT_THAT(texts_of(log), ElementsAre("one", "two", "three"));
  EXPECT_THAT(log.why_damaged, HasSubstr("first and last id"));
}

// Whatever byte is wrong: an end, no more records than there are, and an error or a count for what is lost.
template <typename Log>
void expect_survival(Log log) {
  const auto survives = [&] {
    try {
      EXPECT_LE(read(log).records.size(), 1U << 16);
    } catch (const FormatError&) {
      // One sentence is as good.
    }
  };
  for (std::byte& byte : log.bytes) {
    for (const std::byte damage : {std::byte{0xff}, std::byte{0x01}, std::byte{0x80}}) {
      byte ^= damage;
      survives();
      byte ^= damage;
    }
  }
  while (!log.bytes.empty()) {
    log.bytes.pop_back();
    survives();
  }
}

TEST(Printk, SurvivesAnyByteDamagedAndAnyCut) {
  for (const test::PrintkShape& shape : shapes()) {
    PrintkRing ring(shape);
    test::PrintkRecords records(shape);
    test::PrintkText text(shape);
    for (int i = 0; i < 11; ++i) {
      ring.add(fmt::format("record {}", i));
      records.add(fmt::format("record {}", i));
      text.add(fmt::format("<6>[    1.00000{}] line of text {}\n", i % 10, i));
    }
    expect_survival(ring);
    expect_survival(records);
    expect_survival(text);
  }
}

TEST(PrintkRing, RefusesAbsurdSizes) {
  PrintkRing ring;
  ring.put(PrintkRing::kRing, 40, 4);
  EXPECT_THROW(read(ring), FormatError);
  PrintkRing offset;
  offset.layout.printk_info.dev_info = 60;
  EXPECT_THROW(read(offset), FormatError);
}

// A number of descriptors that a note or damaged memory claims is no work to be done.
TEST(PrintkRing, DoesNotLookForDescriptorsWithoutEnd) {
  PrintkRing ring;
  ring.add("one");
  ring.put(PrintkRing::kRing, 26, 4);
  ring.put_word(ring.head_at(), (ring.head + (uint64_t{1} << 25)) & ring.id_mask());
  ring.layout.prb_desc.size = 1024;
  const PrintkLog log = read(ring);
  EXPECT_GT(log.damaged, uint64_t{1} << 20);
  EXPECT_TRUE(log.cut);
  PrintkRing large;
  large.layout.printk_info.size = 4096;
  EXPECT_THROW(read(large), FormatError);
}

TEST(PrintkRing, KnowsWhatCameSinceItWasCleared) {
  for (const uint64_t latch : {0, 1}) {
    PrintkRing ring;
    for (const char* text : {"one", "two", "three"}) ring.add(text);
    ring.put_word(PrintkRing::kClear, latch);
    ring.put(PrintkRing::kClear + 8 + 8 * latch, 2, 8);
    ring.layout.clear = {ring.shape.start() + PrintkRing::kClear, 8};
    EXPECT_EQ(read(ring).first_since_clear, 2U);
  }
}

// --- records and text ---

TEST(PrintkRecords, AreReadThroughAnyNumberOfRounds) {
  for (const test::PrintkShape& shape : shapes()) {
    test::PrintkRecords written(shape);
    for (int i = 0; i < 50; ++i) {
      const std::string device = i % 3 == 0 ? std::string("SUBSYSTEM=pci\0DEVICE=+pci:0", 27) : "";
      written.add(fmt::format("record {:0{}}", i, 1 + i % 20), device);
      const PrintkLog log = read(written);
      EXPECT_EQ(log.damaged, 0U) << i << ": " << log.why_damaged;
      ASSERT_GE(log.records.size(), std::min<size_t>(static_cast<size_t>(i) + 1, 2));
      const PrintkRecord& last = log.records.back();
      EXPECT_EQ(last.text, fmt::format("record {:0{}}", i, 1 + i % 20));
      EXPECT_EQ(last.ts_nsec, 1000U * (static_cast<uint64_t>(i) + 1));
      EXPECT_EQ(last.facility, 3);
      EXPECT_EQ(last.level, 4);
      EXPECT_EQ(last.device, device.empty() ? "" : "+pci:0");
      EXPECT_EQ(last.subsystem, device.empty() ? "" : "pci");
      for (size_t at = 1; at < log.records.size(); ++at)
        EXPECT_EQ(*log.records[at].ts_nsec, *log.records[at - 1].ts_nsec + 1000) << "none is missing between";
    }
  }
}

TEST(PrintkRecords, EndAtTheFirstThatIsNotSound) {
  test::PrintkRecords written;
  for (const char* text : {"one", "two", "three"}) written.add(text);
  written.put(test::PrintkRecords::kBuffer + 24 + 8, 3, 2);  // the second one's length
  const PrintkLog log = read(written);
  EXPECT_THAT(texts_of(log), ElementsAre("one"));
  EXPECT_TRUE(log.cut);
}

TEST(PrintkRecords, KnowWhatCameSinceTheLogWasCleared) {
  test::PrintkRecords written;
  written.add("one");
  written.clear();
  EXPECT_EQ(read(written).first_since_clear, 1U) << "nothing came since";
  written.add("two");
  EXPECT_EQ(read(written).first_since_clear, 1U);
  // VMCOREINFO has no clear_seq: where a record happens to begin at clear_idx again, that is taken for it.
  for (int i = 0; i < 30; ++i) written.add("longer ones than those");
  EXPECT_EQ(read(written).first_since_clear, 0U) << "what was cleared has been overwritten";
}

TEST(PrintkText, IsTakenApart) {
  for (const test::PrintkShape& shape : shapes()) {
    test::PrintkText written(shape);
    written.add("<4>[    1.500000] a\nb\n");
    const PrintkLog log = read(written);
    ASSERT_THAT(texts_of(log), ElementsAre("a", "b"));
    EXPECT_EQ(log.records[0].ts_nsec, 1500000000U);
    EXPECT_EQ(log.records[0].level, 4);
  }
}

TEST(PrintkText, IsReadThroughTheWrap) {
  test::PrintkText written;
  for (int i = 0; i < 100; ++i) written.add(fmt::format("<6>line {:03}\n", i));
  const PrintkLog log = read(written);
  ASSERT_EQ(log.records.size(), 22U) << "256 bytes, and the rest of a line";
  EXPECT_EQ(log.records[1].text, "line 079");
  EXPECT_EQ(log.records.back().text, "line 099");
}

}  // namespace
}  // namespace kvista::decode
