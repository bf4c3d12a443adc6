#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "base/error.h"
#include "decode/printk_records.h"
#include "decode/printk_ring.h"
#include "decode/printk_text.h"
#include "unit/bytes.h"
#include "unit/kallsyms_blob.h"

namespace kvista::decode {
namespace {

using test::Bytes;
using test::put;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr VirtAddr kStart{0xffffffff82000000};
constexpr uint64_t kIdMask = UINT64_MAX >> 2;

std::vector<std::string> texts_of(const PrintkLog& log) {
  std::vector<std::string> texts;
  for (const PrintkRecord& record : log.records) texts.push_back(record.text);
  return texts;
}

// --- the lockless ring ---

// A ring of 8 descriptors and 256 bytes, filled as printk_ringbuffer.c does.
class Ring {
 public:
  static constexpr uint64_t kCount = 8, kData = 256;
  static constexpr uint64_t kDescs = 256, kInfos = kDescs + kCount * 24;

  explicit Ring(uint64_t info_size = 88) {
    layout.prb = kStart;
    layout.printk_ringbuffer = {88, 0, 48};
    layout.prb_desc_ring = {48, 0, 8, 16, 24, 32};
    layout.prb_data_ring = {32, 0, 8};
    layout.prb_desc = {24, 0, 8};
    layout.prb_data_blk_lpos = {16, 0, 8};
    layout.printk_info = {info_size, 0, 8, 16, 20, info_size == 88 ? 24U : 44U};
    layout.dev_printk_info = {64, 0, 16, 16, 48};
    data = kInfos + kCount * info_size;
    bytes.resize(data + kData);
    put(bytes, 0, kStart.value + 64);
    put<uint32_t>(bytes, 64, 3);
    put(bytes, 72, kStart.value + kDescs);
    put(bytes, 80, kStart.value + kInfos);
    put<uint32_t>(bytes, 112, 8);
    put(bytes, 120, kStart.value + data);
    set_ends();
  }

  void add(const std::string& text, uint64_t state = 2) {
    head = (head + 1) & kIdMask;
    const uint64_t id = head;
    if (((head - tail) & kIdMask) >= kCount) tail = (tail + 1) & kIdMask;
    uint64_t begin = 3, next = 3;
    if (!text.empty()) {
      const uint64_t size = (8 + text.size() + 7) / 8 * 8;
      begin = lpos;
      next = begin + size;
      if (begin % kData + size > kData) next = next / kData * kData + size;
      lpos = next;
      const uint64_t at = data + (begin % kData + size > kData ? 0 : begin % kData);
      put(bytes, at, id);
      for (size_t i = 0; i < text.size(); ++i) bytes[at + 8 + i] = static_cast<std::byte>(text[i]);
    }
    const uint64_t desc = desc_at(id), info = info_at(id);
    put(bytes, desc, id | state << 62);
    put(bytes, desc + 8, begin);
    put(bytes, desc + 16, next);
    put(bytes, info, seq);
    put(bytes, info + 8, seq * 1000);
    put(bytes, info + 16, static_cast<uint16_t>(text.size()));
    bytes[info + 18] = std::byte{3};
    bytes[info + 19] = std::byte{4 << 5 | 2};
    put<uint32_t>(bytes, info + 20, 0x80000001);
    const uint64_t device = info + layout.printk_info.dev_info;
    bytes[device] = std::byte{'p'};
    bytes[device + 16] = std::byte{'+'};
    ++seq;
    set_ends();
  }
  void set_ends() {
    put(bytes, 88, head);
    put(bytes, 96, tail);
  }
  uint64_t desc_at(uint64_t id) const { return kDescs + id % kCount * 24; }
  uint64_t info_at(uint64_t id) const { return kInfos + id % kCount * layout.printk_info.size; }
  PrintkLog read() const { return read_printk_ring(test::KallsymsBlob::reader_of(kStart, bytes), layout); }

