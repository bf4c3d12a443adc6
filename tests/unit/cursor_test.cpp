#include "base/cursor.h"

#include <gtest/gtest.h>

#include "unit/bytes.h"

namespace kvista {
namespace {

using test::Bytes;
using test::bytes_of;

TEST(Cursor, ReadsFieldsOneAfterAnotherInLittleEndian) {
  const Bytes bytes = bytes_of("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f");
  Cursor in(bytes, ByteOrder::little);
  EXPECT_EQ(in.u8(), 0x01U);
  EXPECT_EQ(in.u16(), 0x0302U);
  EXPECT_EQ(in.u32(), 0x07060504U);
  EXPECT_EQ(in.u64(), 0x0f0e0d0c0b0a0908ULL);
  EXPECT_TRUE(in.ok());
  EXPECT_TRUE(in.at_end());
}

TEST(Cursor, ReadsFieldsOneAfterAnotherInBigEndian) {
  const Bytes bytes = bytes_of("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f");
  Cursor in(bytes, ByteOrder::big);
  EXPECT_EQ(in.u8(), 0x01U);
  EXPECT_EQ(in.u16(), 0x0203U);
  EXPECT_EQ(in.u32(), 0x04050607U);
  EXPECT_EQ(in.u64(), 0x08090a0b0c0d0e0fULL);
}

TEST(Cursor, WordIsAsLargeAsTheImagesUnsignedLong) {
  const Bytes bytes = bytes_of("\x01\x02\x03\x04\x05\x06\x07\x08");
  Cursor narrow(bytes, ByteOrder::little, 4);
  EXPECT_EQ(narrow.word(), 0x04030201U);
  EXPECT_EQ(narrow.offset(), 4U);
  Cursor wide(bytes, ByteOrder::little, 8);
  EXPECT_EQ(wide.word(), 0x0807060504030201ULL);
  EXPECT_EQ(wide.offset(), 8U);
}

TEST(Cursor, FailsForGoodAtTheFirstReadThatDoesNotFit) {
  const Bytes bytes = bytes_of("\x01\x02\x03\x04\x05");
  Cursor in(bytes, ByteOrder::little);
  in.u16();
  EXPECT_EQ(in.u32(), 0U);
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.failed_at(), 2U);
  EXPECT_EQ(in.u8(), 0U) << "a byte is left, but the cursor has failed";
  EXPECT_EQ(in.failed_at(), 2U) << "the first failure is the one that counts";
}

TEST(Cursor, StaysFailedAfterASeekBack) {
  const Bytes bytes = bytes_of("\x01\x02");
  Cursor in(bytes, ByteOrder::little);
  in.u64();
  in.seek(0);
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.u8(), 0U);
}

TEST(Cursor, RefusesCountsThatWouldOverflow) {
  const Bytes bytes = bytes_of("\x01\x02\x03");
  Cursor in(bytes, ByteOrder::little);
  in.u8();
  EXPECT_TRUE(in.bytes(UINT64_MAX).empty());
  EXPECT_FALSE(in.ok());
}

TEST(Cursor, RefusesToSeekBeyondTheEnd) {
  const Bytes bytes = bytes_of("\x01\x02\x03");
  Cursor in(bytes, ByteOrder::little);
  in.seek(3);
  EXPECT_TRUE(in.ok());
  EXPECT_TRUE(in.at_end());
  in.seek(4);
  EXPECT_FALSE(in.ok());
}

TEST(Cursor, AlignsToTheNextMultipleAndNoFurther) {
  const Bytes bytes(16);
  Cursor in(bytes, ByteOrder::little);
  in.align(8);
  EXPECT_EQ(in.offset(), 0U);
  in.u8();
  in.align(4);
  EXPECT_EQ(in.offset(), 4U);
  in.align(4);
  EXPECT_EQ(in.offset(), 4U);
  in.seek(13);
  in.align(8);
  EXPECT_EQ(in.offset(), 16U);
  EXPECT_TRUE(in.ok());
}

TEST(Cursor, FailsWhereTheAlignedPlaceIsBeyondTheEnd) {
  const Bytes bytes(6);
  Cursor in(bytes, ByteOrder::little);
  in.skip(5);
  in.align(4);
  EXPECT_FALSE(in.ok());
}

TEST(Cursor, ReadsNothingFromNothing) {
  Cursor in({}, ByteOrder::little);
  EXPECT_TRUE(in.at_end());
  EXPECT_TRUE(in.bytes(0).empty());
  EXPECT_TRUE(in.ok());
  EXPECT_EQ(in.u8(), 0U);
  EXPECT_FALSE(in.ok());
}

TEST(Cursor, TextEndsAtTheFirstNul) {
  EXPECT_EQ(as_text(bytes_of(std::string_view("CORE\0\0\0\0", 8))), "CORE");
  EXPECT_EQ(as_text(bytes_of("CORE")), "CORE");
  EXPECT_EQ(as_text({}), "");
}

}  // namespace
}  // namespace kvista