  PrintkRingLayout layout;
  Bytes bytes;
  uint64_t data = 0;
  uint64_t head = (uint64_t{0} - kCount - 1) & kIdMask, tail = (uint64_t{0} - kCount) & kIdMask;
  uint64_t lpos = uint64_t{0} - kData, seq = 0;
};

TEST(PrintkRing, GivesWhatARecordHolds) {
  for (const uint64_t info_size : {88, 112}) {
    Ring ring(info_size);
    ring.add("first");
    ring.add("");
    ring.add("third");
    const PrintkLog log = ring.read();
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

// Ids pass through zero here, text through the ring's end.
TEST(PrintkRing, GivesTheLastRecordsAfterAnyNumberOfRounds) {
  Ring ring;
  for (int i = 0; i < 50; ++i) {
    ring.add(fmt::format("record {:02}", i));
    const PrintkLog log = ring.read();
    EXPECT_EQ(log.damaged, 0U) << i << ": " << log.why_damaged;
    ASSERT_EQ(log.records.size(), static_cast<size_t>(std::min(i + 1, 8)));
    EXPECT_EQ(log.records.back().text, fmt::format("record {:02}", i));
  }
}

TEST(PrintkRing, LeavesOutWhatIsNoRecord) {
  Ring ring;
  ring.add("reusable", 3);
  ring.add("committed", 1);
  ring.add("finalized", 2);
  ring.add("reserved", 0);
  const PrintkLog log = ring.read();
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
  Ring ring;
  for (const char* text : {"one", "two", "three"}) ring.add(text);
  const uint64_t id = (ring.head - 1) & kIdMask;
  for (const Damage& damage : {Damage{ring.data + 16, 77, "another record's"},
                               Damage{ring.info_at(id), 5, "says that it is number 5"},
                               Damage{ring.desc_at(id), 12345 | uint64_t{2} << 62, "has id 0x3039"},
                               Damage{ring.desc_at(id) + 8, 2, "is nowhere"},
                               Damage{ring.desc_at(id) + 16, 1 << 20, "does not fit its ring"}}) {
    Ring damaged = ring;
    put(damaged.bytes, damage.offset, damage.value);
    const PrintkLog log = damaged.read();
    EXPECT_THAT(texts_of(log), ElementsAre("one", "three")) << damage.why;
    EXPECT_EQ(log.damaged, 1U);
    EXPECT_THAT(log.why_damaged, HasSubstr(damage.why));
  }
}

TEST(PrintkRing, IsFoundWithoutItsEnds) {
  Ring ring;
  for (const char* text : {"one", "two", "three"}) ring.add(text);
  put<uint64_t>(ring.bytes, 88, 1 << 20);
  const PrintkLog log = ring.read();
  EXPECT_THAT(texts_of(log), ElementsAre("one", "two", "three"));
  EXPECT_THAT(log.why_damaged, HasSubstr("first and last id"));
}

// Whatever byte is wrong: an end, no more records than there are, and an error or a count for what is lost.
TEST(PrintkRing, SurvivesAnyByteDamagedAndAnyCut) {
  Ring ring;
  for (int i = 0; i < 11; ++i) ring.add(fmt::format("record {}", i));
  const auto survives = [](const Ring& damaged) {
    try {
      EXPECT_LE(damaged.read().records.size(), 1U << 16);
    } catch (const FormatError&) {
      // One sentence is as good.
    }
  };
  for (std::byte& byte : ring.bytes) {
    for (const std::byte damage : {std::byte{0xff}, std::byte{0x01}, std::byte{0x80}}) {
      byte ^= damage;
      survives(ring);
      byte ^= damage;
    }
  }
  while (!ring.bytes.empty()) {
    ring.bytes.pop_back();
    survives(ring);
  }
}

TEST(PrintkRing, RefusesAbsurdSizes) {
  Ring ring;
  put<uint32_t>(ring.bytes, 64, 40);
  EXPECT_THROW(ring.read(), FormatError);
  Ring offset;
  offset.layout.printk_info.dev_info = 60;
  EXPECT_THROW(offset.read(), FormatError);
}

TEST(PrintkRing, KnowsWhatCameSinceItWasCleared) {
  for (const uint64_t latch : {0, 1}) {
    Ring ring;
    for (const char* text : {"one", "two", "three"}) ring.add(text);
    put<uint64_t>(ring.bytes, 160, latch);
    put<uint64_t>(ring.bytes, 168 + 8 * latch, 2);
    ring.layout.clear = {kStart + 160, 8};
    EXPECT_EQ(ring.read().first_since_clear, 2U);
  }
}

// --- records and text ---

TEST(PrintkRecords, AreReadThroughTheWrap) {
  Bytes bytes(64 + 128);
  PrintkRecordsLayout layout{{}, kStart, kStart + 8, kStart + 12, kStart + 16, {}, {16, 0, 8, 10, 12}};
  put(bytes, 0, kStart.value + 64);
  put<uint32_t>(bytes, 8, 128);
  put<uint32_t>(bytes, 12, 64);
  put<uint32_t>(bytes, 16, 32);
  const auto record = [&](size_t at, const std::string& text) {
    put<uint16_t>(bytes, 64 + at + 8, 32);
    put<uint16_t>(bytes, 64 + at + 10, static_cast<uint16_t>(text.size()));
    for (size_t i = 0; i < text.size(); ++i) bytes[64 + at + 16 + i] = static_cast<std::byte>(text[i]);
  };
  record(64, "older");
  record(0, "newer");
  const auto read = [&] { return read_printk_records(test::KallsymsBlob::reader_of(kStart, bytes), layout); };
  EXPECT_THAT(texts_of(read()), ElementsAre("older", "newer"));
  put<uint16_t>(bytes, 64 + 8, 3);
  const PrintkLog log = read();
  EXPECT_THAT(texts_of(log), ElementsAre("older"));
  EXPECT_TRUE(log.cut);
}

TEST(PrintkText, IsTakenApart) {
  Bytes bytes(64);
  const PrintkTextLayout layout{{}, kStart, kStart + 8, kStart + 12, kStart + 16};
  const std::string text = "<4>[    1.500000] a\nb\n           ";
  put(bytes, 0, kStart.value + 32);
  put<uint32_t>(bytes, 8, 32);
  put<uint32_t>(bytes, 12, 22);
  put<uint32_t>(bytes, 16, 22);
  for (size_t i = 0; i < 32; ++i) bytes[32 + i] = static_cast<std::byte>(text[i]);
  const PrintkLog log = read_printk_text(test::KallsymsBlob::reader_of(kStart, bytes), layout);
  ASSERT_THAT(texts_of(log), ElementsAre("a", "b"));
  EXPECT_EQ(log.records[0].ts_nsec, 1500000000U);
  EXPECT_EQ(log.records[0].level, 4);
}

}  // namespace
}  // namespace kvista::decode
